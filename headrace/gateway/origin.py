"""Against pages of other sites in a browser: they must not use the gateway of who looks at them.

A page can send simple requests anywhere, and by DNS rebinding even read the answers of a server on the own
machine, which serves who shows no key. So no other origin may send anything, and on loopback only names of
loopback are served. There is no CORS.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.errors import Forbidden
from headrace.tenants.credentials import is_loopback

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def check(method: str, headers: Mapping[str, str], listens_on_loopback: bool) -> None:
    """`headers`: by small names. Raises `Forbidden`."""
    host = headers.get("host", "")
    if listens_on_loopback and not _names_loopback(host):
        raise Forbidden(f"host: {host[:100]!r} is no name of this machine's loopback; use 127.0.0.1 or localhost")
    origin = headers.get("origin")
    if origin is not None and method not in _READING and origin.partition("://")[2] != host:
        raise Forbidden(f"origin: pages of {origin[:100]!r} may not send requests here")


def _names_loopback(host: str) -> bool:
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    return name.lower() == "localhost" or is_loopback(name.strip("[]"))
