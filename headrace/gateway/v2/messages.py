"""gRPC's messages: from a request's to tensors, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from headrace.client import Chunk
from headrace.client.protocol import service_pb2
from headrace.errors import InvalidRequest
from headrace.gateway.v2 import requests, tensors
from headrace.gateway.v2.tensors import OUTPUTS, Tensor, Values

_FINAL = "triton_final_response"
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
    requests.check_id(request.id)
    if unknown := sorted(set(request.parameters) - _PARAMETERS):
        raise InvalidRequest("parameters", f"{unknown[0][:100]!r} is not served; remove it")
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(
            "raw_input_contents", f"{len(raw)} for {len(request.inputs)} inputs; send one for each, or none"
        )
    return [_tensor(sent, raw[place] if raw else None) for place, sent in enumerate(request.inputs)]


def _tensor(sent: Any, raw: bytes | None) -> Tensor:
    tensors.check_name(sent.name)
    if sent.parameters:
        raise InvalidRequest(sent.name, f"{min(sent.parameters)[:100]!r} is not served; remove it")
    values = _values(sent) if raw is None else tensors.decoded(sent.name, sent.datatype, raw)
    return Tensor(sent.name, sent.datatype, tuple(sent.shape), values)


def _values(sent: Any) -> Values:
    if sent.datatype not in _CONTENTS:
        raise InvalidRequest(sent.name, f"the datatype {sent.datatype[:20]!r} is not one of its model's")
    found = _CONTENTS[sent.datatype](sent.contents)
    return [tensors.as_text(sent.name, item) for item in found] if sent.datatype == "BYTES" else list(found)


def timeout_of(request: Any) -> int | None:
    """Microseconds that it may take. Raises `InvalidRequest`."""
    if "timeout" not in request.parameters:
        return None
    sent = request.parameters["timeout"]
    kind = sent.WhichOneof("parameter_choice")
    return requests.timeout(getattr(sent, kind) if kind else "")


def outputs_of(request: Any) -> tuple[str, ...]:
    """Those that it asks for, or all. Raises `InvalidRequest`."""
    for output in request.outputs:
        if output.parameters:
            raise InvalidRequest("outputs", f"{min(output.parameters)[:100]!r} is not served; remove it")
    return tensors.check_outputs([output.name for output in request.outputs])


class Writer:
    """The responses of one request. What is the same in all of them is made once: a stream has many."""

    def __init__(self, request: Any, names: Sequence[str], version: str, stream: bool) -> None:
        """`stream`: each response says whether it is the last one."""
        self._request = request
        self._outputs = [(name, *OUTPUTS[name]) for name in names]
        self._version = version
        self._stream = stream
        self._templates: dict[tuple[int, ...], Any] = {}
        """By how many values each output has."""

    def written(self, chunk: Chunk) -> Any:
        """A `ModelStreamInferResponse`."""
        values = [of(chunk) for _, _, of in self._outputs]
        sizes = tuple(map(len, values))
        template = self._templates.get(sizes)
        if template is None:
            template = self._templates[sizes] = self._template(sizes)
        message = service_pb2.ModelStreamInferResponse()
        response = message.infer_response
        response.CopyFrom(template)
        response.raw_output_contents.extend(
            [tensors.encoded(datatype, said) for (_, datatype, _), said in zip(self._outputs, values, strict=True)]
        )
        if self._stream and chunk.finish_reason is not None:
            response.parameters[_FINAL].bool_param = True
        return message

    def _template(self, sizes: Sequence[int]) -> Any:
        request = self._request
        response = service_pb2.ModelInferResponse(
            model_name=request.model_name, model_version=self._version, id=request.id
        )
        for (name, datatype, _), size in zip(self._outputs, sizes, strict=True):
            response.outputs.add(name=name, datatype=datatype, shape=(1, size))
        if self._stream:
            response.parameters[_FINAL].bool_param = False
        return response
