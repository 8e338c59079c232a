"""Bytes that are no request as HTTP has it: what is told of them, and when nothing may be."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway import doors as both
from tests.gateway.bench import Bench
from tests.gateway.doors import SECONDS, Doors

MANY = b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = json.dumps({"model": "assistant", "messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()


@pytest.fixture
async def doors(bench: Bench, tmp_path: Path) -> AsyncIterator[Doors]:
    async with both.opened(bench, tmp_path, "{priority: 4}", read_seconds=0.5) as found:
        yield found


async def sent(doors: Doors, *parts: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.http_port)
    for part in parts:
        writer.write(part)
    return reader, writer


async def test_what_is_wrong_is_told_in_the_shape_of_an_error(doors: Doors) -> None:
    for data, status in (
        (MANY, 431),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000, 431),
        (b"GET / HTTP/1.1\r\n", 408),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (CHAT + b"transfer-encoding: chunked\r\n\r\nnonsense\r\n", 400),
    ):
        reader, writer = await sent(doors, data)
        head, _, body = (await asyncio.wait_for(reader.read(), SECONDS)).partition(b"\r\n\r\n")
        assert int(head.split()[1]) == status
        assert b"\r\nx-content-type-options: nosniff\r\n" in head
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        writer.close()


async def test_far_too_many_connections_leave_files_for_others(bench: Bench, tmp_path: Path) -> None:
    async with both.opened(bench, tmp_path, max_connections=2) as found:
        opened = [await sent(found) for _ in range(140)]
        for reader, _ in opened[130:]:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), SECONDS) == b""
        opened[129][1].write(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await asyncio.wait_for(opened[129][0].readline(), SECONDS)).startswith(b"HTTP/1.1 200")
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("pieces", [("Hi",), ()], ids=["begun", "not begun"])
async def test_nothing_is_written_into_the_answer_of_another_request(
    doors: Doors, pieces: tuple[str, ...]
) -> None:
    triton = doors.bench.triton
    triton.ends, triton.pieces = False, pieces
    for odd in (MANY, b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"):
        triton.came.clear()
        reader, writer = await sent(doors, CHAT + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        await asyncio.wait_for(triton.came.wait(), SECONDS)
        if pieces:
            await asyncio.wait_for(reader.readuntil(b'"Hi"'), SECONDS)
        writer.write(odd)
        assert b"invalid_request_error" not in await asyncio.wait_for(reader.read(), SECONDS)
        writer.close()
