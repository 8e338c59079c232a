"""What a request shows of who asks, and where it comes from: the same for all dialects."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from headrace.errors import InvalidRequest, Unauthenticated

_KEY_HEADERS = ("authorization", "api-key", "x-api-key")
_PROXY_HEADERS = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"})
_QUERY_NAMES = frozenset(
    {"key", "api_key", "api-key", "apikey", "x-api-key", "token", "access_token", "auth", "authorization"}
)


@dataclass(frozen=True, slots=True)
class Credentials:
    authorization: tuple[str, ...] = ()
    """Every value of this header as given, however its name was written."""
    api_key: tuple[str, ...] = ()
    x_api_key: tuple[str, ...] = ()
    through_proxy: bool = False
    """A header says that somebody passed it on. What else such headers say is not believed."""
    key_in_query: bool = False
    """See `names_a_key`."""
    peer_is_loopback: bool = False
    """The other end of the connection, see `is_loopback`."""
    listens_on_loopback: bool = False
    """The gateway, and nowhere else."""

    @classmethod
    def of(
        cls,
        headers: Iterable[tuple[str, str]],
        *,
        query: str = "",
        peer_is_loopback: bool,
        listens_on_loopback: bool,
    ) -> Credentials:
        """`headers`: every pair of a request's headers, or of a call's metadata."""
        found: dict[str, list[str]] = {name: [] for name in _KEY_HEADERS}
        through_proxy = False
        for name, value in headers:
            lower = name.lower()
            if lower in found:
                found[lower].append(value)
            elif lower in _PROXY_HEADERS:
                through_proxy = True
        return cls(
            tuple(found["authorization"]),
            tuple(found["api-key"]),
            tuple(found["x-api-key"]),
            through_proxy=through_proxy,
            key_in_query=names_a_key(query),
            peer_is_loopback=peer_is_loopback,
            listens_on_loopback=listens_on_loopback,
        )

    def secret(self) -> tuple[str, bool] | None:
        """The one key or token, and whether it may be a token; None when nothing is shown.

        Raises `InvalidRequest` when there are several, as RFC 6750 (3.1) has it, or one in the query;
        `Unauthenticated` for a scheme other than Bearer. No message repeats a secret.
        """
        if self.key_in_query:
            raise InvalidRequest(
                "query", "a key in the address ends up in logs; send it as a header and replace it"
            )
        for name, values in zip(_KEY_HEADERS, (self.authorization, self.api_key, self.x_api_key), strict=True):
            if len(values) > 1:
                raise InvalidRequest(name, "is there more than once; send one")
        shown = {value.strip() for values in (self.api_key, self.x_api_key) for value in values}
        if self.authorization:
            shown.add(_bearer(self.authorization[0]))
        if len(shown) > 1:
            raise InvalidRequest("authorization", "two different keys are shown; send one")
        return (shown.pop(), bool(self.authorization)) if shown else None


def _bearer(value: str) -> str:
    scheme, _, secret = value.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("authorization: expected 'Bearer <key or token>'")
    return secret.strip()


def names_a_key(query: str) -> bool:
    """Whether the part of an address after the `?` holds what looks like a key by its name."""
    if not query:
        return False
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    return any(name.strip().lower() in _QUERY_NAMES for name, _ in pairs)


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether this is an address of the own machine: `127.0.0.1`, `::1`, `::ffff:127.0.0.1`. Names are not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
