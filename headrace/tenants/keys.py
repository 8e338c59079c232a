"""API keys: `hr_<key id>_<secret>`, of which only the SHA-256 is kept.

The secret is 256 random bits, 43 characters of base64url. Nobody can guess through those, so the hash need not be
slow as one of passwords must be. The hash is of the whole key as UTF-8: `printf %s "$KEY" | sha256sum`.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.errors import Unauthenticated
from headrace.tenants.settings import Settings

PREFIX = "hr_"
LIVE_KEYS = 2
"""That a tenant may have at a time: the old one and the new one of a rotation."""
_SECRET_BYTES = 32
_KEY = re.compile(rf"{PREFIX}\w+[\w-]{{43}}")
_AFTER_ID = 1 + 43
"""Characters: the underscore and the secret."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    id: str
    sha256: bytes
    settings: Settings
    expires: float = math.inf
    """Seconds since 1970; from then on it is refused."""


class KeyRing:
    """All keys of all tenants."""

    def __init__(self, keys: Iterable[StoredKey]) -> None:
        self._keys = {key.id: key for key in keys}

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def find(self, key: str, now: float) -> StoredKey:
        """Whose it is. Raises `Unauthenticated`, the same for a wrong id, a wrong secret and what is no key.

        An unknown id takes as long as a known one: it is compared too, with a hash that nothing has.
        """
        stored = self._keys.get(key[len(PREFIX) : -_AFTER_ID], _NOBODYS)
        fits = hmac.compare_digest(sha256(key), stored.sha256)
        if not fits or stored is _NOBODYS:
            raise Unauthenticated("the API key is not valid; check that it is complete, or ask for a new one")
        if now >= stored.expires:
            raise Unauthenticated("the API key has expired; use the tenant's new one, or ask for one")
        return stored


def generate() -> tuple[str, str]:
    """A new key's id, and the key itself, which nobody can be told again."""
    key_id = secrets.token_hex(6)
    return key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def hidden(text: str) -> str:
    """The text without keys that got into it by mistake, such as one pasted where its hash belongs."""
    return _KEY.sub(f"{PREFIX}…", text)


def sha256(key: str) -> bytes:
    # A header may hold anything; what is no text is no key either.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


_NOBODYS = StoredKey("", secrets.token_bytes(32), Settings("", ""))
