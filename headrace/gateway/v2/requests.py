"""What Triton's HTTP clients send to /infer and /generate, typed."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.client.question import INPUTS
from headrace.errors import InvalidRequest
from headrace.gateway.v2 import tensors
from headrace.gateway.v2.tensors import Tensor

HEADER_LENGTH = "inference-header-content-length"
MOST_ID = 256
"""Bytes of the id that a client gives its request: it is in each of its answers."""
_DIGITS = 19
"""Of a length."""
_PARAMETERS = frozenset({"binary_data_output", "timeout"})
_OF_TENSOR = frozenset({"binary_data_size"})
_OF_OUTPUT = frozenset({"binary_data"})


class Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] = {}


class InferBody(msgspec.Struct, forbid_unknown_fields=True):
    inputs: list[Input]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[Output] = []


class Infer(msgspec.Struct, frozen=True):
    """A whole request."""

    id: str
    inputs: list[Tensor]
    outputs: tuple[str, ...]
    binary: frozenset[str]
    """Outputs that are wanted in bytes."""
    timeout: int | None
    """Microseconds."""


_infer = msgspec.json.Decoder(InferBody)


def read_infer(body: bytes, header_length: str | None) -> Infer:
    """JSON, and after it the bytes of the inputs that are sent so (Triton's binary tensor data extension).

    Raises `InvalidRequest`.
    """
    head, binary = _parted(body, header_length)
    said = _decoded(head)
    check_id(said.id)
    _known(said.parameters, _PARAMETERS, "parameters")
    inputs = []
    for sent in said.inputs:
        tensor, binary = _tensor(sent, binary)
        inputs.append(tensor)
    if binary:
        raise InvalidRequest("inputs", f"{len(binary)} bytes at the end belong to no input")
    for output in said.outputs:
        _known(output.parameters, _OF_OUTPUT, f"outputs.{output.name[:100]}.parameters")
    names = tensors.check_outputs([output.name for output in said.outputs])
    whole = said.parameters.get("binary_data_output") is True
    wanted = {output.name for output in said.outputs if output.parameters.get("binary_data", whole) is True}
    return Infer(
        said.id,
        inputs,
        names,
        frozenset(names if whole and not said.outputs else wanted),
        timeout(said.parameters.get("timeout")),
    )


def _parted(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    length = int(header_length) if header_length.isdecimal() and len(header_length) <= _DIGITS else -1
    if not 0 <= length <= len(body):
        raise InvalidRequest(HEADER_LENGTH, f"expected a length within the body, got {header_length[:50]!r}")
    return body[:length], body[length:]


def _decoded(head: bytes) -> InferBody:
    try:
        return _infer.decode(head)
    except msgspec.ValidationError as error:
        raise InvalidRequest("body", str(error)[:500]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("body", f"not valid JSON: {str(error)[:200]}") from None


def _tensor(sent: Input, binary: bytes) -> tuple[Tensor, bytes]:
    """And what is left of the bytes."""
    tensors.check_name(sent.name)
    _known(sent.parameters, _OF_TENSOR, f"{sent.name}.parameters")
    size = sent.parameters.get("binary_data_size")
    shape = tuple(sent.shape)
    if size is None:
        return Tensor(sent.name, sent.datatype, shape, _flat(sent.name, sent.data)), binary
    if sent.data is not None:
        raise InvalidRequest(sent.name, "send either data or binary_data_size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise InvalidRequest(sent.name, f"binary_data_size: there are {len(binary)} bytes, not {str(size)[:30]}")
    values = tensors.decoded(sent.name, sent.datatype, binary[:size])
    return Tensor(sent.name, sent.datatype, shape, values), binary[size:]


def _flat(name: str, data: list[Any] | None) -> list[Any]:
    """Nested as the shape is, or flat."""
    if data is None:
        raise InvalidRequest(name, "it has no data")
    if len(data) == 1 and isinstance(data[0], list):
        data = data[0]
    return data


def check_id(request_id: str) -> None:
    """Raises `InvalidRequest`, which does not repeat it."""
    if len(request_id.encode()) > MOST_ID:
        raise InvalidRequest("id", f"at most {MOST_ID} bytes are taken; send a shorter one")


def _known(parameters: dict[str, Any], names: frozenset[str], field: str) -> None:
    if unknown := sorted(parameters.keys() - names):
        raise InvalidRequest(field, f"{unknown[0][:100]!r} is not served; remove it")


def timeout(value: Any) -> int | None:
    """The parameter of this name: microseconds. Raises `InvalidRequest`."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise InvalidRequest("timeout", "expected microseconds, a whole number above 0")
    return value


def read_generate(body: bytes) -> tuple[str, list[Tensor]]:
    """A JSON object of the inputs by name, and `id`. Raises `InvalidRequest`."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.ValidationError:
        raise InvalidRequest("body", "expected a JSON object of inputs by name") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("body", f"not valid JSON: {str(error)[:200]}") from None
    request_id = said.pop("id", "")
    if not isinstance(request_id, str):
        raise InvalidRequest("id", "expected a string")
    check_id(request_id)
    found = []
    for name, value in said.items():
        kind = INPUTS.get(name)
        values = value if isinstance(value, list) else [value]
        found.append(Tensor(name, kind.datatype if kind else "", (1, len(values)), values))
    return request_id, found
