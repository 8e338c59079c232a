"""Every way into Triton, with one shape for what comes back, so that one table of cases runs through all."""

from __future__ import annotations

import http.client
import json
import struct
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.stack import Stack

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
    # of the engine's own models
    "input_ids": "INT32",
    "stop": "BOOL",
}
"""The contract: the public inputs and their datatypes."""

NUMPY = {"INT32": np.int32, "INT64": np.int64, "FP32": np.float32, "UINT64": np.uint64, "BOOL": np.bool_}
SECONDS = 120.0
NO_CODE = "a message without a code"
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Tensor:
    """An input that is to travel just as it is, right or wrong."""

    values: Sequence[Any]
    shape: tuple[int, ...]
    datatype: str


Inputs = Mapping[str, Any]
"""A value for a [1, 1] tensor, a list for a [1, n] one, or a `Tensor`."""


@dataclass(frozen=True)
class Piece:
    """One response."""

    text: bytes
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    log_probs: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return b"".join(piece.text for piece in self.pieces).decode("utf-8", "strict")

    @property
    def last(self) -> Piece:
        return self.pieces[-1]

    @property
    def log_probs(self) -> tuple[float, ...]:
        return tuple(p for piece in self.pieces for p in piece.log_probs)


class Refused(Exception):
    """An error as the client sees it."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        """A gRPC code's name or an HTTP status."""
        self.message = message


@dataclass(frozen=True)
class Door:
    """One model by one protocol. `infer` raises `Refused`."""

    model: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.protocol}-{self.model}"

    @property
    def streams(self) -> bool:
        return self.model.endswith("_stream")

    @property
    def carries_tensors(self) -> bool:
        """False for /generate, whose JSON has neither datatypes nor shapes."""
        return not self.protocol.startswith("generate")

    @property
    def invalid(self) -> str:
        """The status of a refusal. /generate makes a 400 of every error; a gRPC stream has only messages."""
        if self.protocol == "grpc":
            return NO_CODE if self.streams else "INVALID_ARGUMENT"
        return "400"

    def infer(self, stack: Stack, inputs: Inputs, request_id: str = "") -> Answer:
        match self.protocol:
            case "grpc" if self.streams:
                return Answer(tuple(stream(stack, self.model, inputs, request_id)))
            case "grpc":
                return Answer((unary(stack, self.model, inputs, request_id),))
            case "infer":
                return _http_infer(stack, self.model, inputs, request_id)
        return _http_generate(stack, self.model, inputs)


UNARY = Door("assistant", "grpc")
STREAM = Door("assistant_stream", "grpc")
COMPLETION = Door("completion", "grpc")
DOORS = (
    UNARY,
    STREAM,
    COMPLETION,
    Door("assistant", "infer"),
    Door("completion", "infer"),
    Door("assistant", "generate"),
    Door("assistant_stream", "generate_stream"),
)


class Stub:
    """Triton's gRPC service. Use as a context manager."""

    def __init__(self, stack: Stack) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{stack.grpc_port}", options=_UNLIMITED)
        self.calls = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Any:
        return self.calls

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def unary(stack: Stack, model: str, inputs: Inputs, request_id: str = "") -> Piece:
    with Stub(stack) as stub:
        try:
            response = stub.ModelInfer(grpc_request(model, inputs, request_id), timeout=SECONDS)
        except grpc.RpcError as error:
            raise refused(error) from None
    return grpc_piece(response)


def stream(stack: Stack, model: str, inputs: Inputs, request_id: str = "") -> Generator[Piece, None, None]:
    """One request on a stream of its own. Leaving it early cancels the call."""
    with Stub(stack) as stub:
        # Not with the header `triton_grpc_error`, which brings codes: with it, a request that fails on a stream
        # kills Triton 2.51 about once in a hundred times.
        call = stub.ModelStreamInfer(iter([grpc_request(model, inputs, request_id)]), timeout=SECONDS)
        try:
            for response in call:
                if response.error_message:
                    raise Refused(NO_CODE, response.error_message)
                yield grpc_piece(response.infer_response)
        except grpc.RpcError as error:
            raise refused(error) from None
        finally:
            call.cancel()


