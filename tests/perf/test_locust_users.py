"""What locust's users do: how they read a stream, what they say, as whom, and when their load fails."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from headrace.config import API_KEY_ENV
from headrace.errors import ConfigError
from perf.locust import tenants
from perf.locust.burst import users_at
from perf.locust.chat import Answer, Chat, ChatFailed, Refused
from perf.locust.conversation import Conversation, answer_tokens, around, load_questions
from perf.locust.verdict import Figures, Limits, problems
from tests.gateway_stack import GatewayStack
from tests.perf.stub_server import HEAD, answering, chunk
from tests.triton.mock_answer import mock_answer

WISH = {"model": "assistant", "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 40}
TEXT = chunk(b'{"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": null}]}')
LAST = chunk(b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}')
USAGE = chunk(b'{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}')
END = chunk(b"[DONE]") + b"0\r\n\r\n"


def ask(url: str, key: str | None = None, leave_after: int | None = None) -> Answer:
    chat = Chat(url, key)
    try:
        return chat.ask(WISH, leave_after)
    finally:
        chat.close()


def test_a_stream_is_read_to_its_end(gateway_stack: GatewayStack) -> None:
    answer = ask(gateway_stack.url, gateway_stack.keys["beta"])
    assert (answer.text, answer.tokens, answer.finish_reason) == (mock_answer("Hello there", 40), 40, "length")
    assert 0 < answer.first_ms < answer.last_ms <= answer.end_ms
    assert not answer.left


def test_a_connection_serves_one_question_after_the_other(gateway_stack: GatewayStack) -> None:
    chat = Chat(gateway_stack.url, gateway_stack.keys["beta"])
    texts = {chat.ask(WISH).text for _ in range(3)}
    chat.close()
    assert texts == {mock_answer("Hello there", 40)}


def test_who_leaves_stops_the_engine(gateway_stack: GatewayStack) -> None:
    chat = Chat(gateway_stack.url, gateway_stack.keys["beta"])
    answer = chat.ask(WISH | {"max_tokens": 4000, "min_tokens": 4000, "temperature": 0.7}, leave_after=1)
    assert (answer.left, answer.tokens) == (True, 0)
    gateway_stack.until(lambda stats: stats.live == 0, 10.0, "the engine is free")


def test_times_are_those_of_the_texts() -> None:
    with answering([0.2, HEAD, 0.2, TEXT, 0.3, TEXT, LAST + USAGE, 0.2, END]) as url:
        answer = ask(url)
    assert (answer.text, answer.tokens) == ("HiHi", 3)
    assert answer.first_ms >= 400
    assert answer.last_ms - answer.first_ms >= 200
    assert answer.end_ms - answer.last_ms >= 100
    assert answer.itl_ms == pytest.approx((answer.last_ms - answer.first_ms) / 2)


def test_one_token_has_no_time_between_tokens() -> None:
    with answering([HEAD, TEXT, LAST, END]) as url:
        assert ask(url).itl_ms is None


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ([HEAD, TEXT], "Error|broke off"),
        ([HEAD, TEXT, LAST, b"0\r\n\r\n"], r"broke off before \[DONE\]"),
        ([HEAD, TEXT, END], "without a finish_reason"),
        ([HEAD, TEXT, chunk(b'{"error": {"message": "the engine failed"}}'), END], "the engine failed"),
        ([HEAD, chunk(b"<html>"), END], "malformed"),
        ([b"HTTP/1.1 503 No\r\ncontent-length: 5\r\n\r\nWait!"], "HTTP 503: Wait!"),
        ([], "closed|reset"),
    ],
)
def test_what_is_no_whole_answer_is_a_failure(pieces: list[bytes | float], says: str) -> None:
    with answering(pieces) as url, pytest.raises(ChatFailed, match=says):
        ask(url)


@pytest.mark.parametrize(("header", "seconds"), [(b"retry-after: 7\r\n", 7), (b"", 1), (b"retry-after: x\r\n", 1)])
def test_a_refusal_says_when_to_come_back(header: bytes, seconds: float) -> None:
    with (
        answering([b"HTTP/1.1 429 No\r\ncontent-length: 0\r\n" + header + b"\r\n"]) as url,
        pytest.raises(Refused) as caught,
    ):
        ask(url)
    assert caught.value.retry_after == seconds


def test_a_conversation_remembers_what_was_said() -> None:
    questions, draw = load_questions(), random.Random(5)
    lengths = set()
    for _ in range(100):
        conversation = Conversation(questions, draw)
        while conversation.goes_on("An answer."):
            assert conversation.messages[-2:-1] == [{"role": "assistant", "content": "An answer."}]
            assert conversation.messages[-1]["content"] in questions.follow_ups
        roles = [message["role"] for message in conversation.messages]
        assert roles == (["user", "assistant"] * 4)[: len(roles)]
        lengths.add(len(roles))
    assert lengths == {1, 3, 5, 7}


def test_pauses_and_lengths_scatter_around_their_median() -> None:
    draw = random.Random(5)
    pauses = sorted(around(2.0, draw) for _ in range(2001))
    assert pauses[1000] == pytest.approx(2.0, rel=0.1)
    assert 0 < pauses[0] < 0.5
    assert pauses[-1] == 10.0
    assert around(0, draw) == 0
    assert min(answer_tokens(draw) for _ in range(1000)) == 8


def test_users_are_those_of_all_tenants_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(json.dumps({"acme": "hr_1", "beta": "hr_2"}), encoding="utf-8")
    for kind in ("Talker", "Leaver"):
        names = [tenants.next_one(file, kind)[0] for _ in range(3)]
        assert names == ["acme", "beta", "acme"]
    monkeypatch.delenv(API_KEY_ENV, raising=False)
    assert tenants.load_keys(None) == [("anonymous", None)]
    monkeypatch.setenv(API_KEY_ENV, "hr_3")
    assert tenants.load_keys(None) == [("tenant", "hr_3")]
    with pytest.raises(ConfigError, match="no such file"):
        tenants.load_keys(tmp_path / "none.yaml")


def test_a_burst_is_in_the_middle_and_the_load_ends() -> None:
    times = (0.0, 0.39, 0.4, 0.59, 0.6, 0.99, 1.0, 2.0)
    assert [users_at(time, 10, 3.0) for time in times] == [10, 10, 30, 30, 10, 10, None, None]
    assert users_at(0.5, 1, 0.1) == 1


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        (Figures(100, 1, 400.0, "HTTP 500"), None),
        (Figures(100, 2, 100.0, "HTTP 500"), "2 of 100 requests failed, at most 1.00% may; most often: HTTP 500"),
        (Figures(100, 0, 401.0, ""), "P95 of TTFT is 401 ms, at most 400 ms are wanted"),
        (Figures(100, 0, None, ""), None),
        (Figures(7, 7, None, "refused"), "no answer came; refused"),
        (Figures(0, 0, None, ""), "no answer came; every request was refused with 429, or none was sent"),
    ],
)
def test_a_load_fails_by_its_limits(figures: Figures, says: str | None) -> None:
    assert problems(figures, Limits(0.01, 400)) == ([] if says is None else [says])
