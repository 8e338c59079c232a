"""What travels between Triton's steps and the engine worker, over a Unix socket.

A frame is a 4-byte big-endian length and a msgpack list of messages, so that one frame can carry a step's
output for every stream. `key` numbers a request within its connection; `tag` is the Triton request id, which
clients may reuse, or the name of a stream.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

import msgspec

from headrace.engine.interface import EngineStats, FinishReason, SamplingParams

MAX_FRAME_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct(">I")

FailureCode = Literal["invalid", "unavailable", "queue_full", "failed"]


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, omit_defaults=True):
    """Base of every message."""


class Submit(Message, frozen=True):
    key: int
    tags: tuple[str, ...]
    """By any of them it can be stopped: the Triton request id, and the name of its stream."""
    token_ids: tuple[int, ...]
    sampling: SamplingParams
    cache_scope: str = ""
    stream: bool = True
    """False: all tokens in one `Tokens` at the end."""
    first_tokens: int = 1
    """Of a stream: how many tokens at its start travel alone."""


class Abort(Message, frozen=True):
    """Stop one request of this connection."""

    key: int


class StopTag(Message, frozen=True):
    """Stop every live request with this tag, whichever connection it came by."""

    tag: str


class AskStats(Message, frozen=True):
    """Answered by `WorkerStats`."""


class Drain(Message, frozen=True):
    """Refuse new requests from now on; running ones finish. Answered by `WorkerStats`."""


class Tokens(Message, frozen=True):
    key: int
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...] = ()
    finish_reason: FinishReason | None = None


class Failure(Message, frozen=True):
    key: int
    code: FailureCode
    message: str


class WorkerStats(Message, frozen=True):
    engine: EngineStats
    live: int
    """Requests admitted and not finished."""
    draining: bool
    refused: int
    cancelled: int
    """Since start."""
    started_at: float = 0.0
    """On `time.monotonic`: a new worker counts from 0 again."""
    cancelled_at: float = 0.0
    """When the last of them was let go, by `time.monotonic`, which all processes of a machine share."""


ToWorker = Submit | Abort | StopTag | AskStats | Drain
FromWorker = Tokens | Failure | WorkerStats

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(list[ToWorker])
_from_worker = msgspec.msgpack.Decoder(list[FromWorker])


def encode(messages: Sequence[ToWorker] | Sequence[FromWorker]) -> bytes:
    """Raises ValueError for a frame that the peer would not take, and with it all that the connection carries."""
    body = _encoder.encode(messages)
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(_too_long(len(body)))
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames. Raises ValueError on a frame that no peer of ours would send."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        frames = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise ValueError(_too_long(length))
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            frames.append(bytes(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return frames


def _too_long(length: int) -> str:
    return f"frame of {length} bytes, at most {MAX_FRAME_BYTES} are allowed"


def decode_to_worker(frame: bytes) -> list[ToWorker]:
    return _to_worker.decode(frame)


def decode_from_worker(frame: bytes) -> list[FromWorker]:
    return _from_worker.decode(frame)
