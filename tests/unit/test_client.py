"""The client, most of it against a server that does as Triton does: who hangs up stops nothing, a `stop` does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from headrace.client import Client, Question, connection
from headrace.client.failures import without_ensemble
from headrace.errors import EngineFailed, HeadraceError, Unavailable
from tests.fake_triton import FakeTriton, serving

SECONDS = 20.0
QUESTION = Question(text_input="Hi")


@pytest.fixture
def triton() -> FakeTriton:
    """Goes on until it is stopped, unless a test says otherwise."""
    triton = FakeTriton()
    triton.ends = False
    return triton


@pytest.fixture
async def client(triton: FakeTriton) -> AsyncIterator[Client]:
    async with serving(triton) as address, Client(address) as connected:
        yield connected


async def _read(client: Client) -> str:
    async with contextlib.aclosing(client.stream(QUESTION)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_an_answer_in_time_is_stopped_by_nobody(client: Client, triton: FakeTriton) -> None:
    triton.pieces, triton.ends = ("Hello ", "there"), True
    assert (await client.answer(QUESTION, SECONDS)).text == "Hello there"
    assert await _read(client) == "Hello there"
    assert not triton.stops


@pytest.mark.parametrize("deaf_to", [0, 2], ids=["at once", "overtaken twice"])
async def test_an_answer_that_takes_too_long_is_stopped(client: Client, triton: FakeTriton, deaf_to: int) -> None:
    triton.deaf_to = deaf_to
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+ did not answer in time"):
        await client.answer(QUESTION, 0.2)
    assert triton.came.is_set()
    assert (triton.running, list(triton.stops.values())) == (set(), [deaf_to + 1])


@pytest.mark.parametrize("deaf_to", [0, 2], ids=["at once", "overtaken twice"])
@pytest.mark.parametrize("way", ["answer", "stream"])
async def test_a_cancelled_caller_stops_its_request_before_the_first_token(
    client: Client, triton: FakeTriton, way: str, deaf_to: int
) -> None:
    triton.deaf_to = deaf_to
    asking = asyncio.create_task(_read(client) if way == "stream" else _answer(client))
    await triton.came.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (triton.running, list(triton.stops.values())) == (set(), [deaf_to + 1])


async def _answer(client: Client) -> str:
    return (await client.answer(QUESTION, SECONDS)).text


async def test_leaving_a_stream_stops_it(client: Client, triton: FakeTriton) -> None:
    triton.pieces = ("Hello", " there")
    async with contextlib.aclosing(client.stream(QUESTION, "mine")) as chunks:
        assert (await anext(chunks)).text == "Hello"
    assert (triton.running, triton.stops) == (set(), {"mine": 1})


async def test_leaving_a_stream_at_its_last_chunk_stops_nothing(client: Client, triton: FakeTriton) -> None:
    triton.pieces, triton.ends = ("Hello",), True
    async with contextlib.aclosing(client.stream(QUESTION)) as chunks:
        assert (await anext(chunks)).finish_reason == "stop"
    assert not triton.stops


async def test_a_server_that_does_not_stop_is_left_in_the_end(
    client: Client, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_STOP_SECONDS", 0.3)
    triton.deaf_to = 1000
    async with asyncio.timeout(SECONDS):
        with pytest.raises(Unavailable, match="did not answer in time"):
            await client.answer(QUESTION, 0.1)
        triton.came.clear()
        asking = asyncio.create_task(_read(client))
        await triton.came.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert all(1 < stops < 10 for stops in triton.stops.values())


async def test_a_stream_that_breaks_off_is_an_error(client: Client, triton: FakeTriton) -> None:
    triton.pieces, triton.breaks_off = ("Hello",), True
    with pytest.raises(EngineFailed, match="ended the stream before the answer was complete"):
        await _read(client)


async def test_a_server_that_dies_ends_its_stream_with_an_error(triton: FakeTriton) -> None:
    triton.pieces = ("Hello",)
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Client(f"127.0.0.1:{port}") as client, contextlib.aclosing(client.stream(QUESTION)) as chunks:
        await anext(chunks)
        await server.stop(None)
        with pytest.raises(HeadraceError):
            await anext(chunks)


async def test_close_ends_the_connection(client: Client, triton: FakeTriton) -> None:
    triton.pieces, triton.ends = ("Hello",), True
    await client.answer(QUESTION, SECONDS)
    await client.close()
    with pytest.raises(Exception, match=r"[Cc]losed"):
        await client.answer(QUESTION, SECONDS)


async def test_no_server_is_one_clear_line() -> None:
    async with Client("127.0.0.1:1") as client:
        assert not await client.ready(1)
        with pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1; start one"):
            await client.answer(QUESTION, 5)
        with pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1; start one"):
            await _read(client)


def test_what_is_not_asked_is_not_sent() -> None:
    question = Question(text_input="x", temperature=0.0, stop_words=("a", "b"))
    message = question.message("assistant", "mine")
    assert (message.model_name, message.id) == ("assistant", "mine")
    assert {(tensor.name, tuple(tensor.shape), tensor.datatype) for tensor in message.inputs} == {
        ("text_input", (1, 1), "BYTES"),
        ("temperature", (1, 1), "FP32"),
        ("stop_words", (1, 2), "BYTES"),
    }


def test_the_ensembles_names_are_left_out_of_errors() -> None:
    assert without_ensemble("in ensemble 'a', in ensemble 'b', top_p: too big") == "top_p: too big"
    assert without_ensemble("top_p: too big") == "top_p: too big"