def stop(stack: Stack, request_id: str, model: str = "tensorrt_llm") -> None:
    """Stop what runs under this request id: the control path round the ensembles."""
    with Stub(stack) as stub:
        try:
            stub.ModelInfer(grpc_request(model, {"stop": True}, request_id), timeout=SECONDS)
        except grpc.RpcError as error:
            raise refused(error) from None


def refused(error: Any) -> Refused:
    """gRPC's error in this module's words; its type promises neither code nor details, but it has both."""
    return Refused(error.code().name, error.details() or "")


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


def grpc_piece(response: Any) -> Piece:
    raw = {
        output.name: content
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    log_probs = np.frombuffer(raw["log_probs"], dtype=np.float32).tolist()
    return Piece(
        text=_only_string(raw["text_output"]),
        finish_reason=_only_string(raw["finish_reason"]).decode(),
        prompt_tokens=int.from_bytes(raw["prompt_tokens"], "little"),
        completion_tokens=int.from_bytes(raw["completion_tokens"], "little"),
        log_probs=tuple(log_probs),
    )


def _only_string(data: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", data)
    assert len(data) == 4 + length
    return data[4:]


def http_post(stack: Stack, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of any request to Triton's HTTP port."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.http_port, timeout=SECONDS)
    try:
        connection.request("POST", path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def http_get(stack: Stack, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", stack.http_port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def infer_body(inputs: Inputs, request_id: str = "") -> bytes:
    """The JSON of /infer. Like most clients' JSON it may hold NaN."""
    body = {
        "id": request_id,
        "inputs": [
            {"name": name, "datatype": t.datatype, "shape": t.shape, "data": list(t.values)}
            for name, t in tensors(inputs)
        ],
    }
    return json.dumps(body, default=_as_text).encode()


def _as_text(value: bytes) -> str:
    return value.decode("utf-8")


def _http_infer(stack: Stack, model: str, inputs: Inputs, request_id: str) -> Answer:
    status, body = http_post(stack, f"/v2/models/{model}/infer", infer_body(inputs, request_id))
    if status != 200:
        raise _http_refused(status, body)
    outputs = {output["name"]: output["data"] for output in json.loads(body)["outputs"]}
    return Answer(
        (_json_piece({name: data if name == "log_probs" else data[0] for name, data in outputs.items()}),)
    )


def _http_generate(stack: Stack, model: str, inputs: Inputs) -> Answer:
    path = "generate_stream" if model.endswith("_stream") else "generate"
    status, body = http_post(stack, f"/v2/models/{model}/{path}", json.dumps(inputs, default=_as_text).encode())
    if status != 200:
        raise _http_refused(status, body.removeprefix(b"data: "))
    if path == "generate":
        return Answer((_json_piece(json.loads(body)),))
    events = [json.loads(event.removeprefix(b"data: ")) for event in body.strip().split(b"\n\n")]
    for event in events:
        if "error" in event:
            raise Refused("200 with an error", event["error"])
    return Answer(tuple(map(_json_piece, events)))


def _http_refused(status: int, body: bytes) -> Refused:
    try:
        return Refused(str(status), json.loads(body)["error"])
    except (ValueError, KeyError):
        return Refused(str(status), body.decode("utf-8", "replace"))


def _json_piece(values: Mapping[str, Any]) -> Piece:
    log_probs = values["log_probs"]
    return Piece(
        text=values["text_output"].encode("utf-8"),
        finish_reason=values["finish_reason"],
        prompt_tokens=values["prompt_tokens"],
        completion_tokens=values["completion_tokens"],
        log_probs=tuple(log_probs) if isinstance(log_probs, list) else (log_probs,),
    )


def metrics(stack: Stack, name: str) -> float:
    """One line of Triton's metrics, by its name and labels as they stand there."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.metrics_port, timeout=SECONDS)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    for line in lines:
        if line.startswith(f"{name} "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric {name}")
