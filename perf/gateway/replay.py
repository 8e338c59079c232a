"""A server that speaks as Triton does, with answers that were made beforehand: no real one fills a gateway here.

It knows as much of HTTP/2 (RFC 9113) as gRPC's client needs for `ModelStreamInfer`: settings, pings, windows, and
one answer for each stream that is opened. Its frames are written many at a time, so that it takes next to nothing
of the processor.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import uvloop

from headrace.client import STREAM_MODEL
from headrace.client.protocol import service_pb2
from headrace.client.tensors import BYTES, FP32, INT32
from perf.core.plan import PROMPT_TOKENS

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _WINDOW, _CONTINUATION = 0, 1, 3, 4, 6, 8, 9
_ACK, _END_HEADERS, _END_STREAM = 0x1, 0x4, 0x1
_INITIAL_WINDOW = 65_535
_LARGE = 2**30


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that nobody remembers (RFC 7541, 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_BEGIN = b"\x88" + _literal(b"content-type", b"application/grpc")
_END = _literal(b"grpc-status", b"0")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Replay(asyncio.Protocol):
    """`messages`: of each answer, as gRPC has them."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._messages = [b"\x00" + struct.pack(">I", len(one)) + one for one in messages]
        self._buffer = b""
        self._begun = False
        self._window = _INITIAL_WINDOW
        self._stream_window = _INITIAL_WINDOW
        self._waiting: deque[tuple[int, int]] = deque()
        """Streams, and which of their messages is next: for room in the connection's window."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport  # uvloop's is none of asyncio's
        transport.write(frame(_SETTINGS, 0, 0, b""))
        transport.write(frame(_WINDOW, 0, 0, struct.pack(">I", _LARGE)))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._begun:
            if len(self._buffer) < len(_PREFACE):
                return
            self._begun, self._buffer = True, self._buffer[len(_PREFACE) :]
        place, answers = 0, bytearray()
        while len(self._buffer) - place >= 9:
            length = int.from_bytes(self._buffer[place : place + 3], "big")
            if len(self._buffer) - place < 9 + length:
                break
            kind, flags = self._buffer[place + 3], self._buffer[place + 4]
            stream = int.from_bytes(self._buffer[place + 5 : place + 9], "big")
            answers += self._heard(kind, flags, stream, self._buffer[place + 9 : place + 9 + length])
            place += 9 + length
        self._buffer = self._buffer[place:]
        answers += self._due()
        if answers:
            self._transport.write(bytes(answers))

    def _heard(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if kind == _SETTINGS and not flags & _ACK:
            return frame(_SETTINGS, _ACK, 0, b"")
        if kind == _PING and not flags & _ACK:
            return frame(_PING, _ACK, 0, payload)
        if kind == _WINDOW and stream == 0:
            self._window += int.from_bytes(payload, "big")
        if kind == _HEADERS:
            self._waiting.append((stream, 0))
            return frame(_HEADERS, _END_HEADERS, stream, _BEGIN)
        return b""

    def _due(self) -> bytes:
        """A message of each stream in turn, as far as the window reaches."""
        due = bytearray()
        while self._waiting:
            stream, place = self._waiting[0]
            message = self._messages[place]
            if len(message) > self._window:
                break
            self._waiting.popleft()
            self._window -= len(message)
            due += frame(_DATA, 0, stream, message)
            if place + 1 < len(self._messages):
                self._waiting.append((stream, place + 1))
            else:
                due += frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, _END)
        return bytes(due)


def answer(pieces: int, tokens_each: int) -> list[bytes]:
    """Messages of one answer, as `assistant_stream` gives them."""
    said = [(" and these are eight words of an answer", "", tokens_each * number) for number in range(1, pieces)]
    half = {"action": "allow", "scores": {}, "version": "1"}
    guard = json.dumps({"policy": "off", "prompt": half, "response": half, **half})
    return [*(_message(*one, "") for one in said), _message(" to the end.", "length", tokens_each * pieces, guard)]


def _message(text: str, reason: str, tokens: int, guard: str) -> bytes:
    response = service_pb2.ModelInferResponse(model_name=STREAM_MODEL, model_version="1")
    for name, kind, values in (
        ("text_output", BYTES, [text]),
        ("finish_reason", BYTES, [reason]),
        ("prompt_tokens", INT32, [PROMPT_TOKENS]),
        ("completion_tokens", INT32, [tokens]),
        ("log_probs", FP32, []),
        ("log_prob_tokens", BYTES, []),
        ("guard", BYTES, [guard]),
    ):
        response.outputs.add(name=name, datatype=kind.datatype, shape=[1, len(values)])
        response.raw_output_contents.append(b"".join(map(kind.encode, values)))
    message: bytes = service_pb2.ModelStreamInferResponse(infer_response=response).SerializeToString()
    return message


async def main(pieces: int, tokens_each: int) -> None:
    """Says its port, and serves until its standard input ends."""
    messages = answer(pieces, tokens_each)
    server = await asyncio.get_running_loop().create_server(lambda: Replay(messages), "127.0.0.1", 0)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
