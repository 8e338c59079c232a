"""The engine's client inside Triton, with everything real but Triton's response sender."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from headrace.config import Config
from headrace.errors import InvalidRequest, RequestCancelled
from headrace.triton.engine_step import CANCEL_POLL_SECONDS, EngineStep, Reply
from headrace.worker import protocol
from headrace.worker.client import Listener, WorkerClient
from tests.unit.running_worker import LONG, SECONDS, RunningWorker, until


class Sender:
    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.error: Exception | None = None
        self.ended = threading.Event()
        self.gone = threading.Event()
        self.asked_after_the_end = False

    def send(self, reply: Reply, final: bool) -> None:
        self.replies.append(reply)
        if final:
            self.ended.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.ended.set()

    def cancelled(self) -> bool:
        self.asked_after_the_end |= self.ended.is_set()
        return self.gone.is_set()

    def wait(self) -> Sender:
        assert self.ended.wait(SECONDS), "the request never ended"
        return self


class SlowClient(WorkerClient):
    """A submit that takes longer than the look for cancellations."""

    def submit(self, request: protocol.Submit, listener: Listener) -> None:
        time.sleep(3 * CANCEL_POLL_SECONDS)
        super().submit(request, listener)


def inputs(**values: Any) -> dict[str, Any]:
    arrays = {"input_ids": np.array([[5, 6, 7]], np.int32), "max_tokens": np.array([[LONG]], np.int32)}
    return arrays | {name: np.array([[value]]) for name, value in values.items()}


@pytest.fixture(params=[WorkerClient, SlowClient])
def step(running: RunningWorker, request: pytest.FixtureRequest) -> Iterator[EngineStep]:
    client = request.param(running.path)
    assert client.wait_until_connected(SECONDS)
    step = EngineStep(client, Config(), stream=True)
    yield step
    step.close()


def test_a_client_that_has_gone_before_its_request_arrived(step: EngineStep, running: RunningWorker) -> None:
    sender = Sender()
    sender.gone.set()
    step.start(inputs().get, "", sender)
    assert sender.wait().replies[-1].finish_reason == "cancelled"
    until(lambda: running.worker.stats().live == 0)


def test_a_client_that_goes_after_a_long_quiet(step: EngineStep) -> None:
    first = Sender()
    step.start(inputs(max_tokens=3).get, "", first)
    first.wait()
    time.sleep(3 * CANCEL_POLL_SECONDS)  # nobody is watched: the thread sleeps
    second = Sender()
    step.start(inputs().get, "", second)
    until(lambda: bool(second.replies))
    second.gone.set()
    assert second.wait().replies[-1].finish_reason == "cancelled"
    time.sleep(3 * CANCEL_POLL_SECONDS)
    assert not first.asked_after_the_end
    assert not second.asked_after_the_end


def test_a_look_that_fails_ends_no_other_look(step: EngineStep) -> None:
    class Broken(Sender):
        def cancelled(self) -> bool:
            raise RuntimeError("no such request")

    step.start(inputs().get, "broken", Broken())
    other = Sender()
    step.start(inputs().get, "", other)
    other.gone.set()
    assert other.wait().replies[-1].finish_reason == "cancelled"


def test_a_request_that_could_not_be_sent_is_not_asked_any_more(
    step: EngineStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OverflowError("int too big to convert")

    monkeypatch.setattr(step._client, "submit", refuse)
    sender = Sender()
    step.start(inputs().get, "", sender)
    assert isinstance(sender.wait().error, OverflowError)
    time.sleep(3 * CANCEL_POLL_SECONDS)
    assert not sender.asked_after_the_end


def test_a_request_behind_an_ensemble_is_not_asked(step: EngineStep) -> None:
    sender = Sender()
    sender.gone.set()
    step.start(inputs(max_tokens=50, watch_cancel=False).get, "", sender)
    assert sender.wait().replies[-1].finish_reason == "length"


def test_a_stopped_unary_request_is_an_error_that_no_cache_keeps(running: RunningWorker) -> None:
    client = WorkerClient(running.path)
    assert client.wait_until_connected(SECONDS)
    step = EngineStep(client, Config(), stream=False)
    sender, stop = Sender(), Sender()
    step.start(inputs().get, "one", sender)
    until(lambda: running.worker.stats().live == 1)
    step.start({"stop": np.array([[True]])}.get, "one", stop)
    assert stop.wait().replies[0].finish_reason == "cancelled"
    assert isinstance(sender.wait().error, RequestCancelled)
    step.close()


@pytest.mark.parametrize("ids", [[], [-1, 5]])
def test_ids_that_are_none(step: EngineStep, ids: list[int]) -> None:
    sender = Sender()
    step.start(({"input_ids": np.array([ids], np.int32)}).get, "", sender)
    assert isinstance(sender.wait().error, InvalidRequest)
    assert str(sender.error).startswith("input_ids: ")


def test_a_prompt_beyond_all_limits_ends_no_neighbour(step: EngineStep) -> None:
    """Sent to the worker, its frame would be too long, and the whole connection would end."""
    neighbour = Sender()
    step.start(inputs(max_tokens=50).get, "neighbour", neighbour)
    huge = Sender()
    step.start({**inputs(), "input_ids": np.zeros((1, 14_000_000), np.int32)}.get, "huge", huge)
    with pytest.raises(InvalidRequest, match=r"^input_ids: 14000000 values, at most \d+ are allowed"):
        raise huge.wait().error or AssertionError
    assert neighbour.wait().replies[-1].finish_reason == "length"
