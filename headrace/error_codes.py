"""Errors as one line of text. On a stream of Triton's an error has nothing else: its code is lost on the way.

So a step ends what it says by the code in brackets. What is the client's own fault has none: it begins with the
name of a field.
"""

from __future__ import annotations

import re

from headrace.errors import EngineFailed, HeadraceError, InvalidRequest, QueueFull, RequestCancelled, Unavailable

_CODED = re.compile(r"(?P<problem>.*) \[(?P<code>[A-Z_]+)\]", re.DOTALL)
_OF_FIELD = re.compile(r"(?P<field>[a-z][a-z0-9_.-]*): (?P<problem>.*)", re.DOTALL)
"""As `InvalidRequest` has it. What else has a colon, such as the name of an exception, is not ours."""
_QUEUE_FULL = "QUEUE_FULL"
"""For gRPC as unavailable as an engine that is away, but nobody needs to be told that it is."""
_KINDS: dict[str, type[HeadraceError]] = {
    EngineFailed.grpc_code: EngineFailed,
    RequestCancelled.grpc_code: RequestCancelled,
    Unavailable.grpc_code: Unavailable,
    _QUEUE_FULL: QueueFull,
}


def written(error: HeadraceError) -> str:
    if isinstance(error, InvalidRequest):
        return str(error)
    return f"{error} [{_QUEUE_FULL if isinstance(error, QueueFull) else error.grpc_code}]"


def read(message: str) -> HeadraceError:
    if coded := _CODED.fullmatch(message):
        return _KINDS.get(coded["code"], HeadraceError)(coded["problem"])
    if of_field := _OF_FIELD.fullmatch(message):
        return InvalidRequest(of_field["field"], of_field["problem"])
    return HeadraceError(message)  # Triton's own


def problem(message: str) -> str:
    """Without its code."""
    coded = _CODED.fullmatch(message)
    return coded["problem"] if coded else message
