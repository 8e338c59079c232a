"""gRPC's errors in our own words."""

from __future__ import annotations

import re

import grpc

from headrace import error_codes
from headrace.errors import EngineFailed, HeadraceError, QueueFull, RequestCancelled, Unavailable

# gRPC's own words, whatever code it gives them.
_CONNECTION_LOST = re.compile(
    r"socket closed|stream removed|connection reset|broken pipe|goaway|rst_stream|endpoint closing", re.IGNORECASE
)


def of_call(error: grpc.aio.AioRpcError, address: str) -> HeadraceError:
    code, said = error.code().name, without_ensemble(error.details() or "")
    message = error_codes.problem(said)
    match code:
        case "UNAVAILABLE" if "failed to connect" in message:
            return Unavailable(f"no server answers at {address}; start one with `headrace up`")
        case "UNAVAILABLE" | "INTERNAL" | "UNKNOWN" if _CONNECTION_LOST.search(message):
            return Unavailable(f"the server at {address} ended during this request; send it again")
        case "UNAVAILABLE":
            found = error_codes.read(said)
            return found if isinstance(found, QueueFull) else Unavailable(message)
        case "DEADLINE_EXCEEDED":
            return Unavailable(f"{address} did not answer in time")
        case "INVALID_ARGUMENT":
            return error_codes.read(message)
        case "CANCELLED":
            return RequestCancelled(message)
    return EngineFailed(message)


def of_stream(message: str) -> HeadraceError:
    return error_codes.read(without_ensemble(message))


def without_ensemble(message: str) -> str:
    """Triton puts the ensembles' names before a step's own words."""
    while message.startswith("in ensemble '") and "', " in message:
        message = message.partition("', ")[2]
    return message
