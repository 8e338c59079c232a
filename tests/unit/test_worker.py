"""The worker and its client, over a real socket, with the engine that needs no model."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headrace import paths
from headrace.config import CoalescingConfig, Config, EngineConfig, MockConfig
from headrace.engine.interface import SamplingParams
from headrace.engine.mock import MockEngine
from headrace.errors import EngineFailed, EngineUnavailable, HeadraceError, QueueFull, Unavailable
from headrace.text.tokenizer import Tokenizer
from headrace.worker import control, protocol
from headrace.worker.client import WorkerClient
from headrace.worker.server import Worker

SECONDS = 10.0
LONG = 100_000
TOKENIZER = Tokenizer(paths.default_model())


class RunningWorker:
    """A worker in a thread of its own, listening on `path`."""

    def __init__(self, path: Path, **engine: Any) -> None:
        self.path = path
        mock = MockConfig(step_ms=1, tokens_per_step=engine.pop("tokens_per_step", 1))
        self._config = Config(
            engine=EngineConfig(name="mock", mock=mock, **engine),
            coalescing=CoalescingConfig(max_tokens=4, max_delay_ms=50),
        )
        self._loop = asyncio.new_event_loop()
        self.worker: Worker
        self.engine: MockEngine
        self._server: asyncio.Server
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.call(self._start())

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    async def _start(self) -> None:
        self.engine = MockEngine()
        await self.engine.start(self._config.engine)
        self.worker = Worker(self.engine, self._config, TOKENIZER)
        self._server = await self.worker.listen(self.path)

    def end(self) -> None:
        """As a killed process ends: every connection closed."""
        self.call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self.path.unlink(missing_ok=True)

    async def _end(self) -> None:
        self._server.close()
        for connection in list(self.worker.connections):
            connection.close()
        await self.engine.stop()
        await asyncio.sleep(0.01)


@dataclass
class Inbox:
    """Collects what one request gets."""

    token_ids: list[int] = field(default_factory=list)
    chunks: list[protocol.Tokens] = field(default_factory=list)
    finish_reason: str | None = None
    error: HeadraceError | None = None
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def on_tokens(self, tokens: protocol.Tokens) -> None:
        self.chunks.append(tokens)
        self.token_ids += tokens.token_ids
        self.begun.set()
        if tokens.finish_reason:
            self.finish_reason = tokens.finish_reason
            self.ended.set()

    def on_error(self, error: HeadraceError) -> None:
        self.error = error
        self.ended.set()

    def wait(self) -> Inbox:
        assert self.ended.wait(SECONDS), "the request never ended"
        return self


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningWorker]:
    worker = RunningWorker(tmp_path / "engine.sock")
    yield worker
    worker.end()


@pytest.fixture
def client(running: RunningWorker) -> Iterator[WorkerClient]:
    client = WorkerClient(running.path)
    assert client.wait_until_connected(SECONDS)
    yield client
    client.close()


def submit(
    client: WorkerClient,
    prompt: tuple[int, ...] = (5, 6, 7),
    tag: str = "",
    stream: bool = True,
    **sampling: Any,
) -> tuple[int, Inbox]:
    key, inbox = client.new_key(), Inbox()
    parameters = SamplingParams(**{"max_tokens": 10, **sampling})
    client.submit(protocol.Submit(key, tag, prompt, parameters, "", stream), inbox)
    return key, inbox


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.002)


def test_a_stream_brings_the_first_token_alone_and_the_rest_in_company(client: WorkerClient) -> None:
    _, inbox = submit(client)
    inbox.wait()
    assert inbox.token_ids == [6, 7, 5, 6, 7, 5, 6, 7, 5, 6]
    assert inbox.finish_reason == "length"
    assert [len(chunk.token_ids) for chunk in inbox.chunks] == [1, 4, 4, 1]


def test_a_unary_request_brings_everything_at_once(client: WorkerClient) -> None:
    _, inbox = submit(client, stream=False)
    inbox.wait()
    assert [len(chunk.token_ids) for chunk in inbox.chunks] == [10]


def test_many_requests_at_once_are_never_mixed(client: WorkerClient) -> None:
    inboxes = [submit(client, prompt=(n, n + 1000), max_tokens=20)[1] for n in range(1, 101)]
    for n, inbox in enumerate(inboxes, start=1):
        assert inbox.wait().token_ids == [n + 1000, n] * 10


def test_a_stop_string_ends_the_request_in_the_engine(client: WorkerClient, running: RunningWorker) -> None:
    prompt = tuple(TOKENIZER.encode("one two three four"))
    _, inbox = submit(client, prompt=prompt, stop=("three",), max_tokens=LONG)
    inbox.wait()
    text = b"".join(map(TOKENIZER.token_bytes, inbox.token_ids)).decode()
    assert inbox.finish_reason == "stop"
    assert text.endswith("three")
    until(lambda: running.worker.stats().engine.running == 0)


def test_abort_ends_one_request_and_no_other(client: WorkerClient) -> None:
    key, inbox = submit(client, max_tokens=LONG)
    _, other = submit(client, max_tokens=200)
    inbox.begun.wait(SECONDS)
    client.abort(key)
    assert inbox.wait().finish_reason == "cancelled"
    assert other.wait().finish_reason == "length"


def test_a_stop_by_tag_ends_all_with_that_tag_over_all_connections(
    client: WorkerClient, running: RunningWorker
) -> None:
    second = WorkerClient(running.path)
    assert second.wait_until_connected(SECONDS)
    _, one = submit(client, tag="a", max_tokens=LONG)
    _, two = submit(second, tag="a", max_tokens=LONG)
    _, other = submit(client, tag="b", max_tokens=300)
    one.begun.wait(SECONDS)
    two.begun.wait(SECONDS)
    second.stop_tag("a")
    assert one.wait().finish_reason == two.wait().finish_reason == "cancelled"
    _, reused = submit(client, tag="a")
    assert reused.wait().finish_reason == "length"
    assert other.wait().finish_reason == "length"
    second.close()


def test_one_of_two_requests_with_one_tag_ends_alone(client: WorkerClient) -> None:
    _, short = submit(client, tag="same", max_tokens=3)
    _, long = submit(client, tag="same", max_tokens=100)
    assert short.wait().finish_reason == "length"
    assert len(long.wait().token_ids) == 100


def test_a_client_that_goes_away_frees_the_engine(client: WorkerClient, running: RunningWorker) -> None:
    leaver = WorkerClient(running.path)
    assert leaver.wait_until_connected(SECONDS)
    _, inbox = submit(leaver, max_tokens=LONG)
    inbox.begun.wait(SECONDS)
    leaver.close()
    until(lambda: running.worker.stats().live == 0)
    # The abort reaches the engine a turn of the loop later.
    until(lambda: running.worker.stats().engine.running == 0)


def test_more_than_the_engine_may_hold_is_refused(tmp_path: Path) -> None:
    running = RunningWorker(tmp_path / "engine.sock", max_running=2, max_waiting=1)
    client = WorkerClient(running.path)
    assert client.wait_until_connected(SECONDS)
    held = [submit(client, tag="held", max_tokens=LONG)[1] for _ in range(3)]
    _, refused = submit(client)
    assert isinstance(refused.wait().error, QueueFull)
    assert running.worker.stats().refused == 1
    assert running.worker.stats().engine.running == 2
    client.stop_tag("held")
    for inbox in held:
        inbox.wait()
    assert submit(client)[1].wait().finish_reason == "length"
    client.close()
    running.end()


def test_draining_refuses_new_requests_and_finishes_running_ones(
    client: WorkerClient, running: RunningWorker
) -> None:
    _, inbox = submit(client, max_tokens=200)
    inbox.begun.wait(SECONDS)
    assert control.drain(running.path, SECONDS).draining
    _, late = submit(client)
    assert isinstance(late.wait().error, Unavailable)
    assert len(inbox.wait().token_ids) == 200


def test_a_worker_that_dies_fails_its_requests_and_the_next_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    first = RunningWorker(path)
    client = WorkerClient(path)
    assert client.wait_until_connected(SECONDS)
    _, inbox = submit(client, max_tokens=LONG)
    inbox.begun.wait(SECONDS)
    first.end()
    assert isinstance(inbox.wait().error, EngineUnavailable)
    with pytest.raises(EngineUnavailable):
        submit(client)
    second = RunningWorker(path)
    assert client.wait_until_connected(SECONDS)
    assert submit(client)[1].wait().finish_reason == "length"
    client.close()
    second.end()


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


def test_garbage_closes_the_connection_and_hurts_nobody(client: WorkerClient, running: RunningWorker) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(SECONDS)
        stranger.connect(str(running.path))
        stranger.sendall(b"\x00\x00\x00\x03abc")
        assert stranger.recv(1) == b""
    assert submit(client)[1].wait().finish_reason == "length"
