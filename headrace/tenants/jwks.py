"""An issuer's public keys (JWKS, RFC 7517): fetched in the background, kept while they cannot be fetched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from headrace.errors import TryLater, Unauthenticated, Unavailable
from headrace.tenants.fetch import FetchFailed, fetch
from headrace.tenants.file import IssuerSection

FETCH_SECONDS = 5.0
MOST_BYTES = 262_144
RETRY_SECONDS = 10.0
"""After a fetch that failed."""
UNKNOWN_KID_SECONDS = 10.0
"""At least so long between two fetches because of key ids that are not known: anybody can make those up."""

log = structlog.get_logger()

Keys = dict[tuple[str, str], PyJWK]
"""(kid, algorithm) → key."""
_ALGORITHMS: dict[tuple[Any, Any], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""Type and curve of a key → what it can check. A shared secret (`oct`) is not among them."""


class KeySet:
    """Of one issuer. Used from the loop's thread; only reading and fetching happen in another."""

    def __init__(
        self,
        load: Callable[[], Keys],
        refresh_seconds: float,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`changed` is called when keys have come or gone."""
        self._load = load
        self._refresh_seconds = refresh_seconds
        self._changed = changed
        self._clock = clock
        self._sleep = sleep
        self._keys: Keys = {}
        self._problem: str | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._fetched_for_unknown = -float("inf")
        self._refreshing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Fetches now and at the interval, from within a running loop."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())

    def close(self) -> None:
        """Fetches no more by itself. Who waits for a fetch that is on its way still gets its keys."""
        if self._refreshing is not None:
            self._refreshing.cancel()

    async def key(self, kid: str, algorithm: str) -> PyJWK:
        """Looks anew once when it is not there, if that was not done a moment ago.

        Raises `Unauthenticated` when there is no such key, `TryLater` while there are none at all.
        """
        if (kid, algorithm) not in self._keys:
            await self._look_anew()
        if not self._keys:
            raise TryLater("the keys of the token's issuer could not be fetched yet; try again later")
        try:
            return self._keys[kid, algorithm]
        except KeyError:
            raise Unauthenticated("token: its issuer has no key of this kid for this algorithm") from None

    async def _look_anew(self) -> None:
        if self._fetching is None or self._fetching.done():
            now = self._clock()
            if now - self._fetched_for_unknown < UNKNOWN_KID_SECONDS:
                return
            self._fetched_for_unknown = now
        await self._fetch()

    async def _refresh(self) -> None:
        while True:
            await self._fetch()
            wait = self._refresh_seconds
            await self._sleep(wait if self._problem is None else min(wait, RETRY_SECONDS))

    async def _fetch(self) -> None:
        """Those who come while it is on its way wait for the same one, and may leave it."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_once())
        await asyncio.shield(self._fetching)

    async def _fetch_once(self) -> None:
        try:
            keys = await asyncio.to_thread(self._load)
        except Unavailable as error:
            self._say(str(error))
            return
        except Exception as error:
            log.exception("an issuer's keys were not fetched; the old ones go on")
            self._problem = type(error).__name__
            return
        if self._problem is not None:
            log.info("an issuer's keys were fetched again")
        self._problem = None
        if _content(keys) != _content(self._keys):
            self._keys = keys
            self._changed()

    def _say(self, problem: str) -> None:
        if problem != self._problem:  # else it was said before
            log.error("an issuer's keys were not fetched; the old ones go on", problem=problem)
        self._problem = problem


def loader(issuer: IssuerSection, folder: Path) -> Callable[[], Keys]:
    """What fetches its keys; it raises `Unavailable` when there are none that can be used. Blocks."""

    def load() -> Keys:
        remote = issuer.is_remote
        said = fetch(issuer.jwks, FETCH_SECONDS, MOST_BYTES) if remote else _read(folder / issuer.jwks)
        try:
            return usable(said, issuer.algorithms)
        except ValueError as error:
            raise FetchFailed(f"{issuer.jwks}: {error}") from None

    return load


def usable(jwks: bytes, algorithms: Collection[str]) -> Keys:
    """The keys in it that can check signatures by these algorithms; others are left out, private ones too.

    Raises `ValueError` when it is no JWKS, or none is left.
    """
    try:
        found = msgspec.json.decode(jwks, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise ValueError('expected a JSON object with a list of "keys"')  # noqa: TRY004 - of the document
    keys: Keys = {}
    for jwk in found:
        if isinstance(jwk, dict) and isinstance(kid := jwk.get("kid"), str):
            for algorithm in _possible(jwk):
                if algorithm in algorithms and (key := _key(jwk, algorithm)) is not None:
                    keys.setdefault((kid, algorithm), key)
    if not keys:
        raise ValueError(f"holds no public key with a kid for {', '.join(sorted(algorithms))}")
    return keys


def _possible(jwk: dict[str, Any]) -> tuple[str, ...]:
    """Algorithms, by what the key is and what it says of itself."""
    operations = jwk.get("key_ops", ["verify"])
    if (
        "d" in jwk
        or jwk.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
    ):
        return ()
    kind = jwk.get("kty"), jwk.get("crv")
    try:
        possible = _ALGORITHMS.get(kind, ())
    except TypeError:  # a list, say
        return ()
    return tuple(one for one in possible if jwk.get("alg", one) == one)


def _key(jwk: dict[str, Any], algorithm: str) -> PyJWK | None:
    try:
        key = PyJWK(jwk, algorithm)
    except (PyJWTError, ValueError, TypeError, AttributeError, KeyError):
        return None
    too_short = key.Algorithm.check_key_length(key.key)
    return None if too_short else key


def _content(keys: Keys) -> dict[tuple[str, str], Any]:
    return {name: key._jwk_data for name, key in keys.items()}  # noqa: SLF001 - it has no equality


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as handle:
            said = handle.read(MOST_BYTES + 1)
    except OSError as error:
        raise FetchFailed(f"{file}: {error.strerror}") from None
    if len(said) > MOST_BYTES:
        raise FetchFailed(f"{file}: longer than {MOST_BYTES} bytes")
    return said
