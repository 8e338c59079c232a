"""What goes into Triton: the public inputs, and the same request in the form of each protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

DATATYPES = {
    "text_input": "BYTES",
    "messages": "BYTES",
    "max_tokens": "INT32",
    "min_tokens": "INT32",
    "temperature": "FP32",
    "top_k": "INT32",
    "top_p": "FP32",
    "random_seed": "UINT64",
    "stop_words": "BYTES",
    "frequency_penalty": "FP32",
    "presence_penalty": "FP32",
    "repetition_penalty": "FP32",
    "return_log_probs": "BOOL",
    "response_format": "BYTES",
    "cache_scope": "BYTES",
    "guard_policy": "BYTES",
    # of the engine's own models
    "input_ids": "INT32",
    "stop": "BOOL",
}
"""The contract: the public inputs and their datatypes."""

PUBLIC = {name: datatype for name, datatype in DATATYPES.items() if name not in {"input_ids", "stop"}}
OPTIONS: dict[str, Any] = {
    "max_tokens": 20,
    "min_tokens": 2,
    "temperature": 0.7,
    "top_k": 40,
    "top_p": 0.9,
    "random_seed": 7,
    "stop_words": ["never"],
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "repetition_penalty": 1.1,
    "return_log_probs": True,
    "response_format": '{"type":"string"}',
    "cache_scope": "a",
    "guard_policy": "off",
}
"""A good value for every public input that is no prompt."""

NUMPY = {"INT32": np.int32, "INT64": np.int64, "FP32": np.float32, "UINT64": np.uint64, "BOOL": np.bool_}


@dataclass(frozen=True)
class Tensor:
    """An input that is to travel just as it is, right or wrong."""

    values: Sequence[Any]
    shape: tuple[int, ...]
    datatype: str


Inputs = Mapping[str, Any]
"""A value for a [1, 1] tensor, a list for a [1, n] one, or a `Tensor`."""


def tensors(inputs: Inputs) -> Iterator[tuple[str, Tensor]]:
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            yield name, value
            continue
        values = value if isinstance(value, list) else [value]
        yield name, Tensor(values, (1, len(values)), DATATYPES.get(name, "BYTES"))


def grpc_request(model: str, inputs: Inputs, request_id: str = "") -> Any:
    request = service_pb2.ModelInferRequest(model_name=model, id=request_id)
    for name, tensor in tensors(inputs):
        request.inputs.add(name=name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(_raw(tensor))
    return request


def _raw(tensor: Tensor) -> bytes:
    if tensor.datatype == "BYTES":
        items = [item if isinstance(item, bytes) else item.encode() for item in tensor.values]
        return b"".join(struct.pack("<I", len(item)) + item for item in items)
    return np.array(tensor.values, dtype=NUMPY[tensor.datatype]).tobytes()


def infer_body(inputs: Inputs, request_id: str = "") -> bytes:
    """The JSON of /infer. Like most clients' JSON it may hold NaN."""
    body = {
        "id": request_id,
        "inputs": [
            {"name": name, "datatype": t.datatype, "shape": t.shape, "data": list(t.values)}
            for name, t in tensors(inputs)
        ],
    }
    return json.dumps(body, default=as_text).encode()


def as_text(value: bytes) -> str:
    return value.decode("utf-8")
