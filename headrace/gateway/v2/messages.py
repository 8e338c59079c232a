"""gRPC's messages: from a request's to tensors, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tritonclient.grpc import service_pb2

from headrace.client import Chunk
from headrace.errors import InvalidRequest
from headrace.gateway.v2 import tensors
from headrace.gateway.v2.tensors import Tensor, Values

_PARAMETERS = frozenset({"triton_enable_empty_final_response", "timeout", "binary_data_output"})
_CONTENTS: dict[str, Callable[[Any], Sequence[Any]]] = {
    "BYTES": lambda contents: contents.bytes_contents,
    "INT32": lambda contents: contents.int_contents,
    "UINT64": lambda contents: contents.uint64_contents,
    "FP32": lambda contents: contents.fp32_contents,
    "BOOL": lambda contents: contents.bool_contents,
}


def read(request: Any) -> list[Tensor]:
    """The inputs of a `ModelInferRequest`. Raises `InvalidRequest`."""
    if unknown := sorted(set(request.parameters) - _PARAMETERS):
        raise InvalidRequest("parameters", f"{unknown[0][:100]!r} is not served; remove it")
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(
            "raw_input_contents", f"{len(raw)} for {len(request.inputs)} inputs; send one for each, or none"
        )
    return [_tensor(sent, raw[place] if raw else None) for place, sent in enumerate(request.inputs)]


def _tensor(sent: Any, raw: bytes | None) -> Tensor:
    if sent.parameters:
        raise InvalidRequest(sent.name, f"{min(sent.parameters)[:100]!r} is not served; remove it")
    values = _values(sent) if raw is None else tensors.decoded(sent.name, sent.datatype, raw)
    return Tensor(sent.name, sent.datatype, tuple(sent.shape), values)


def _values(sent: Any) -> Values:
    if sent.datatype not in _CONTENTS:
        raise InvalidRequest(sent.name, f"the datatype {sent.datatype[:20]!r} is not one of its model's")
    found = _CONTENTS[sent.datatype](sent.contents)
    return [tensors.as_text(sent.name, item) for item in found] if sent.datatype == "BYTES" else list(found)


def outputs_of(request: Any) -> tuple[str, ...]:
    """Those that it asks for, or all. Raises `InvalidRequest`."""
    for output in request.outputs:
        if output.parameters:
            raise InvalidRequest("outputs", f"{min(output.parameters)[:100]!r} is not served; remove it")
    return tensors.check_outputs([output.name for output in request.outputs])


def written(request: Any, chunk: Chunk, names: Sequence[str], version: str) -> Any:
    """A `ModelInferResponse`."""
    response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=version, id=request.id)
    for tensor in tensors.answered(chunk, names):
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        response.raw_output_contents.append(tensors.encoded(tensor))
    return response
