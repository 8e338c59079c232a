"""`/v2/models/{model}/infer`, `/generate` and `/generate_stream`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from headrace.client import PUBLIC_MODELS, STREAM_MODEL, UNARY_MODEL, Chunk
from headrace.errors import InvalidRequest, NotFound
from headrace.gateway import answers, bodies, connection
from headrace.gateway.answers import Body
from headrace.gateway.ask import Ask
from headrace.gateway.exchange import Exchange, Piece
from headrace.gateway.http_exchange import HttpExchange
from headrace.gateway.v2 import requests, tensors
from headrace.gateway.v2.about import VERSION
from headrace.gateway.v2.requests import HEADER_LENGTH
from headrace.gateway.v2.tensors import OUTPUTS, Tensor

_BINARY = "application/octet-stream"


class _Inference(HttpExchange):
    dialect = "triton-http"
    streams = False
    kinds = bodies.JSON
    _id = ""

    def parsed(self, body: bytes) -> tuple[list[Tensor], int | None]:
        """The inputs, and the microseconds that it may take. Raises `InvalidRequest`."""
        request_id, found = requests.read_generate(body)
        self._id = request_id
        return found, None

    async def read(self) -> Ask:
        model = self.served()
        config = self.door.config
        body = await bodies.read(self.request, config.max_body_bytes, config.read_seconds, self.kinds)
        found, microseconds = self.parsed(body)
        return Ask(
            question=tensors.question(found),
            model=model,
            stream=self.streams,
            deadline=self._deadline(microseconds),
            cache=connection.cache_wish(self.request.headers),
        )

    def _deadline(self, microseconds: int | None) -> float | None:
        """The sooner one of the header's and of the request's own timeout."""
        found = connection.deadline(self.request.headers, self.arrived)
        if microseconds is None:
            return found
        own = self.arrived + microseconds / 1e6
        return own if found is None else min(found, own)

    def served(self) -> str:
        """The model in the address. Raises `NotFound`, and `InvalidRequest` for the wrong way into it."""
        model, version = self.request.path_params["model"], self.request.path_params.get("version", VERSION)
        if model not in PUBLIC_MODELS or version != VERSION:
            raise NotFound(f"model: there is no model {model[:100]!r} of version {version[:20]!r}")
        if model == STREAM_MODEL and not self.streams:
            raise InvalidRequest("model", f"{model} answers in streams: use generate_stream, or {UNARY_MODEL}")
        return str(model)

    def whole(self, exchange: Exchange, chunks: list[Chunk]) -> Body:
        return answers.json_body(self._flat(exchange.ask.model, chunks[0]))

    def events(self, piece: Piece) -> Iterator[bytes]:
        if piece.chunk.text or piece.chunk.finish_reason is not None:
            yield answers.event(self._flat(STREAM_MODEL, piece.chunk))

    def last_events(self, exchange: Exchange) -> Iterator[bytes]:
        return iter(())

    def _flat(self, model: str, chunk: Chunk) -> dict[str, Any]:
        """As Triton's generate extension has it: one value as it is, several as a list."""
        said: dict[str, Any] = {"model_name": model, "model_version": VERSION}
        if self._id:
            said["id"] = self._id
        for tensor in tensors.answered(chunk, OUTPUTS):
            said[tensor.name] = tensor.values[0] if len(tensor.values) == 1 else list(tensor.values)
        return said


class Generate(_Inference):
    operation = "generate"


class GenerateStream(_Inference):
    operation = "generate_stream"
    streams = True


class Infer(_Inference):
    operation = "infer"
    kinds = bodies.JSON | {_BINARY, bodies.UNNAMED}
    _outputs: tuple[str, ...] = ()
    _binary: frozenset[str] = frozenset()

    def parsed(self, body: bytes) -> tuple[list[Tensor], int | None]:
        found = requests.read_infer(body, self.request.headers.get(HEADER_LENGTH))
        self._id, self._outputs, self._binary = found.id, found.outputs, found.binary
        return found.inputs, found.timeout

    def whole(self, exchange: Exchange, chunks: list[Chunk]) -> Body:
        outputs, behind = [], []
        for tensor in tensors.answered(chunks[0], self._outputs):
            said: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
            if tensor.name in self._binary:
                behind.append(tensors.encoded(tensor.datatype, tensor.values))
                said["parameters"] = {"binary_data_size": len(behind[-1])}
            else:
                said["data"] = tensor.values
            outputs.append(said)
        head: dict[str, Any] = {"model_name": exchange.ask.model, "model_version": VERSION}
        head |= ({"id": self._id} if self._id else {}) | {"outputs": outputs}
        if not behind:
            return answers.json_body(head)
        encoded = msgspec.json.encode(head)
        headers = [(b"content-type", _BINARY.encode()), (HEADER_LENGTH.encode(), str(len(encoded)).encode())]
        return Body(b"".join([encoded, *behind]), headers)
