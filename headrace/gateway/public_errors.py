"""Errors as clients hear of them, whatever the dialect: in words that are for them."""

from __future__ import annotations

import structlog

from headrace.errors import HeadraceError

log = structlog.get_logger()
_MOST_LOGGED = 500
"""Characters of what Triton or a library says."""


def public(error: HeadraceError, request_id: str | None = None) -> HeadraceError:
    """The error itself where its message is for clients; else one that means the same and says its `public`
    sentence and the request's id, while the message goes to the log."""
    if error.public is None:
        return error
    problem = str(error)[:_MOST_LOGGED]
    log.warning("what a client is not told", error=type(error).__name__, problem=problem, request_id=request_id)
    return _Public(error, error.public if request_id is None else f"{error.public} (request {request_id})")


def defect(asked: str, error: Exception) -> HeadraceError:
    """What a client hears of what nobody expected; the log hears all. `asked`: an address or a method."""
    log.error("a defect in the gateway", asked=asked, exc_info=error)
    return HeadraceError("a defect; the gateway's log has it")


class _Public(HeadraceError):
    """Means what `error` means."""

    public = None

    def __init__(self, error: HeadraceError, message: str) -> None:
        super().__init__(message)
        self.grpc_code = error.grpc_code
        self.http_status = error.http_status
        self.openai_type = error.openai_type
        self.openai_code = error.openai_code
        self.retry_after = error.retry_after
