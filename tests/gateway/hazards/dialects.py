"""Every dialect of the gateway, whole and streamed, with one shape for how a request ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import service_pb2_grpc

from tests.gateway_stack import GatewayStack
from tests.triton.answers import Piece, grpc_piece, json_piece
from tests.triton.http_port import call
from tests.triton.tensors import as_text, grpc_request, infer_body

SECONDS = 60.0
HOST = {"host": "localhost"}
JSON = {"content-type": "application/json"} | HOST
OPENAI_NAMES = {"random_seed": "seed", "stop_words": "stop"}
TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    408: "invalid_request_error", 413: "invalid_request_error", 415: "invalid_request_error", 429: None,
    503: "service_unavailable_error", 504: "timeout_error",
}  # fmt: skip
"""Of OpenAI's errors, by HTTP's status; a 429 has several."""
GRPC_CODES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip

_MARKED = re.compile(rb'"@@(.*?)@@"')
CODED = re.compile(r"(?P<says>[\w.-]+: .*?|.*?(?= \[[A-Z_]+\]$))(?: \[(?P<code>[A-Z_]+)\])?", re.DOTALL)
"""An error on a gRPC stream: its code in brackets, or the name of a field."""


@dataclass(frozen=True)
class Outcome:
    status: int
    """As HTTP has it, whatever the dialect: 200 for an answer."""
    says: str = ""
    """Of an error."""
    text: str = ""
    finish_reason: str = ""


@dataclass(frozen=True)
class Dialect:
    name: str
    path: str = ""
    """Empty: gRPC."""
    model: str = "assistant"
    streams: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def openai(self) -> bool:
        return self.path.startswith("/v1")

    @property
    def tensors(self) -> bool:
        """It has datatypes and shapes."""
        return self.path.endswith("/infer") or not self.path

    def ask(self, stack: GatewayStack, inputs: Mapping[str, Any], **headers: str) -> Outcome:
        """`inputs` by Triton's names. Fails the test for an error that is not in the dialect's shape."""
        if not self.path:
            return self._by_grpc(stack, grpc_request(self.model, inputs), headers)
        return self.post(stack, self.body(inputs), **headers)

    def post(self, stack: GatewayStack, body: bytes, **headers: str) -> Outcome:
        """Over HTTP. Names of headers with `_` for `-`."""
        sent = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.outcome(*call(stack.gateway_port, "POST", self.path, body, sent))

    def send(self, stack: GatewayStack, message: Any, **metadata: str) -> Outcome:
        """A `ModelInferRequest`, over gRPC."""
        return self._by_grpc(stack, message, metadata)

    def body(self, inputs: Mapping[str, Any]) -> bytes:
        """As JSON; what stands between two marks stands there without quotes."""
        if self.path.endswith("/infer"):
            body = infer_body(inputs)
        else:
            said = self._as_openai(inputs) if self.openai else dict(inputs)
            body = json.dumps(said, default=as_text).encode()
        return _MARKED.sub(rb"\1", body)

    def _as_openai(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        said = {OPENAI_NAMES.get(name, name): value for name, value in inputs.items()}
        text = said.pop("text_input", None)
        if isinstance(wanted := said.get("response_format"), str):
            schema = {"name": "wanted", "schema": json.loads(wanted)}
            said["response_format"] = {"type": "json_schema", "json_schema": schema}
        asked = {"messages": [{"role": "user", "content": text}]} if "chat" in self.path else {"prompt": text}
        return {"model": "assistant", "stream": self.streams} | (asked if text is not None else {}) | said

    def outcome(self, status: int, answer: bytes) -> Outcome:
        if status != 200:
            return Outcome(status, self._checked(status, json.loads(answer)))
        if not self.streams:
            return self._whole(json.loads(answer))
        return self._joined(answer)

    def _whole(self, said: Any) -> Outcome:
        if self.openai:
            choice = said["choices"][0]
            text = choice["message"]["content"] if "chat" in self.path else choice["text"]
            return Outcome(200, "", text, choice["finish_reason"])
        if self.tensors:
            said = {output["name"]: output["data"][0] for output in said["outputs"] if output["data"]}
        return Outcome(200, "", said["text_output"], said["finish_reason"])

    def _joined(self, answer: bytes) -> Outcome:
        events = [event.removeprefix(b"data: ") for event in answer.split(b"\n\n") if event]
        if self.openai:
            assert events.pop() == b"[DONE]"
        said = [json.loads(event) for event in events]
        if not self.openai:
            return _together(map(json_piece, said))
        choices = [one["choices"][0] for one in said if one["choices"]]
        texts = [choice["delta"].get("content", "") if "delta" in choice else choice["text"] for choice in choices]
        return Outcome(200, "", "".join(texts), choices[-1]["finish_reason"])

    def _checked(self, status: int, said: Any) -> str:
        """The message."""
        assert set(said) == {"error"}
        if not self.openai:
            assert isinstance(said["error"], str)
            return str(said["error"])
        error = said["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == (TYPES[status] or error["type"])
        return str(error["message"])

    def _by_grpc(self, stack: GatewayStack, message: Any, metadata: Mapping[str, str]) -> Outcome:
        shown = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        with grpc.insecure_channel(stack.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            try:
                if self.streams:
                    return streamed(stub.ModelStreamInfer(iter([message]), timeout=SECONDS, metadata=shown))
                return _together([grpc_piece(stub.ModelInfer(message, timeout=SECONDS, metadata=shown))])
            except grpc.RpcError as error:
                return refused(error)


def streamed(responses: Iterable[Any]) -> Outcome:
    """Of a gRPC stream with one request, which an error ends as well."""
    pieces: list[Piece] = []
    for response in responses:
        if response.error_message:
            assert response.infer_response.parameters["triton_final_response"].bool_param
            coded = CODED.fullmatch(response.error_message)
            assert coded is not None, response.error_message
            return Outcome(_status(coded["code"] or "INVALID_ARGUMENT"), coded["says"])
        pieces.append(grpc_piece(response.infer_response))
    return _together(pieces)


def refused(error: Any) -> Outcome:
    """Of an error of gRPC itself."""
    return Outcome(_status(error.code().name), error.details())


def _status(code: str) -> int:
    return next(status for status, name in GRPC_CODES.items() if name == code)


def _together(pieces: Iterable[Piece]) -> Outcome:
    found = list(pieces)
    return Outcome(200, "", b"".join(piece.text for piece in found).decode(), found[-1].finish_reason)


CHAT = Dialect("chat", "/v1/chat/completions")
CHAT_STREAM = Dialect("chat-stream", "/v1/chat/completions", streams=True)
COMPLETION = Dialect("completion", "/v1/completions")
COMPLETION_STREAM = Dialect("completion-stream", "/v1/completions", streams=True)
INFER = Dialect("infer", "/v2/models/assistant/infer")
GENERATE = Dialect("generate", "/v2/models/assistant/generate")
GENERATE_STREAM = Dialect(
    "generate-stream", "/v2/models/assistant_stream/generate_stream", "assistant_stream", streams=True
)
GRPC = Dialect("grpc")
GRPC_STREAM = Dialect("grpc-stream", model="assistant_stream", streams=True)

DIALECTS = (
    CHAT, CHAT_STREAM, COMPLETION, COMPLETION_STREAM, INFER, GENERATE, GENERATE_STREAM, GRPC, GRPC_STREAM,
)  # fmt: skip
OVER_HTTP = tuple(dialect for dialect in DIALECTS if dialect.path)
OPENAI = tuple(dialect for dialect in DIALECTS if dialect.openai)
