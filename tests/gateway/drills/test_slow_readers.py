"""Clients that do not take what they asked for: they hold up nobody, and lose it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from headrace.client import Question
from headrace.client.connection import STREAM_MODEL
from tests.fake_triton import serving
from tests.gateway.drills.clients import Clients
from tests.gateway.drills.held_triton import HeldTriton
from tests.gateway.drills.lone_gateway import SECONDS, LoneGateway
from tests.gateway.drills.waiting import until

PLACES = 4
# More than sockets and queues of both sides keep: 32 MiB.
PIECES, BYTES = 512, 2**16
WRITE_SECONDS = "HEADRACE_GATEWAY__WRITE_SECONDS"
SETTINGS = {
    "HEADRACE_ADMISSION__INITIAL_LIMIT": str(PLACES),
    "HEADRACE_ADMISSION__MIN_LIMIT": str(PLACES),
    "HEADRACE_ADMISSION__MAX_LIMIT": str(PLACES),
}


@pytest.fixture
async def triton() -> AsyncIterator[HeldTriton]:
    triton = HeldTriton()
    triton.flood, triton.flood_pieces = BYTES, PIECES
    yield triton
    assert not triton.running


async def test_who_does_not_read_keeps_no_place_of_the_engine(triton: HeldTriton, tmp_path: Path) -> None:
    async with serving(triton) as address, asyncio.timeout(SECONDS):
        with LoneGateway(tmp_path, address, SETTINGS | {WRITE_SECONDS: "3600"}) as gateway:
            async with grpc.aio.insecure_channel(gateway.grpc) as channel:
                lazy = [await _http(gateway) for _ in range(PLACES)]
                await _engine_free(gateway)
                calls = [await _grpc(channel) for _ in range(PLACES)]
                await _engine_free(gateway)
                async with Clients(gateway.url, gateway.grpc) as clients:
                    for ask in clients.ways.values():
                        assert (await ask("Hi", 8)).whole
                assert len(gateway.records()) == 6, "the lazy ones have not ended"
                for call in calls:
                    call.cancel()
                for _, writer in lazy:
                    writer.close()


async def _engine_free(gateway: LoneGateway) -> None:
    await until(lambda: gateway.metric("in_flight") == 0)


async def test_who_does_not_read_is_cut_off_and_recorded(triton: HeldTriton, tmp_path: Path) -> None:
    async with serving(triton) as address, asyncio.timeout(SECONDS):
        with LoneGateway(tmp_path, address, SETTINGS | {WRITE_SECONDS: "0.5"}) as gateway:
            async with grpc.aio.insecure_channel(gateway.grpc) as channel:
                call, (reader, writer) = await _grpc(channel), await _http(gateway)
                await until(lambda: len(gateway.records()) == 2)
                assert {(one.outcome, one.status) for one in gateway.records()} == {("cancelled", 499)}
                assert await _end(call) is grpc.StatusCode.CANCELLED
                assert await _is_cut(reader)
                writer.close()
            assert not gateway.said("a defect in the gateway")


async def _http(gateway: LoneGateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Of a stream that has begun, and is not read on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=2**12)
    messages = [{"role": "user", "content": "flood"}]
    wish = {"model": "assistant", "messages": messages, "stream": True, "temperature": 1.0, "max_tokens": 8}
    data = json.dumps(wish).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
    assert b"200 OK" in await reader.readline()
    return reader, writer


async def _is_cut(reader: asyncio.StreamReader) -> bool:
    """Its end is not there."""
    try:
        while data := await reader.read(2**16):
            assert b"[DONE]" not in data
    except ConnectionResetError:
        pass
    return True


async def _grpc(channel: grpc.aio.Channel) -> Any:
    message = Question(text_input="flood", max_tokens=8, temperature=1.0).message(STREAM_MODEL, "")

    async def messages() -> AsyncIterator[Any]:
        yield message
        await asyncio.Future()

    call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(messages())
    await call.read()
    return call


async def _end(call: Any) -> grpc.StatusCode:
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
