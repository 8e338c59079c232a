"""Requests that cannot even be read: how HTTP's server tells so, on its own."""

from __future__ import annotations

from headrace.errors import HeadraceError, InvalidRequest, TooSlow
from headrace.gateway import answers
from headrace.limits.headers import Headers

SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""Of every answer."""


class TooManyHeaders(InvalidRequest):
    """More of them, or bigger ones, than are read."""

    http_status = 431


def _written(error: HeadraceError, reason: str) -> bytes:
    """In the shape of OpenAI's errors: what was asked is not known."""
    body = answers.json_body(answers.error_said(error, "openai"))
    headers = [*body.headers, *SECURITY, (b"connection", b"close")]
    lines = b"".join([b"%s: %s\r\n" % header for header in headers])
    status = f"HTTP/1.1 {error.http_status} {reason}\r\n".encode()
    return b"%s%scontent-length: %d\r\n\r\n%s" % (status, lines, len(body.content), body.content)


TOO_BIG = _written(TooManyHeaders("headers", "too many or too big; send fewer"), "Request Header Fields Too Large")
TOO_SLOW = _written(TooSlow("headers", "they did not come in time; send them at once"), "Request Timeout")
BAD = _written(InvalidRequest("request", "no HTTP as it is read here; use a client that speaks it"), "Bad Request")
