"""Tensors of the public models: what a client sends becomes a question, a piece of an answer becomes tensors."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from headrace.client import Chunk, Question
from headrace.client.question import INPUTS
from headrace.errors import InvalidRequest

Values: TypeAlias = "Sequence[Any]"
_MOST_VALUES = 4096
"""Of one tensor."""
_MANY = "stop_words"


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values
    """In row-major order: str, int, float or bool."""


def check_name(name: str) -> None:
    """Before anything is said of an input by its name. Raises `InvalidRequest`."""
    if name not in INPUTS:
        raise InvalidRequest("inputs", f"there is no input {name[:100]!r}; see the model's metadata")


def question(tensors: Iterable[Tensor]) -> Question:
    """Raises `InvalidRequest` that names the tensor."""
    found: dict[str, Any] = {}
    for tensor in tensors:
        name = tensor.name
        check_name(name)
        kind = INPUTS[name]
        if name in found:
            raise InvalidRequest(name, "is there twice; send it once")
        if tensor.datatype != kind.datatype:
            raise InvalidRequest(name, f"expected {kind.datatype}, got {tensor.datatype[:20]!r}")
        _check_shape(tensor)
        for value in tensor.values:
            _check_value(name, kind.datatype, value)
            if problem := kind.problem(value):
                raise InvalidRequest(name, problem)
        values = tuple(map(float, tensor.values)) if kind.datatype == "FP32" else tuple(tensor.values)
        found[name] = values if name == _MANY else values[0]
    return Question(**found)


def _check_shape(tensor: Tensor) -> None:
    if len(tensor.shape) != 2 or tensor.shape[0] != 1 or tensor.shape[1] < 1:
        expected = "[1, n]" if tensor.name == _MANY else "[1, 1]"
        raise InvalidRequest(tensor.name, f"expected the shape {expected}, got {list(tensor.shape)[:8]}")
    if tensor.name != _MANY and tensor.shape[1] != 1:
        raise InvalidRequest(tensor.name, f"expected the shape [1, 1], got {list(tensor.shape)}")
    if tensor.shape[1] > _MOST_VALUES:
        raise InvalidRequest(tensor.name, f"{tensor.shape[1]} values, at most {_MOST_VALUES} are read")
    if len(tensor.values) != tensor.shape[1]:
        problem = f"its shape says {tensor.shape[1]} values, {len(tensor.values)} were sent"
        raise InvalidRequest(tensor.name, problem)


_TYPES: dict[str, tuple[type, ...]] = {"BYTES": (str,), "BOOL": (bool,), "FP32": (int, float)}


def _check_value(name: str, datatype: str, value: Any) -> None:
    types = _TYPES.get(datatype, (int,))
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise InvalidRequest(name, f"expected values of {datatype}, got {type(value).__name__}")


def decoded(name: str, datatype: str, data: bytes) -> Values:
    """From the bytes of the binary forms. Raises `InvalidRequest`."""
    if datatype == "BYTES":
        return _strings(name, data)
    code = {"INT32": "i", "UINT64": "Q", "FP32": "f", "BOOL": "?"}.get(datatype)
    if code is None:
        raise InvalidRequest(name, f"the datatype {datatype[:20]!r} is not one of its model's")
    size = struct.calcsize(code)
    if len(data) % size:
        raise InvalidRequest(name, f"{len(data)} bytes are no whole number of {datatype} values")
    if len(data) // size > _MOST_VALUES:
        raise InvalidRequest(name, f"{len(data) // size} values, at most {_MOST_VALUES} are read")
    return struct.unpack(f"<{len(data) // size}{code}", data)


def _strings(name: str, data: bytes) -> list[str]:
    found: list[str] = []
    place = 0
    while place < len(data):
        if len(found) == _MOST_VALUES:
            raise InvalidRequest(name, f"at most {_MOST_VALUES} strings are read")
        end = place + 4
        length = int.from_bytes(data[place:end], "little")
        if end > len(data) or end + length > len(data):
            raise InvalidRequest(name, "its bytes end within a string; each begins with its length in 4 bytes")
        found.append(as_text(name, data[end : end + length]))
        place = end + length
    return found


def as_text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(name, f"not valid UTF-8 at byte {error.start}") from None


OUTPUTS: dict[str, tuple[str, Callable[[Chunk], Values]]] = {
    "text_output": ("BYTES", lambda chunk: (chunk.text,)),
    "finish_reason": ("BYTES", lambda chunk: (chunk.finish_reason or "",)),
    "prompt_tokens": ("INT32", lambda chunk: (chunk.prompt_tokens or 0,)),
    "completion_tokens": ("INT32", lambda chunk: (chunk.completion_tokens or 0,)),
    "log_probs": ("FP32", lambda chunk: chunk.log_probs),
    "log_prob_tokens": ("BYTES", lambda chunk: chunk.log_prob_tokens),
    "guard": ("BYTES", lambda chunk: (chunk.guard,)),
}
"""Name → datatype, and its values in a chunk."""


def answered(chunk: Chunk, names: Iterable[str]) -> list[Tensor]:
    """The outputs of these names."""
    found = []
    for name in names:
        datatype, of = OUTPUTS[name]
        values = of(chunk)
        found.append(Tensor(name, datatype, (1, len(values)), values))
    return found


def check_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """Those that were asked for, or all. Raises `InvalidRequest`."""
    for name in names:
        if name not in OUTPUTS:
            raise InvalidRequest("outputs", f"there is no output {name[:100]!r}; see the model's metadata")
    if len(set(names)) != len(names):
        raise InvalidRequest("outputs", "an output is asked for twice; name each once")
    return tuple(names) or tuple(OUTPUTS)


def encoded(datatype: str, values: Values) -> bytes:
    """As the binary forms have them."""
    if datatype == "BYTES":
        return b"".join([len(data).to_bytes(4, "little") + data for data in map(str.encode, values)])
    return struct.pack(f"<{len(values)}{'i' if datatype == 'INT32' else 'f'}", *values)
