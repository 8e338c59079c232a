"""What every answer tells beside its text: HTTP's headers, and over gRPC the metadata at its end."""

from __future__ import annotations

from headrace.cost import money
from headrace.gateway.ask import Call
from headrace.gateway.exchange import Exchange
from headrace.limits.headers import Headers, standing

_Header = tuple[bytes, bytes]


def call(found: Call) -> _Header:
    return b"x-request-id", found.request_id.encode()


def exchange(found: Exchange) -> Headers:
    """What is known when its answer begins."""
    return [(b"x-headrace-cache", found.cache.encode()), *standing(found.standing)]


def cost(found: Exchange, currency: str) -> _Header:
    """Once all of its pieces were read; for a stream that is too late."""
    return b"x-headrace-cost", f"{money.written(found.usage.cost)} {currency}".encode()
