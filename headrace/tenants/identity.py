"""Who asks: from what a request shows to a tenant and its settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headrace.errors import Forbidden, Unauthenticated
from headrace.tenants.credentials import Credentials
from headrace.tenants.file import Tenants
from headrace.tenants.keys import PREFIX
from headrace.tenants.live import LiveTenants
from headrace.tenants.settings import ANONYMOUS, Settings

if TYPE_CHECKING:
    from headrace.tenants.issuers import Issuers


@dataclass(frozen=True, slots=True)
class Identity:
    tenant: str
    subject: str
    """Id of the key, or the token's `sub`; empty for the anonymous tenant."""
    settings: Settings
    how: Literal["key", "token", "anonymous"]


class Authenticator:
    """Used from the loop's thread. Keys never wait; a token does that was signed with a new key of its issuer."""

    def __init__(self, live: LiveTenants, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since 1970."""
        self._live = live
        self._now = now
        self._issuers: Issuers | None = None
        """None while no tenant has any."""
        self._tenants: Tenants | None = None

    def start(self) -> None:
        """Fetches the issuers' keys before the first token comes. From within a running loop."""
        self.current()

    def close(self) -> None:
        if self._issuers is not None:
            self._issuers.close()
        self._live.close()

    async def authenticate(self, shown: Credentials) -> Identity:
        """Raises `Unauthenticated`; `InvalidRequest` when more than one key is shown, or one in the query;
        `Forbidden` for a good token of a tenant that is not here; `Unavailable` while an issuer's keys are not.
        """
        tenants = self.current()
        found = shown.secret()
        if found is None or found[0] == ANONYMOUS:
            return _anonymous(tenants, shown)
        secret, may_be_token = found
        if may_be_token and "." in secret and not secret.startswith(PREFIX):
            return await self._by_token(secret, tenants)
        key = tenants.keys.find(secret, self._now())
        return Identity(key.settings.tenant, key.id, key.settings, "key")

    def still(self, identity: Identity) -> Settings:
        """What holds now for who asked before. Raises `Unauthenticated` when the key was taken away, `Forbidden`
        when the tenant was."""
        tenants = self.current()
        if identity.how == "key" and identity.subject not in tenants.keys:
            raise Unauthenticated("the API key was revoked while its answer ran; use the tenant's new one")
        anonymous = identity.how == "anonymous"
        settings = tenants.anonymous if anonymous else tenants.settings.get(identity.tenant)
        if settings is None:
            raise Forbidden("the tenant was removed while its answer ran")
        return settings

    async def _by_token(self, text: str, tenants: Tenants) -> Identity:
        if self._issuers is None:
            raise Unauthenticated("token: no issuer (iss) of tokens is trusted here; send an API key")
        token = await self._issuers.check(text)
        settings = tenants.settings.get(token.tenant)
        if settings is None:
            raise Forbidden("the tenant that the token names is not known here; ask those who run this service")
        return Identity(token.tenant, token.subject, settings, "token")

    def current(self) -> Tenants:
        """The tenants in force; another object once they have changed."""
        tenants = self._live.current()
        if tenants is not self._tenants:
            self._trust(tenants)
            self._tenants = tenants
        return tenants

    def _trust(self, tenants: Tenants) -> None:
        if tenants.issuers and self._issuers is None:
            # Here: it takes 9 MB and a moment, which who has only API keys does not need.
            from headrace.tenants.issuers import Issuers

            self._issuers = Issuers(self._now)
        if self._issuers is not None:
            self._issuers.trust(tenants)


def _anonymous(tenants: Tenants, shown: Credentials) -> Identity:
    """A proxy on this machine would make all the world look as if it asked from here."""
    here = shown.peer_is_loopback and shown.listens_on_loopback and not shown.through_proxy
    if tenants.anonymous is None or not here:
        raise Unauthenticated("no API key; send 'Authorization: Bearer <key>' or 'api-key: <key>'")
    return Identity(ANONYMOUS, "", tenants.anonymous, "anonymous")
