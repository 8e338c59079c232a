"""One client for each dialect and way: what it got, whatever happened to it on the way."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tritonclient.grpc import service_pb2, service_pb2_grpc

from headrace.client import Question
from headrace.client.connection import STREAM_MODEL, UNARY_MODEL

HTTP_OF_CODE = {
    "OK": 200, "INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "INTERNAL": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip


@dataclass
class Got:
    """`status` in HTTP's numbers; None when the connection broke before the end."""

    way: str
    request_id: str = field(default_factory=lambda: f"drill-{uuid.uuid4().hex}")
    status: int | None = None
    pieces: int = 0
    text: str = ""
    reason: str = ""
    """Why the answer ended; of OpenAI's streams also that the last event was there."""
    error: str = ""
    """Within the stream, or of the whole."""
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: bool = True
    """False: nobody listened."""

    @property
    def whole(self) -> bool:
        return self.status == 200 and self.reason in {"stop", "length"} and not self.error


Began = Callable[[], None]


class Clients:
    """All of one address pair. Use as an async context manager. `headers` go with every request."""

    def __init__(self, url: str, address: str, headers: Mapping[str, str] | None = None) -> None:
        self._url = url
        self._address = address
        self._headers = dict(headers or {})

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            self._url,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            headers=self._headers,
        )
        self._channel = grpc.aio.insecure_channel(self._address, (("grpc.use_local_subchannel_pool", 1),))
        self._triton = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        await self._channel.close()

    @property
    def ways(self) -> Mapping[str, Callable[..., Coroutine[Any, Any, Got]]]:
        return {
            "openai": self.openai,
            "openai stream": self.openai_stream,
            "triton http": self.generate,
            "triton http stream": self.generate_stream,
            "triton grpc": self.infer,
            "triton grpc stream": self.infer_stream,
        }

    async def openai(self, text: str, tokens: int, **wishes: Any) -> Got:
        return await self._whole("openai", "/v1/chat/completions", _chat(text, tokens, wishes))

    async def openai_stream(self, text: str, tokens: int, began: Began | None = None, **wishes: Any) -> Got:
        said = _chat(text, tokens, wishes) | {"stream": True}
        return await self._events("openai stream", "/v1/chat/completions", said, began)

    async def generate(self, text: str, tokens: int, **wishes: Any) -> Got:
        said = {"text_input": text, "max_tokens": tokens, **wishes}
        return await self._whole("triton http", f"/v2/models/{UNARY_MODEL}/generate", said)

    async def generate_stream(self, text: str, tokens: int, began: Began | None = None, **wishes: Any) -> Got:
        said = {"text_input": text, "max_tokens": tokens, **wishes}
        path = f"/v2/models/{STREAM_MODEL}/generate_stream"
        return await self._events("triton http stream", path, said, began)

    async def infer(self, text: str, tokens: int, **wishes: Any) -> Got:
        got = Got("triton grpc")
        message = Question(text_input=text, max_tokens=tokens, **wishes).message(UNARY_MODEL, "")
        try:
            answer = await self._triton.ModelInfer(message, metadata=self._metadata(got))
        except grpc.aio.AioRpcError as error:
            return _refused(got, error)
        _read(got, answer)
        got.status = 200
        return got

    async def infer_stream(self, text: str, tokens: int, began: Began | None = None, **wishes: Any) -> Got:
        got = Got("triton grpc stream")
        message = Question(text_input=text, max_tokens=tokens, **wishes).message(STREAM_MODEL, "")

        async def messages() -> Any:
            yield message

        try:
            async for answer in self._triton.ModelStreamInfer(messages(), metadata=self._metadata(got)):
                if answer.error_message:
                    got.error = answer.error_message
                    got.status = got.status or _status(got.error)
                    continue
                if got.status is None and began is not None:
                    began()
                got.status = 200
                _read(got, answer.infer_response)
        except grpc.aio.AioRpcError as error:
            return _refused(got, error)
        return got

    def _metadata(self, got: Got) -> tuple[tuple[str, str], ...]:
        own = self._headers | {"x-request-id": got.request_id}
        return tuple((name.lower(), value) for name, value in own.items())

    async def _whole(self, way: str, path: str, said: dict[str, Any]) -> Got:
        got = Got(way)
        try:
            async with self._http.post(path, json=said, headers={"x-request-id": got.request_id}) as answer:
                body = await answer.json(content_type=None)
        except aiohttp.ClientError as error:
            return _broken(got, error)
        _begin(got, answer)
        if got.status != 200:
            got.error = _message(body)
        elif "choices" in body:
            got.text, got.reason = body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]
        else:
            got.text, got.reason = body["text_output"], body["finish_reason"]
        return got

    async def _events(self, way: str, path: str, said: dict[str, Any], began: Began | None) -> Got:
        got = Got(way)
        try:
            async with self._http.post(path, json=said, headers={"x-request-id": got.request_id}) as answer:
                _begin(got, answer)
                if answer.status != 200:
                    got.error = _message(await answer.json(content_type=None))
                    return got
                async for line in answer.content:
                    if line.startswith(b"data: "):
                        if not got.pieces and began is not None:
                            began()
                        _event(got, line[6:])
        except (aiohttp.ClientError, ConnectionError) as error:
            return _broken(got, error)
        return got


async def until_all(*tasks: asyncio.Task[Got], seconds: float) -> list[Got]:
    """Fails when one of them hangs."""
    async with asyncio.timeout(seconds):
        return list(await asyncio.gather(*tasks))


def _chat(text: str, tokens: int, wishes: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": UNARY_MODEL, "messages": messages, "max_tokens": tokens, **wishes}


def _begin(got: Got, answer: aiohttp.ClientResponse) -> None:
    got.status = answer.status
    got.headers = {name.lower(): value for name, value in answer.headers.items()}
    after = got.headers.get("retry-after")
    got.retry_after = None if after is None else float(after)


def _event(got: Got, data: bytes) -> None:
    if data.strip() == b"[DONE]":
        return
    said = json.loads(data)
    got.pieces += 1
    if "error" in said:
        got.error = _message(said)
    elif "choices" in said:
        for choice in said["choices"]:
            got.text += choice["delta"].get("content") or ""
            got.reason = choice["finish_reason"] or got.reason
    else:
        got.text += said["text_output"]
        got.reason = said["finish_reason"] or got.reason


def _broken(got: Got, error: Exception) -> Got:
    got.status = None
    got.sent = not isinstance(error, aiohttp.ClientConnectorError)
    got.error = f"{type(error).__name__}: {error}"
    return got


def _message(body: Any) -> str:
    error = body["error"]
    return str(error["message"] if isinstance(error, dict) else error)


def _read(got: Got, response: service_pb2.ModelInferResponse) -> None:
    got.pieces += 1
    values = dict(zip([output.name for output in response.outputs], response.raw_output_contents, strict=True))
    got.text += values["text_output"][4:].decode()
    got.reason = values["finish_reason"][4:].decode() or got.reason


def _status(message: str) -> int:
    """Of an error within a stream of gRPC's: its code stands in brackets, but for the client's own faults."""
    coded = re.search(r" \[([A-Z_]+)\]$", message)
    return HTTP_OF_CODE[coded[1]] if coded else 400


def _refused(got: Got, error: grpc.aio.AioRpcError) -> Got:
    got.status = None if got.pieces else HTTP_OF_CODE.get(error.code().name, 500)
    got.error = f"{error.code().name}: {error.details()}"
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            got.retry_after = info.retry_delay.ToTimedelta().total_seconds()
    return got
