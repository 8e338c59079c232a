"""Whatever goes wrong in an engine, a listener or on the socket: its request ends with an error, no other does."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.engine.interface import EngineRequest, EngineStats, TokenDelta
from headrace.errors import EngineFailed, HeadraceError, InvalidRequest
from headrace.worker import protocol
from headrace.worker.client import WorkerClient
from tests.unit.running_worker import LONG, SECONDS, TOKENIZER, Inbox, RunningWorker, submit, until


def test_an_engine_that_breaks_fails_the_request_and_asks_for_a_new_worker(
    client: WorkerClient, running: RunningWorker
) -> None:
    _, inbox = submit(client, max_tokens=LONG)
    inbox.begun.wait(SECONDS)

    async def break_engine() -> None:
        for run in running.engine._runs.values():
            run.stream.put(EngineFailed("it broke"))

    running.call(break_engine())
    assert isinstance(inbox.wait().error, EngineFailed)
    until(running.worker.broken.is_set)


def test_an_engine_that_broke_while_it_held_nothing_asks_for_a_new_worker(
    client: WorkerClient, running: RunningWorker
) -> None:
    running.engine._failure = EngineFailed("it broke")
    assert isinstance(submit(client)[1].wait().error, EngineFailed)
    until(running.worker.broken.is_set)


def test_an_engine_that_refuses_because_it_broke_asks_for_a_new_worker(
    client: WorkerClient, running: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: EngineRequest) -> AsyncIterator[TokenDelta]:
        raise EngineFailed(f"it broke before {request.id}")

    monkeypatch.setattr(running.engine, "submit", refuse)
    assert isinstance(submit(client)[1].wait().error, EngineFailed)
    until(running.worker.broken.is_set)


def test_statistics_that_fail_end_no_request(
    client: WorkerClient, running: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, neighbour = submit(client, max_tokens=300)
    neighbour.begun.wait(SECONDS)
    asked = threading.Event()

    def fail() -> EngineStats:
        asked.set()
        raise RuntimeError("the pipeline has no metrics")

    monkeypatch.setattr(running.engine, "stats", fail)
    client.ask_stats()
    assert asked.wait(SECONDS)
    assert neighbour.wait().finish_reason == "length"


def test_garbage_closes_the_connection_and_hurts_nobody(client: WorkerClient, running: RunningWorker) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(SECONDS)
        stranger.connect(str(running.path))
        stranger.sendall(b"\x00\x00\x00\x03abc")
        assert stranger.recv(1) == b""
    assert submit(client)[1].wait().finish_reason == "length"


class DeafInbox(Inbox):
    """Fails as Triton does when its shared memory is full."""

    def on_tokens(self, tokens: protocol.Tokens) -> None:
        raise RuntimeError("Failed to increase the shared memory pool size")


def test_a_listener_that_fails_loses_only_its_own_request(client: WorkerClient, running: RunningWorker) -> None:
    _, neighbour = submit(client, max_tokens=300)
    _, deaf = submit(client, max_tokens=LONG, inbox=DeafInbox())
    assert "could not be delivered" in str(deaf.wait().error)
    assert neighbour.wait().finish_reason == "length"
    until(lambda: running.worker.stats().live == 0)
    assert submit(client)[1].wait().finish_reason == "length"


def test_a_listener_that_cannot_even_take_its_error(client: WorkerClient) -> None:
    class Dead(DeafInbox):
        def on_error(self, error: HeadraceError) -> None:
            super().on_error(error)
            raise RuntimeError("nor this")

    submit(client, inbox=Dead())[1].wait()
    assert submit(client)[1].wait().finish_reason == "length"


def test_statistics_that_cannot_be_shown(client: WorkerClient) -> None:
    asked: list[protocol.WorkerStats] = []

    def show(stats: protocol.WorkerStats) -> None:
        asked.append(stats)
        raise RuntimeError("no such metric")

    client.on_stats = show
    client.ask_stats()
    until(lambda: bool(asked))
    assert submit(client)[1].wait().finish_reason == "length"


def test_garbage_from_the_worker_fails_its_requests_and_connects_anew(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(SECONDS)
        listener.bind(str(tmp_path / "engine.sock"))
        listener.listen()
        client = WorkerClient(tmp_path / "engine.sock")
        connection, _ = listener.accept()
        assert client.wait_until_connected(SECONDS)
        _, inbox = submit(client)
        connection.sendall(b"\x00\x00\x00\x03abc")
        assert "engine worker ended" in str(inbox.wait().error)
        again, _ = listener.accept()
        for end in (connection, again):
            end.close()
        client.close()


async def broken_iterator() -> AsyncIterator[TokenDelta]:
    yield TokenDelta((5,))
    raise IndexError("vector::_M_range_check")


async def iterator_without_an_end() -> AsyncIterator[TokenDelta]:
    yield TokenDelta((5,))


def test_an_iterator_that_breaks_in_any_way_ends_the_request(
    client: WorkerClient, running: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.engine, "submit", lambda request: broken_iterator())
    _, inbox = submit(client)
    assert "internal error in the engine worker" in str(inbox.wait().error)
    until(lambda: running.worker.stats().live == 0)


def test_an_iterator_that_stops_without_a_reason_asks_for_a_new_worker(
    client: WorkerClient, running: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.engine, "submit", lambda request: iterator_without_an_end())
    _, inbox = submit(client)
    assert isinstance(inbox.wait().error, EngineFailed)
    until(running.worker.broken.is_set)


def test_a_defect_at_submit_hurts_no_neighbour(
    client: WorkerClient, running: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, neighbour = submit(client, max_tokens=300)
    neighbour.begun.wait(SECONDS)

    def refuse(request: EngineRequest) -> AsyncIterator[TokenDelta]:
        raise TypeError(f"cannot convert {request.id}")

    monkeypatch.setattr(running.engine, "submit", refuse)
    assert "internal error in the engine worker" in str(submit(client)[1].wait().error)
    assert neighbour.wait().finish_reason == "length"


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ((5,) * 4097, "input_ids: 4097 tokens, at most 4096 fit"),
        ((5, TOKENIZER.vocabulary_size), "input_ids: holds 49152; the model knows the ids 0 to 49151"),
        ((5, 2**31 - 1), "input_ids: holds 2147483647"),
    ],
)
def test_a_prompt_that_no_engine_may_see_is_refused(
    client: WorkerClient, prompt: tuple[int, ...], says: str
) -> None:
    error = submit(client, prompt=prompt)[1].wait().error
    assert isinstance(error, InvalidRequest)
    assert str(error).startswith(says)


def test_an_answer_is_cut_to_what_the_context_has_left(tmp_path: Path) -> None:
    running = RunningWorker(tmp_path / "engine.sock", tokens_per_step=500)
    client = WorkerClient(running.path)
    assert client.wait_until_connected(SECONDS)
    _, inbox = submit(client, prompt=(5,) * 4096, max_tokens=LONG, min_tokens=LONG)
    assert len(inbox.wait().token_ids) == 4096
    assert inbox.finish_reason == "length"
    client.close()
    running.end()


def test_a_request_that_fits_in_no_frame_is_not_sent_and_leaves_nothing(
    client: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, neighbour = submit(client, max_tokens=200)
    monkeypatch.setattr(protocol, "MAX_FRAME_BYTES", 1000)
    with pytest.raises(ValueError, match="at most 1000 are allowed"):
        submit(client, prompt=(1,) * 2000)
    assert neighbour.wait().finish_reason == "length"
    assert not client._live
