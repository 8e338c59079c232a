"""What the `model.py` adapters share: the glue between Triton's Python backend and plain Python.

Only these adapters import this module: `triton_python_backend_utils` exists only inside Triton's stub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from headrace import error_codes, logs
from headrace.errors import HeadraceError, InvalidRequest
from headrace.serving import stubs
from headrace.triton.tensors import GetTensor, Outputs

FINAL = 1
"""TRITONSERVER_RESPONSE_COMPLETE_FINAL: the request gets nothing more."""

MAX_ID_LENGTH = 1024

logs.configure(stubs.own_name())
log = structlog.get_logger()

# gRPC codes to the names in `pb_utils.TritonError`, which the stub fills in only after this import.
_CODES = {"INVALID_ARGUMENT": "INVALID_ARG"}


def reader(request: Any) -> GetTensor:
    """Looks inputs up by name; None for those that the client left out."""

    def get(name: str) -> NDArray[Any] | None:
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        if tensor is None:
            return None
        array: NDArray[Any] = tensor.as_numpy()
        return array

    return get


def request_id(request: Any) -> str:
    """Raises `InvalidRequest` for one that is no text or too long."""
    try:
        name = str(request.request_id())
    except UnicodeDecodeError:
        raise InvalidRequest("id", "not valid UTF-8") from None
    if len(name) > MAX_ID_LENGTH:
        raise InvalidRequest("id", f"{len(name)} characters, at most {MAX_ID_LENGTH} are allowed")
    return name


def known_id(request: Any) -> str:
    """For logs: empty when it is not one that a request may have."""
    try:
        return request_id(request)
    except InvalidRequest:
        return ""


def response(outputs: Outputs) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in outputs.items()])


def error_response(error: Exception) -> Any:
    """A typed error for the client. What is not one of ours is a defect: logged whole, told in one line."""
    if not isinstance(error, HeadraceError):
        log.error("defect in a step", exc_info=error)
        error = HeadraceError("internal error; see the server's log")
    code = getattr(pb_utils.TritonError, _CODES.get(error.grpc_code, error.grpc_code))
    message = error_codes.written(error)
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def answer_each(requests: list[Any], answer: Callable[[GetTensor], Outputs]) -> list[Any]:
    """One response per request; a request that fails does not disturb the others of its batch."""
    responses = []
    for request in requests:
        try:
            responses.append(response(answer(reader(request))))
        except Exception as error:  # noqa: BLE001 - a step must answer every request
            responses.append(error_response(error))
    return responses
