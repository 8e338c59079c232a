"""JSON Web Tokens (RFC 7519) of trusted issuers, checked as RFC 8725 advises.

A token names its issuer, and that issuer's entry in tenants.yaml alone says by which algorithms and keys it is
checked. A token that was good is remembered while it lasts, so that its signature is checked once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from jwt import PyJWK
from jwt.exceptions import InvalidAudienceError, InvalidSignatureError, MissingRequiredClaimError, PyJWTError

from headrace.errors import Forbidden, Unauthenticated
from headrace.tenants.file import IssuerSection
from headrace.tenants.jwks import KeySet

MOST_CHARACTERS = 8192
MOST_REMEMBERED = 4096
_LAST_TIME = 2**53

_NOTHING_CHECKED: Any = {"verify_signature": False}
_TIMES_CHECKED_HERE: Any = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "enforce_minimum_key_length": True,
}


@dataclass(frozen=True, slots=True)
class Token:
    """One that was good."""

    tenant: str
    subject: str
    """The claim `sub`: who at the issuer asks."""
    last: float
    """Seconds since 1970; until then, the skew included, it is good."""


class Tokens:
    """What checks them. Used from one thread."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._issuers: dict[str, tuple[IssuerSection, KeySet]] = {}
        self._good: dict[bytes, Token] = {}

    def trust(self, issuers: dict[str, tuple[IssuerSection, KeySet]]) -> None:
        """These from now on, by the name in `iss`."""
        self._issuers = issuers
        self.forget()

    def forget(self) -> None:
        """Which tokens were good: the next time each is checked in full."""
        self._good.clear()

    async def check(self, text: str) -> Token:
        """Raises `Unauthenticated`, whose message says which check failed and nothing of the token, `Forbidden`
        when its issuer may not name this tenant, `Unavailable` when its issuer's keys are not there yet.
        """
        if len(text) > MOST_CHARACTERS:
            raise Unauthenticated(f"token: longer than {MOST_CHARACTERS} characters")
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        token = self._good.get(digest)
        if token is None:
            trusted = self._issuers
            token = await self._check(text)
            if self._issuers is trusted:  # else it would be checked otherwise now
                self._remember(digest, token)
        elif self._now() >= token.last:
            del self._good[digest]
            raise _refused("has expired (exp)")
        return token

    async def _check(self, text: str) -> Token:
        issuer, keys, algorithm, kid = self._read(text)
        claims = _signed(text, await keys.key(kid, algorithm), issuer)
        last = _in_time(claims, issuer.clock_skew_seconds, self._now())
        for name in (issuer.tenant_claim, "sub"):
            if not isinstance(claims[name], str) or not claims[name]:
                raise _refused(f"its claim {name} is not text")
        if issuer.tenants is not None and claims[issuer.tenant_claim] not in issuer.tenants:
            raise Forbidden("the token's issuer may not name this tenant; ask those who run this service")
        return Token(claims[issuer.tenant_claim], claims["sub"], last)

    def _read(self, text: str) -> tuple[IssuerSection, KeySet, str, str]:
        """Who is to have signed it, and how; nothing of it is believed yet."""
        if text.count(".") != 2:
            raise _refused("is not of three parts")
        try:
            said = jwt.api_jwt.decode_complete(text, options=_NOTHING_CHECKED)
        except (PyJWTError, ValueError):
            raise _refused("cannot be decoded") from None
        name = said["payload"].get("iss")
        found = self._issuers.get(name) if isinstance(name, str) else None
        if found is None:
            raise _refused("its issuer (iss) is not trusted here")
        issuer, keys = found
        algorithm, kid = said["header"].get("alg"), said["header"].get("kid")
        if algorithm not in issuer.algorithms:
            raise _refused(f"its algorithm (alg) is not one of {', '.join(issuer.algorithms)}")
        if not isinstance(kid, str):
            raise _refused("does not say which key it was signed with (kid)")
        return issuer, keys, algorithm, kid

    def _remember(self, digest: bytes, token: Token) -> None:
        if len(self._good) >= MOST_REMEMBERED:
            del self._good[next(iter(self._good))]
        self._good[digest] = token


def _signed(text: str, key: PyJWK, issuer: IssuerSection) -> dict[str, Any]:
    """Its claims, which the issuer has signed for us; all that are needed are there."""
    needed = ["exp", "aud", "sub", issuer.tenant_claim, *issuer.required_claims]
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            key,
            algorithms=issuer.algorithms,
            audience=issuer.audience,
            issuer=issuer.issuer,
            options=_TIMES_CHECKED_HERE | {"require": needed},
        )
    except InvalidSignatureError:
        raise _refused("its signature does not fit") from None
    except InvalidAudienceError:
        raise _refused("its audience (aud) is not this gateway") from None
    except MissingRequiredClaimError as error:
        raise _refused(f"the claim {error.claim} is missing") from None
    except (PyJWTError, ValueError):
        raise _refused("cannot be verified") from None
    return claims


def _in_time(claims: dict[str, Any], skew: float, now: float) -> float:
    """Until when it is good. PyJWT would look at a clock of its own, and take "5" and true for times."""
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    for name, value in times.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LAST_TIME:
            raise _refused(f"its claim {name} is not a time")
    if now >= times["exp"] + skew:
        raise _refused("has expired (exp)")
    if now + skew < times.get("nbf", now):
        raise _refused("is not valid yet (nbf)")
    if now + skew < times.get("iat", now):
        raise _refused("was issued in the future (iat)")
    return float(times["exp"] + skew)


def _refused(problem: str) -> Unauthenticated:
    return Unauthenticated(f"token: {problem}")
