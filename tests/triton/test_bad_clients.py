"""Clients that are slow, absent or gone: they cost little, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from tests.stack import Stack
from tests.triton.answers import Answer, Piece, Refused, check_stream, grpc_piece, infer_text, refused
from tests.triton.doors import STREAM, UNARY, Stub
from tests.triton.http_port import RawPost
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import grpc_request, infer_body
from tests.triton.test_memory import MIB, resident

GOOD: dict[str, Any] = {"text_input": "Good morning", "max_tokens": 12}
LONG: dict[str, Any] = {"text_input": "Bye", "max_tokens": 500}
INFER = "/v2/models/assistant/infer"
GENERATE_STREAM = "/v2/models/assistant_stream/generate_stream"


@pytest.fixture(autouse=True)
def goes_on(mock_stack: Stack) -> Iterator[None]:
    yield
    mock_stack.until(lambda stats: stats.live == 0, 5, "the engine is empty again")
    answered(mock_stack)


def answered(stack: Stack) -> None:
    for door in (UNARY, STREAM):
        assert door.infer(stack, GOOD).text == mock_answer("Good morning", 12)


@contextmanager
def grows_at_most(stack: Stack, mib: float) -> Iterator[None]:
    """In the server's own process."""
    before = resident(stack)["tritonserver"]
    yield
    grown = (resident(stack)["tritonserver"] - before) / MIB
    assert grown <= mib


@pytest.mark.parametrize("seconds", [0.001, -5.0], ids=["1 ms", "past"])
def test_a_deadline_that_nothing_meets(mock_stack: Stack, seconds: float) -> None:
    with Stub(mock_stack) as stub:
        with pytest.raises(grpc.RpcError) as unary:
            stub.ModelInfer(grpc_request("assistant", LONG), timeout=seconds)
        with pytest.raises(grpc.RpcError) as stream:
            list(stub.ModelStreamInfer(iter([grpc_request("assistant_stream", LONG)]), timeout=seconds))
    assert [refused(error.value).status for error in (unary, stream)] == ["DEADLINE_EXCEEDED"] * 2


def test_a_deadline_in_the_middle_of_a_stream(mock_stack: Stack) -> None:
    pieces: list[Piece] = []
    with Stub(mock_stack) as stub:
        call = stub.ModelStreamInfer(iter([grpc_request("assistant_stream", LONG)]), timeout=0.3)
        with pytest.raises(grpc.RpcError) as caught:
            pieces.extend(grpc_piece(response.infer_response) for response in call)
    assert refused(caught.value).status == "DEADLINE_EXCEEDED"
    assert len(pieces) < 500 / 8


def test_a_half_closed_stream_is_answered_to_its_end(mock_stack: Stack) -> None:
    """The client says at once that no request follows."""
    with Stub(mock_stack) as stub:
        assert list(stub.ModelStreamInfer(iter([]), timeout=10)) == []
        requests = [grpc_request("assistant_stream", GOOD)] * 3
        texts = [
            grpc_piece(response.infer_response).text
            for response in stub.ModelStreamInfer(iter(requests), timeout=10)
        ]
    assert len(b"".join(texts)) == 3 * len(mock_answer("Good morning", 12).encode())


@pytest.mark.parametrize("sent", [0, 40, None], ids=["no body", "part of the body", "before the answer"])
@pytest.mark.parametrize("path", [INFER, GENERATE_STREAM], ids=["infer", "generate_stream"])
def test_an_http_client_that_leaves_before_the_answer(mock_stack: Stack, path: str, sent: int | None) -> None:
    body = infer_body(LONG) if path == INFER else json.dumps(LONG).encode()
    for _ in range(4):
        with RawPost(mock_stack, path, f"Content-Length: {len(body)}") as post:
            post.send(body[:sent])


def test_a_body_that_comes_byte_by_byte_holds_nobody_up(mock_stack: Stack) -> None:
    body = infer_body(GOOD)
    with RawPost(mock_stack, INFER, f"Content-Length: {len(body)}") as post:
        post.send(body[:-5])
        for place in range(len(body) - 5, len(body)):
            answered(mock_stack)
            post.send(body[place : place + 1])
        status, answer = post.answer()
    assert (status, infer_text(answer)) == (200, mock_answer("Good morning", 12))


async def test_a_thousand_idle_streams(mock_stack: Stack) -> None:
    ended = asyncio.Event()

    async def nothing() -> AsyncIterator[Any]:
        await ended.wait()
        for request in list[Any]():
            yield request

    with grows_at_most(mock_stack, 40):
        async with grpc.aio.insecure_channel(mock_stack.address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            streams = [stub.ModelStreamInfer(nothing(), timeout=60) for _ in range(1000)]
            reading = [asyncio.create_task(call.read()) for call in streams]
            # On one connection, calls arrive in order: once this one is answered, those are there.
            response = await stub.ModelInfer(grpc_request("assistant", GOOD), timeout=10)
            assert grpc_piece(response).text.decode() == mock_answer("Good morning", 12)
            await asyncio.to_thread(answered, mock_stack)
            ended.set()
            assert await asyncio.gather(*reading) == [grpc.aio.EOF] * 1000


def test_a_client_that_does_not_read(mock_stack: Stack) -> None:
    """Triton keeps for it what it does not take: 16 answers of 1 000 tokens are 2 000 responses."""
    count, tokens = 16, 1000
    ended = threading.Event()

    def requests() -> Iterator[Any]:
        for number in range(count):
            inputs = {"text_input": f"unread {number}", "max_tokens": tokens, "return_log_probs": True}
            yield grpc_request("assistant_stream", inputs, str(number))
        ended.wait()

    with Stub(mock_stack) as stub, grows_at_most(mock_stack, 24):
        call = stub.ModelStreamInfer(requests(), timeout=60)
        mock_stack.until(lambda stats: stats.live == count, 10, "all have begun")
        answered(mock_stack)
        mock_stack.until(lambda stats: stats.live == 0, 10, "the engine has made them all")
        # It reads in the end: nothing was lost or mixed.
        answers: dict[str, list[Any]] = {str(number): [] for number in range(count)}
        missing = count
        while missing:
            response = next(call)
            assert response.error_message == ""
            piece = grpc_piece(response.infer_response)
            answers[response.infer_response.id].append(piece)
            missing -= bool(piece.finish_reason)
        ended.set()
        assert list(call) == []
    for number, pieces in answers.items():
        answer = Answer(tuple(pieces))
        check_stream(answer)
        assert answer.text == mock_answer(f"unread {number}", tokens)


def test_errors_that_nobody_reads(mock_stack: Stack) -> None:
    """Each costs Triton memory until it is taken: how many a client may have is for a gateway to say."""
    count = 2000
    ended = threading.Event()

    def requests() -> Iterator[Any]:
        for number in range(count):
            yield grpc_request("assistant_stream", {"text_input": "bad", "top_p": 7.0}, str(number))
        ended.wait()

    with Stub(mock_stack) as stub, grows_at_most(mock_stack, 64):
        call = stub.ModelStreamInfer(requests(), timeout=60)
        answered(mock_stack)
        assert all("top_p: got 7" in next(call).error_message for _ in range(count))
        ended.set()
        assert list(call) == []
    with pytest.raises(Refused, match="top_p"):
        UNARY.infer(mock_stack, {"text_input": "bad", "top_p": 7.0})
