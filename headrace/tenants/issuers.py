"""The issuers whose tokens are believed, each with its keys; others once the tenants' file changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headrace.tenants.file import IssuerSection, Tenants
from headrace.tenants.jwks import KeySet, loader
from headrace.tenants.jwt_tokens import Token, Tokens


class Issuers:
    """Used from the loop's thread."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now`: seconds since 1970."""
        self._tokens = Tokens(now)
        self._key_sets: dict[tuple[IssuerSection, Path], KeySet] = {}

    async def check(self, text: str) -> Token:
        """As `Tokens.check` does."""
        return await self._tokens.check(text)

    def trust(self, tenants: Tenants) -> None:
        """These from now on. Those that stay as they were keep their keys; others' are fetched."""
        old, self._key_sets = self._key_sets, {}
        for issuer in tenants.issuers:
            name = issuer, tenants.folder
            self._key_sets[name] = old.pop(name) if name in old else self._new(*name)
        for gone in old.values():
            gone.close()
        self._tokens.trust({issuer.issuer: (issuer, keys) for (issuer, _), keys in self._key_sets.items()})

    def close(self) -> None:
        for key_set in self._key_sets.values():
            key_set.close()

    def _new(self, issuer: IssuerSection, folder: Path) -> KeySet:
        key_set = KeySet(loader(issuer, folder), issuer.refresh_seconds, self._tokens.forget)
        key_set.start()
        return key_set
