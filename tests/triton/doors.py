"""Every way into Triton, with one shape for what comes back, so that one table of cases runs through all."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import service_pb2_grpc

from tests.stack import Stack
from tests.triton.answers import Answer, Piece, Refused, grpc_piece, http_refused, json_piece, refused
from tests.triton.http_port import SECONDS, http_post
from tests.triton.tensors import Inputs, as_text, grpc_request, infer_body

NO_CODE = "a message without a code"
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


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


def _http_infer(stack: Stack, model: str, inputs: Inputs, request_id: str) -> Answer:
    status, body = http_post(stack, f"/v2/models/{model}/infer", infer_body(inputs, request_id))
    if status != 200:
        raise http_refused(status, body)
    outputs = {output["name"]: output["data"] for output in json.loads(body)["outputs"]}
    return Answer(
        (json_piece({name: data if name.startswith("log_prob") else data[0] for name, data in outputs.items()}),)
    )


def _http_generate(stack: Stack, model: str, inputs: Inputs) -> Answer:
    path = "generate_stream" if model.endswith("_stream") else "generate"
    status, body = http_post(stack, f"/v2/models/{model}/{path}", json.dumps(inputs, default=as_text).encode())
    if status != 200:
        raise http_refused(status, body.removeprefix(b"data: "))
    if path == "generate":
        return Answer((json_piece(json.loads(body)),))
    events = [json.loads(event.removeprefix(b"data: ")) for event in body.strip().split(b"\n\n")]
    for event in events:
        if "error" in event:
            raise Refused("200 with an error", event["error"])
    return Answer(tuple(map(json_piece, events)))
