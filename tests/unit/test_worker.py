"""The worker and its client, over a real socket, with the engine that needs no model."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config import CoalescingConfig
from headrace.errors import EngineUnavailable, QueueFull, Unavailable
from headrace.worker import control
from headrace.worker.client import WorkerClient
from tests.unit.running_worker import LONG, SECONDS, TOKENIZER, RunningWorker, submit, until


def test_a_stream_brings_the_first_token_alone_and_the_rest_in_company(client: WorkerClient) -> None:
    _, inbox = submit(client)
    inbox.wait()
    assert inbox.token_ids == [6, 7, 5, 6, 7, 5, 6, 7, 5, 6]
    assert inbox.finish_reason == "length"
    assert [len(chunk.token_ids) for chunk in inbox.chunks] == [1, 4, 4, 1]


def test_tokens_that_are_too_few_for_a_response_leave_by_time(tmp_path: Path) -> None:
    running = RunningWorker(tmp_path / "engine.sock", CoalescingConfig(max_tokens=1000, max_delay_ms=20))
    client = WorkerClient(running.path)
    assert client.wait_until_connected(SECONDS)
    _, inbox = submit(client, max_tokens=300)
    inbox.wait()
    sizes = [len(chunk.token_ids) for chunk in inbox.chunks]
    client.close()
    running.end()
    assert (sizes[0], sum(sizes)) == (1, 300)
    # 300 steps of 1 ms and more.
    assert 5 <= len(sizes) <= 150


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
