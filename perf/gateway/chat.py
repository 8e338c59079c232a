"""OpenAI's chat completions over HTTP/1.1: a client as light as can be, because it shares the machine's cores."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import Self

from headrace.client import UNARY_MODEL
from perf.load import LoadFailed, Sample
from perf.prompts import Prompt

_TEXT = re.compile(rb'"content":"[^"]')
_TOKENS = re.compile(rb'"completion_tokens":(\d+)')
_REASON = re.compile(rb'"finish_reason":"(\w+)"')
_LENGTH = re.compile(rb"content-length: (\d+)")
_IDLE_SECONDS = 20.0
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    data: bytes
    """All of it, as it is sent."""
    stream: bool


def chat_request(prompt: Prompt, tokens: int, stream: bool) -> ChatRequest:
    """A greedy one for exactly `tokens` tokens."""
    said: dict[str, object] = {
        "model": UNARY_MODEL,
        "messages": [{"role": "user", "content": prompt.text}],
        "max_tokens": tokens,
        "min_tokens": tokens,
        "stream": stream,
    }
    if stream:
        said["stream_options"] = {"include_usage": True}
    body = json.dumps(said).encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n"
    )
    return ChatRequest(head % len(body) + body, stream)


class Refused(LoadFailed):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ChatClient:
    """Keeps its connections. Use as an async context manager."""

    def __init__(self, address: str) -> None:
        """`address`: HOST:PORT."""
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._free: list[tuple[float, _Connection]] = []
        """Since when, the longest first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _since, (_reader, writer) in self._free:
            writer.close()

    async def begin(self, message: ChatRequest) -> _Connection:
        """Sent on a connection of its own, for who does not want all of the answer."""
        connection = await asyncio.open_connection(self._host, self._port)
        connection[1].write(message.data)
        return connection

    async def send(self, message: ChatRequest) -> Sample:
        """Raises `Refused` and `LoadFailed`."""
        connection = await self._connection()
        sent = time.perf_counter()
        try:
            connection[1].write(message.data)
            answered = _stream if message.stream else _whole
            sample = await answered(connection[0], sent)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LoadFailed(f"the gateway hung up: {error!r}") from None
        except Refused:
            self._free.append((time.monotonic(), connection))
            raise
        self._free.append((time.monotonic(), connection))
        return sample

    async def _connection(self) -> _Connection:
        """The one that was used last, unless a server may be about to close it."""
        while self._free:
            since, connection = self._free.pop()
            if time.monotonic() - since < _IDLE_SECONDS:
                return connection
            connection[1].close()
        return await asyncio.open_connection(self._host, self._port)


async def _head(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        status, body = head.splitlines()[0].decode(), await _rest(reader, head)
        raise Refused(int(status.split()[1]), f"the gateway refused: {status} {body!r}")
    return head


async def _rest(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = _LENGTH.search(head)
    return await reader.readexactly(int(length[1])) if length else b""


async def _whole(reader: asyncio.StreamReader, sent: float) -> Sample:
    body = await _rest(reader, await _head(reader))
    now = time.perf_counter()
    return Sample(sent, now, now, _number(_TOKENS, body), 1, _word(_REASON, body))


async def _stream(reader: asyncio.StreamReader, sent: float) -> Sample:
    """By HTTP's chunks: the gateway sends one for each piece of an answer."""
    await _head(reader)
    first, responses, last = 0.0, 0, b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        data = (await reader.readexactly(size + 2))[:size]
        if _TEXT.search(data):
            responses += 1
            first = first or time.perf_counter()
        last = (last + data)[-4096:]
    await reader.readexactly(2)
    if not first:
        raise LoadFailed("an answer without text")
    ended = time.perf_counter()
    return Sample(sent, first, ended, _number(_TOKENS, last), responses, _word(_REASON, last))


def _number(form: re.Pattern[bytes], data: bytes) -> int:
    found = form.search(data)
    return int(found[1]) if found else 0


def _word(form: re.Pattern[bytes], data: bytes) -> str:
    found = form.search(data)
    return found[1].decode() if found else ""
