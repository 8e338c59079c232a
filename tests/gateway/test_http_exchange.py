"""What a client of OpenAI's dialect gets, without a server: its time, its stream, and how either ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Message, Receive

from headrace.errors import EngineFailed, HeadraceError
from headrace.gateway import answers
from headrace.gateway.app import Edge
from headrace.gateway.config import GatewayConfig
from headrace.gateway.door import Door
from headrace.gateway.exchange import Piece
from headrace.gateway.http_exchange import Endpoint
from headrace.gateway.openai.completions import ChatCompletion
from tests.gateway.bench import ACME, Bench, who

ASKED = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
STREAMED = ASKED | {"stream": True}
FRIEND = "https://chat.example.org"
SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}}


class Answer:
    """What was sent, message by message."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def error(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.body)["error"])

    @property
    def events(self) -> list[Any]:
        found = [event.removeprefix(b"data: ") for event in self.body.split(b"\n\n") if event]
        return [json.loads(event) for event in found if event != b"[DONE]"]

    @property
    def is_whole(self) -> bool:
        return self.body.endswith(b"data: [DONE]\n\n") and not self.sent[-1].get("more_body")


def door(bench: Bench, **settings: float) -> Door:
    async def identity(_: object) -> object:
        return await who(ACME)

    found = SimpleNamespace(
        config=GatewayConfig(**cast("Any", settings)),
        exchanges=bench.exchanges,
        identity=identity,
        model_version="v1",
        currency="USD",
    )
    return cast("Door", found)


