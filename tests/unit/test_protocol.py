"""Frames survive any cutting; what is not a frame of ours is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engine.interface import EngineStats, SamplingParams
from headrace.worker import protocol

SUBMIT = protocol.Submit(
    7,
    ("tag", "stream-7"),
    (1, 2, 49_151),
    SamplingParams(max_tokens=3, stop=("é",), seed=2**64 - 1),
    "scope",
    False,
    3,
)
TO_WORKER: list[protocol.ToWorker] = [
    SUBMIT, protocol.Abort(7), protocol.StopTag("tag"), protocol.AskStats(), protocol.Drain(),
]  # fmt: skip
FROM_WORKER: list[protocol.FromWorker] = [
    protocol.Tokens(7, (1, 2), (-0.5, -1.0), "stop"),
    protocol.Failure(8, "queue_full", "the engine is full"),
    protocol.WorkerStats(EngineStats(running=1), live=1, draining=False, refused=2, cancelled=3),
]


def test_messages_come_back_as_they_were_sent() -> None:
    (frame,) = protocol.FrameReader().feed(protocol.encode(TO_WORKER))
    assert protocol.decode_to_worker(frame) == TO_WORKER
    (frame,) = protocol.FrameReader().feed(protocol.encode(FROM_WORKER))
    assert protocol.decode_from_worker(frame) == FROM_WORKER


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=200))
def test_frames_come_whole_whatever_the_pieces(sizes: list[int]) -> None:
    data = protocol.encode(TO_WORKER) + protocol.encode([]) + protocol.encode([SUBMIT])
    reader, frames, start = protocol.FrameReader(), [], 0
    for size in [*sizes, len(data)]:
        frames += reader.feed(data[start : start + size])
        start += size
    assert [protocol.decode_to_worker(frame) for frame in frames] == [TO_WORKER, [], [SUBMIT]]


def test_a_frame_beyond_the_limit_is_refused_before_it_is_gathered() -> None:
    with pytest.raises(ValueError, match="at most"):
        protocol.FrameReader().feed(b"\xff\xff\xff\xff")


@given(st.binary(max_size=60))
def test_garbage_is_refused_and_nothing_else(garbage: bytes) -> None:
    try:
        messages = protocol.decode_to_worker(garbage)
    except (msgspec.MsgspecError, ValueError):
        return
    assert all(isinstance(message, protocol.Message) for message in messages)
