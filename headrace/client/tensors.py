"""Tensors of Triton's gRPC protocol, without numpy: what a request and an answer of text hold is small."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from headrace.errors import InvalidRequest

Message: TypeAlias = Any
"""`service_pb2.ModelInferRequest`: the generated code has no types."""
Outputs: TypeAlias = dict[str, bytes]
"""Name → the tensor's bytes, as the protocol has them."""

# What bytes that are no UTF-8 become in Python.
_SURROGATE = re.compile("[\ud800-\udfff]")
_LARGEST_FLOAT = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Kind:
    datatype: str
    encode: Callable[[Any], bytes]
    problem: Callable[[Any], str | None]
    """Why a value does not fit."""


def _text_problem(value: str) -> str | None:
    return "not valid UTF-8" if _SURROGATE.search(value) else None


def _encode_text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH.pack(len(data)) + data


def _integer(datatype: str, code: str, low: int, high: int) -> Kind:
    def problem(value: int) -> str | None:
        return None if low <= value <= high else f"must be between {low} and {high}, got {value}"

    return Kind(datatype, struct.Struct(code).pack, problem)


def _float_problem(value: float) -> str | None:
    fits = abs(value) <= _LARGEST_FLOAT  # false for NaN; a whole number may be too long to become a float
    return None if fits else f"must be a finite number of 32 bits, got {str(value)[:30]}"


BYTES = Kind("BYTES", _encode_text, _text_problem)
INT32 = _integer("INT32", "<i", -(2**31), 2**31 - 1)
UINT64 = _integer("UINT64", "<Q", 0, 2**64 - 1)
FP32 = Kind("FP32", struct.Struct("<f").pack, _float_problem)
BOOL = Kind("BOOL", struct.Struct("<?").pack, lambda _: None)


def add(message: Message, name: str, kind: Kind, values: Sequence[object]) -> None:
    """One input of shape [1, len(values)]. Raises `InvalidRequest` for what it cannot hold."""
    for value in values:
        if problem := kind.problem(value):
            raise InvalidRequest(name, problem)
    message.inputs.add(name=name, datatype=kind.datatype, shape=[1, len(values)])
    message.raw_input_contents.append(b"".join(map(kind.encode, values)))


def outputs(response: Any) -> Outputs:
    """Of a `service_pb2.ModelInferResponse`; a step may leave out all of them."""
    return {output.name: raw for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)}


def text(found: Outputs, name: str) -> str:
    """Of shape [1, 1]; empty when it is not there."""
    return found.get(name, b"")[_LENGTH.size :].decode("utf-8")


def texts(found: Outputs, name: str) -> tuple[str, ...]:
    """Of shape [1, n]."""
    raw, place, said = found.get(name, b""), 0, []
    while place < len(raw):
        begin = place + _LENGTH.size
        place = begin + _LENGTH.unpack_from(raw, place)[0]
        said.append(raw[begin:place].decode("utf-8"))
    return tuple(said)


def integer(found: Outputs, name: str) -> int | None:
    """INT32 of shape [1, 1]."""
    raw = found.get(name)
    return int.from_bytes(raw[:4], "little", signed=True) if raw else None


def floats(found: Outputs, name: str) -> tuple[float, ...]:
    """FP32."""
    raw = found.get(name, b"")
    return struct.unpack(f"<{len(raw) // 4}f", raw)