async def answered(
    at: Door, body: dict[str, Any], kind: Any = ChatCompletion, late: float = 0.0, **headers: str
) -> Answer:
    """`late`: seconds until the body is there."""
    said = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    raw = [(name.encode(), value.encode()) for name, value in said.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": raw}
    answer = Answer()
    await Endpoint(at, kind)(scope | {"scheme": "http", "server": ("x", 1)}, client(body, late), answer.send)
    return answer


def client(body: dict[str, Any], late: float) -> Receive:
    """It sends its body, and stays."""
    sends = iter([{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}])

    async def receive() -> Message:
        if (message := next(sends, None)) is None:
            await asyncio.Event().wait()
        await asyncio.sleep(late)
        return cast("Message", message)

    return receive


class Broken(ChatCompletion):
    def events(self, piece: Piece) -> Iterator[bytes]:
        if piece.chunk.text == "b":
            raise ValueError("/secret/path")
        return super().events(piece)


async def test_a_defect_within_a_stream_is_told_in_it(bench: Bench) -> None:
    bench.triton.pieces = ("a", "b", "c")
    answer = await answered(door(bench), STREAMED, Broken, x_request_id="this-one")
    assert (answer.status, answer.is_whole) == (200, False)
    assert answer.events[-2]["choices"][0]["delta"] == {"content": "a"}
    error = answer.events[-1]["error"]
    assert error["type"] == "server_error"
    assert "this-one" in error["message"]
    assert b"/secret/path" not in answer.body


async def test_a_defect_before_a_stream_has_a_status(bench: Bench) -> None:
    bench.triton.pieces = ("b",)
    answer = await answered(door(bench), ASKED, Whole)
    assert (answer.status, answer.error["code"]) == (500, None)
    assert "/secret/path" not in answer.error["message"]


class Whole(ChatCompletion):
    def whole(self, *_: object) -> answers.Body:
        raise ValueError("/secret/path")


async def test_what_fails_once_all_was_sent_sends_nothing_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise EngineFailed("late")

    bench.triton.pieces = ("a",)
    monkeypatch.setattr(bench.ledger, "close", fails)
    for asked in (ASKED, STREAMED):
        answer = await answered(door(bench), asked)
        assert (answer.status, b"error" in answer.body) == (200, False)
        assert [message["type"] for message in answer.sent].count("http.response.start") == 1


async def test_an_answer_that_breaks_off_elsewhere_is_cut_off(bench: Bench) -> None:
    async def inner(scope: object, receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("/secret/path")

    answer = Answer()
    with pytest.raises(HeadraceError, match="defect"):  # uvicorn closes the connection
        await edge(inner)(SCOPE, client({}, 0), answer.send)
    assert [message["type"] for message in answer.sent] == ["http.response.start"]


def edge(inner: Any, *named: str) -> Edge:
    served = SimpleNamespace(
        config=GatewayConfig(cors_origins=named),
        listens_on_loopback=False,
        readiness=SimpleNamespace(withdrawn=False),
    )
    return Edge(inner, cast("Door", served))


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
@pytest.mark.parametrize(("page", "named"), [(FRIEND, True), ("https://evil.example", False), ("null", False)])
async def test_only_pages_of_named_origins_may_ask_and_read(method: str, page: str, named: bool) -> None:
    async def inner(scope: object, receive: object, send: Any) -> None:
        await answers.send_whole(send, answers.json_body("said"))

    for origins in ((FRIEND,), ()):
        answer = Answer()
        headers = {"host": "here", "origin": page, "access-control-request-method": "POST"}
        headers["access-control-request-headers"] = "authorization, x-stainless-os"
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await edge(inner, *origins)(SCOPE | {"method": method, "headers": raw}, client({}, 0), answer.send)
        served = named and bool(origins)
        assert (method == "OPTIONS" or answer.status == 200) == (served or method == "OPTIONS")
        assert answer.headers.get("access-control-allow-origin") == (page if served else None)
        allowed = answer.headers.get("access-control-allow-headers")
        assert allowed == ("authorization, x-stainless-os" if served and method == "OPTIONS" else None)
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_the_time_that_a_client_has_begins_when_its_request_comes(
    bench: Bench, asked: dict[str, Any]
) -> None:
    bench.triton.pieces = ("a",)
    answer = await answered(door(bench), asked, late=0.3, x_request_timeout="200ms")
    assert (answer.status, answer.error["type"]) == (504, "timeout_error")
    assert answer.headers["x-should-retry"] == "false"
    assert bench.triton.runs == 0


async def test_a_slow_body_is_the_client_s_own_fault(bench: Bench) -> None:
    answer = await answered(door(bench, read_seconds=0.05), ASKED, late=5)
    assert (answer.status, answer.error["type"], answer.error["param"]) == (408, "invalid_request_error", "body")
    assert "x-should-retry" not in answer.headers


async def test_usage_is_null_until_it_is_known(bench: Bench) -> None:
    bench.triton.pieces = ("a", "b")
    answer = await answered(door(bench), STREAMED | {"stream_options": {"include_usage": True}})
    usages = [event["usage"] for event in answer.events]
    assert usages[:-1] == [None] * 4
    assert usages[-1]["completion_tokens"] == 2
    assert all("usage" not in event for event in (await answered(door(bench), STREAMED)).events)


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_an_answer_that_the_engine_stopped_is_an_error(
    bench: Bench, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = bench.triton._response
    monkeypatch.setattr(
        bench.triton, "_response", lambda text, reason, tokens: said(text, reason and "cancelled", tokens)
    )
    bench.triton.pieces = ("a", "b")
    answer = await answered(door(bench), asked)
    error = answer.events[-1]["error"] if answer.status == 200 else answer.error
    assert error["type"] == "service_unavailable_error"
    assert b"cancelled" not in answer.body
    assert not answer.is_whole


async def test_a_stream_that_is_quiet_for_long_says_so() -> None:
    answer, heard = Answer(), asyncio.Event()

    async def send(message: Message) -> None:
        await answer.send(message)
        if message.get("body", b"").startswith(b":"):
            heard.set()

    async def events() -> AsyncIterator[bytes]:
        yield answers.event(1)
        async with asyncio.timeout(20):
            await heard.wait()
        yield answers.event(2)

    await answers.send_events(send, events(), [], quiet_seconds=0.01)
    parts = answer.body.split(b"\n\n")
    assert (parts[0], parts[-2]) == (b"data: 1", b"data: 2")
    assert set(parts[1:-2]) == {b": keepalive"}


async def test_who_does_not_read_gets_one_comment_however_long_it_is_quiet() -> None:
    sent: list[bytes] = []
    reads = asyncio.Event()

    async def send(message: Message) -> None:
        if message.get("body", b"").startswith(b":"):
            sent.append(message["body"])
            await reads.wait()

    async def events() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.2)
        yield answers.event(1)

    before = asyncio.all_tasks()
    await answers.send_events(send, events(), [], quiet_seconds=0.01)
    assert sent == [b": keepalive\n\n"]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
