"""Against pages of other sites in a browser: they must not use the gateway of who looks at them.

A page can send simple requests anywhere, and by DNS rebinding even read the answers of a server on the own
machine, which serves who shows no key. So no other origin may send anything, and on loopback only names of
loopback are served. CORS (the Fetch standard's protocol for it) is for those that are named alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from headrace.errors import Forbidden
from headrace.tenants.credentials import is_loopback

_WANTED = "access-control-request-method"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def check(method: str, headers: Mapping[str, str], listens_on_loopback: bool, named: Collection[str] = ()) -> None:
    """`headers`: by small names. `named`: origins whose pages may ask. Raises `Forbidden`."""
    host = headers.get("host", "")
    if listens_on_loopback and not _names_loopback(host):
        raise Forbidden(f"host: {host[:100]!r} is no name of this machine's loopback; use 127.0.0.1 or localhost")
    origin = headers.get("origin")
    if origin is None or origin in named:
        return
    if method not in _READING and origin.partition("://")[2] != host:
        raise Forbidden(f"origin: pages of {origin[:100]!r} may not send requests here")


def readable(headers: Mapping[str, str], named: Collection[str]) -> list[tuple[bytes, bytes]]:
    """Headers of every answer, by which a browser lets a page of a named origin read it."""
    if not named:
        return []
    varies = [(b"vary", b"origin")]
    origin = headers.get("origin")
    if origin is None or origin not in named:
        return varies
    return [*varies, (b"access-control-allow-origin", origin.encode()), (b"access-control-expose-headers", b"*")]


def preflight(method: str, headers: Mapping[str, str], named: Collection[str]) -> list[tuple[bytes, bytes]] | None:
    """What a browser is told that asks whether a page of a named origin may send; None if it asks nothing so."""
    if method != "OPTIONS" or _WANTED not in headers or headers.get("origin") not in named:
        return None
    wanted = headers.get("access-control-request-headers", "").encode("latin-1")
    return [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", wanted),
        (b"access-control-max-age", b"600"),
    ]


def _names_loopback(host: str) -> bool:
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    return name.lower() == "localhost" or is_loopback(name.strip("[]"))
