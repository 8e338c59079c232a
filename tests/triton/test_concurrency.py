"""Many requests at once: each gets its own answer whole, and the limits hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from headrace.worker.protocol import WorkerStats
from tests.conftest import MOCK_RUNNING, MOCK_WAITING
from tests.stack import Stack
from tests.triton.answers import Answer, Refused, check_stream, grpc_piece, refused
from tests.triton.doors import DOORS, NO_CODE, STREAM, UNARY, Door, Stub, stop
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import Inputs, grpc_request

STREAMS = 64
SCRIPTS = (
    "plain words",
    "naïve café",
    "日本語のテキスト",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽",
    "שלום עולם مرحبا",
    "ẹ̵̡́̂͘ combining",
    "\U0001f9ff\u200d\ufeff",
)


def all_at_once(count: int, ask: Callable[[int], Answer]) -> list[Answer]:
    """Every call starts when all are ready to."""
    gate = threading.Barrier(count)

    def run(number: int) -> Answer:
        gate.wait()
        return ask(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@contextmanager
def watching(stack: Stack) -> Iterator[list[WorkerStats]]:
    """The worker's counters, again and again while the block runs."""
    seen: list[WorkerStats] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            seen.append(stack.stats())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def test_64_streams_of_the_mock_engine_are_not_mixed(mock_stack: Stack) -> None:
    prompts = [f"{number}: {SCRIPTS[number % len(SCRIPTS)]}" for number in range(STREAMS)]
    lengths = [40 + number for number in range(STREAMS)]

    def ask(number: int) -> Answer:
        return STREAM.infer(mock_stack, {"text_input": prompts[number], "max_tokens": lengths[number]})

    for answer, prompt, length in zip(all_at_once(STREAMS, ask), prompts, lengths, strict=True):
        check_stream(answer)
        assert answer.text == mock_answer(prompt, length)
        assert answer.last.completion_tokens == length


def test_64_streams_of_the_model_equal_their_unary_answers(stack: Stack) -> None:
    def inputs(number: int) -> Inputs:
        return {"text_input": f"Tell me a fact about the number {number}.", "max_tokens": 12 + number % 5}

    streamed = all_at_once(STREAMS, lambda number: STREAM.infer(stack, inputs(number)))
    for answer in streamed:
        check_stream(answer)
    whole = all_at_once(STREAMS, lambda number: UNARY.infer(stack, inputs(number)))
    assert [answer.text for answer in streamed] == [answer.text for answer in whole]


def test_100_requests_of_mixed_length_are_all_answered_within_the_limits(stack: Stack) -> None:
    def ask(number: int) -> Answer:
        door = STREAM if number % 2 else UNARY
        words = "word " * (number % 7 * 20)
        inputs = {"text_input": f"{number} {words}", "max_tokens": 1 + number % 16, "min_tokens": 1 + number % 16}
        return door.infer(stack, inputs)

    with watching(stack) as seen:
        answers = all_at_once(100, ask)
    for number, answer in enumerate(answers):
        check_stream(answer)
        assert answer.last.completion_tokens == 1 + number % 16
    assert max(stats.engine.running for stats in seen) <= 16
    assert max(stats.live for stats in seen) <= 16 + 128
    stack.until(lambda stats: stats.live == 0, 5, "the engine is empty again")


def test_more_than_the_limits_allow_are_refused_and_the_others_answered(mock_stack: Stack) -> None:
    places = MOCK_RUNNING + MOCK_WAITING
    excess = 25
    with Stub(mock_stack) as stub, watching(mock_stack) as seen:
        calls = [
            stub.ModelInfer.future(
                grpc_request("assistant", {"text_input": f"crowd {number}", "max_tokens": 400}), timeout=60
            )
            for number in range(places + excess)
        ]
        failures = [error for call in calls if (error := call.exception())]
        answers = [grpc_piece(call.result()) for call in calls if call.exception() is None]
    # The supervisor's own probe may hold a place.
    assert len(failures) in {excess, excess + 1}
    for error in map(refused, failures):
        assert (error.status, "limit" in error.message) == ("UNAVAILABLE", True)
    assert {answer.completion_tokens for answer in answers} == {400}
    assert max(stats.engine.running for stats in seen) <= MOCK_RUNNING
    assert max(stats.live for stats in seen) == places


def test_a_full_engine_refuses_at_every_door(mock_stack: Stack) -> None:
    """503 is what a balancer understands; /generate makes a 400 of every error."""
    status = {"grpc": "UNAVAILABLE", "infer": "503", "generate": "400", "generate_stream": "400"}
    places = MOCK_RUNNING + MOCK_WAITING
    with Stub(mock_stack) as stub:
        calls = [
            stub.ModelInfer.future(
                grpc_request("completion", {"text_input": f"full {number}", "max_tokens": 4000}, "full"),
                timeout=60,
            )
            for number in range(places)
        ]
        mock_stack.until(lambda stats: stats.live == places, 10, "the engine is full")
        found: dict[Door, str] = {}
        for door in DOORS:
            with pytest.raises(Refused, match=f"the engine holds {places} requests, its limit") as caught:
                door.infer(mock_stack, {"text_input": "one more", "max_tokens": 1})
            found[door] = caught.value.status
        stop(mock_stack, "full")
        assert {refused(call.exception()).status for call in calls} <= {"CANCELLED", "UNAVAILABLE"}
    assert found == {door: NO_CODE if door == STREAM else status[door.protocol] for door in DOORS}
    mock_stack.until(lambda stats: stats.live == 0, 5, "the engine is empty again")


@pytest.mark.parametrize("length", [1, 300], ids=["one-token", "long"])
def test_a_crowd_with_one_id_is_stopped_by_one_call(mock_stack: Stack, length: int) -> None:
    """Also when it ends by itself meanwhile: nothing is left behind."""
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(
                STREAM.infer, mock_stack, {"text_input": f"{number}", "max_tokens": length}, f"crowd-{length}"
            )
            for number in range(8)
        ]
        stop(mock_stack, f"crowd-{length}")
        for answer in asked:
            assert answer.result().last.finish_reason in {"length", "cancelled"}
    mock_stack.until(lambda stats: stats.live == 0, 5, "the engine is empty again")
