"""Read one request's tensors into Python values, with errors that name the tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.errors import InvalidRequest

Outputs = dict[str, NDArray[Any]]
GetTensor = Callable[[str], NDArray[Any] | None]
"""The array of an input, shape [1, n], or None when the client left it out."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a batch."""

    get: GetTensor
    id: str = ""


def text(get: GetTensor, name: str, max_bytes: int) -> str | None:
    """One UTF-8 string of a STRING [1, 1] tensor."""
    data = raw_text(get, name, max_bytes)
    return None if data is None else _decode(data, name)


def written(get: GetTensor, name: str, max_bytes: int) -> str:
    """What a model wrote, empty when left out: unlike a client it may write a NUL."""
    data = raw_text(get, name, max_bytes)
    return "" if data is None else _utf8(data, name)


def raw_text(get: GetTensor, name: str, max_bytes: int) -> bytes | None:
    """The bytes of a STRING [1, 1] tensor, not decoded."""
    array = get(name)
    if array is None:
        return None
    data = _bytes(_one(array, name))
    if len(data) > max_bytes:
        raise InvalidRequest(name, f"{len(data)} bytes, at most {max_bytes} are allowed")
    return data


def texts(get: GetTensor, name: str, max_count: int, max_bytes: int) -> tuple[str, ...]:
    """The strings of a STRING [1, n] tensor; empty when left out. `max_bytes` bounds them together."""
    array = get(name)
    if array is None:
        return ()
    items = [_bytes(item) for item in _row(array, name)]
    if len(items) > max_count:
        raise InvalidRequest(name, f"{len(items)} strings, at most {max_count} are allowed")
    if (total := sum(map(len, items))) > max_bytes:
        raise InvalidRequest(name, f"{total} bytes in all, at most {max_bytes} are allowed")
    return tuple(_decode(item, name) for item in items)


def pieces(get: GetTensor, name: str) -> tuple[str, ...]:
    """The strings of a [1, n] tensor that another step wrote; empty when left out."""
    array = get(name)
    return () if array is None else tuple(_utf8(_bytes(item), name) for item in _row(array, name))


def number(get: GetTensor, name: str) -> float | None:
    array = get(name)
    return None if array is None else float(_one(array, name))


def integer(get: GetTensor, name: str) -> int | None:
    array = get(name)
    return None if array is None else int(_one(array, name))


def flag(get: GetTensor, name: str, default: bool = False) -> bool:
    array = get(name)
    return default if array is None else bool(_one(array, name))


def integers(get: GetTensor, name: str, max_count: int | None = None) -> tuple[int, ...]:
    """The numbers of an [1, n] tensor; empty when left out."""
    array = get(name)
    if array is None:
        return ()
    row = _row(array, name)
    if max_count is not None and row.size > max_count:
        raise InvalidRequest(name, f"{row.size} values, at most {max_count} are allowed")
    return tuple(row.tolist())


def numbers(get: GetTensor, name: str) -> tuple[float, ...]:
    array = get(name)
    return () if array is None else tuple(_row(array, name).tolist())


def string_tensor(*values: str) -> NDArray[np.object_]:
    """Shape [1, n] of UTF-8 bytes, as Triton's Python backend wants STRING tensors."""
    return np.array([[value.encode() for value in values]], dtype=np.object_)


def row(values: Any, dtype: Any) -> NDArray[Any]:
    """Shape [1, n]."""
    return np.asarray(values, dtype=dtype).reshape(1, -1)


def _row(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.ndim == 2 and array.shape[0] != 1:
        raise InvalidRequest(name, f"a batch of {array.shape[0]}; send one prompt a request, shape [1, n]")
    return array.reshape(-1)


def _one(array: NDArray[Any], name: str) -> Any:
    row = _row(array, name)
    if row.size != 1:
        raise InvalidRequest(name, f"{row.size} values, expected one, shape [1, 1]")
    return row[0]


def _bytes(item: Any) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()


def _utf8(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(name, f"not valid UTF-8 at byte {error.start}") from None


def _decode(data: bytes, name: str) -> str:
    value = _utf8(data, name)
    if "\0" in value:
        raise InvalidRequest(name, f"holds a NUL character at place {value.index(chr(0))}; remove it")
    return value
