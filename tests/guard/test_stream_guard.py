"""Streams: what is shown, when, and what is stopped and forgotten."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidRequest
from headrace.guard.judge import Judge
from headrace.guard.live import LivePolicy
from headrace.guard.record import DecisionLog
from headrace.triton import idle
from headrace.triton.answer_guard import AnswerGuard, GuardedText
from headrace.triton.stream_guard import Chunk, StreamGuard
from headrace.triton.tensors import Request
from tests.guard.pieces import cut
from tests.guard.rails import Silent
from tests.guard.step_inputs import POLICY, inputs
from tests.guard.verdicts import prompt_verdict

CLEAN = "All is well here. "


class Bench:
    """A guard, the chunks that it sent by stream, and the streams that it stopped."""

    def __init__(self, live: LivePolicy) -> None:
        self.stopped: list[int] = []
        self.guard = StreamGuard(live, DecisionLog(None), self.stopped.append)
        self.sent: dict[int, list[Chunk]] = defaultdict(list)
        self.errors: dict[int, Exception] = {}
        self._began: set[int] = set()

    def arrive(self, *chunks: tuple[int, str, str], policy: str = "windowed", blocked: bool = False) -> None:
        """One batch of (stream, text, finish reason)."""
        batch = [self._inputs(*chunk, policy, blocked) for chunk in chunks]
        finals = [0] * len(batch)

        def send(place: int, found: Chunk | Exception | None, final: bool) -> None:
            assert not finals[place], "sent after the final response"
            finals[place] += final
            if isinstance(found, Exception):
                self.errors[chunks[place][0]] = found
            elif found is not None:
                self.sent[chunks[place][0]].append(found)

        self.guard.judge(batch, send)
        assert finals == [1] * len(batch)

    def _inputs(self, stream_id: int, text: str, finish: str, policy: str, blocked: bool) -> Request:
        first = stream_id not in self._began
        self._began.add(stream_id)
        return inputs(
            stream_id=stream_id,
            text_output=text,
            finish_reason=finish,
            prompt_tokens=7,
            completion_tokens=len(text),
            log_probs=(-0.5,),
            log_prob_tokens=(text,),
            prompt_verdict=prompt_verdict(policy, blocked=blocked).json() if first else "",
        )

    def text(self, stream_id: int) -> str:
        return "".join(chunk.text for chunk in self.sent[stream_id])

    def last(self, stream_id: int) -> Chunk:
        return self.sent[stream_id][-1]


@pytest.fixture
def bench(live: LivePolicy) -> Bench:
    return Bench(live)


def test_a_clean_stream_is_shown_window_by_window_and_then_forgotten(bench: Bench) -> None:
    pieces = ["All ", "is ", "well ", "here. ", "And there too."]
    for piece in pieces:
        bench.arrive((1, piece, ""))
    assert len(bench.guard) == 1
    bench.arrive((1, "", "stop"))
    assert bench.text(1) == "".join(pieces)
    assert [chunk.finish_reason for chunk in bench.sent[1]][-1] == "stop"
    assert {chunk.finish_reason for chunk in bench.sent[1][:-1]} == {""}
    assert [bool(chunk.guard) for chunk in bench.sent[1]] == [False] * (len(bench.sent[1]) - 1) + [True]
    assert (len(bench.guard), bench.stopped) == (0, [])


def test_no_log_prob_is_lost_while_text_is_held_back(bench: Bench) -> None:
    for piece in ("Th", "is", " i", "s", " it"):
        bench.arrive((1, piece, ""))
    bench.arrive((1, "", "length"))
    assert sum(len(chunk.log_probs) for chunk in bench.sent[1]) == 6


def test_log_probs_wait_for_their_text(bench: Bench) -> None:
    for number, piece in enumerate((CLEAN, "We ", "had ", "a ", "bo", "mb. "), start=1):
        bench.arrive((1, piece, ""))
        if bench.last(1).finish_reason:
            break
        shown = sum(len(chunk.log_probs) for chunk in bench.sent[1])
        assert shown < number, "the last token is held back"
    assert bench.last(1).finish_reason == "content_filter"
    assert len(bench.last(1).log_probs) == 0
    assert sum(len(chunk.log_probs) for chunk in bench.sent[1]) <= 1


def test_a_blocked_stream_ends_at_once_and_stops_the_engine(bench: Bench) -> None:
    bench.arrive((1, CLEAN, ""))
    bench.arrive((1, "Take a bomb. And ", ""))
    assert bench.last(1).finish_reason == "content_filter"
    assert json.loads(bench.last(1).guard)["action"] == "block"
    assert bench.stopped == [1]
    shown = bench.text(1)
    bench.arrive((1, "more of it. " * 50, ""), (1, "the end", "cancelled"))
    assert bench.text(1) == shown
    assert CLEAN.startswith(shown.strip()[:3])
    assert "bomb" not in shown
    assert (len(bench.guard), bench.stopped) == (0, [1])


def test_a_stream_that_is_blocked_by_its_last_words_has_nothing_to_stop(bench: Bench) -> None:
    bench.arrive((1, CLEAN, ""))
    bench.arrive((1, "bomb", "stop"))
    assert (bench.last(1).finish_reason, bench.last(1).text) == ("content_filter", "")
    assert (bench.stopped, len(bench.guard)) == ([], 0)


def test_a_buffered_stream_shows_all_or_the_refusal_at_its_end(bench: Bench) -> None:
    for stream_id, end in ((1, "Goodbye, please."), (2, "bomb")):
        bench.arrive((stream_id, CLEAN, ""), policy="buffered")
        assert not bench.sent[stream_id]
        bench.arrive((stream_id, end, "stop"), policy="buffered")
    assert [bench.text(1), bench.text(2)] == [CLEAN + "Goodbye, [WORD].", "No."]
    assert [bench.last(1).finish_reason, bench.last(2).finish_reason] == ["stop", "content_filter"]


def test_an_async_stream_shows_at_once_and_stops_late(bench: Bench) -> None:
    bench.arrive((1, "A bo", ""), policy="async")
    assert bench.text(1) == "A bo"
    bench.arrive((1, "mb. It ", ""), policy="async")
    assert bench.text(1) == "A bomb. It "  # sent before it was judged
    assert (bench.last(1).finish_reason, bench.stopped) == ("content_filter", [1])


def test_the_last_words_of_an_async_stream_wait_for_their_verdict(bench: Bench) -> None:
    bench.arrive((1, "A ", ""), policy="async")
    bench.arrive((1, "bomb.", "stop"), policy="async")
    assert (bench.text(1), bench.last(1).finish_reason) == ("A ", "content_filter")
    bench.arrive((2, "A ", ""), policy="async")
    bench.arrive((2, "pear.", "stop"), policy="async")
    assert (bench.text(2), bench.last(2).finish_reason, len(bench.sent[2])) == ("A pear.", "stop", 2)


def test_a_blocked_prompt_answers_with_the_refusal(bench: Bench) -> None:
    bench.arrive((1, "", "content_filter"), blocked=True)
    assert (bench.text(1), bench.last(1).finish_reason) == ("No.", "content_filter")
    assert json.loads(bench.last(1).guard)["prompt"]["action"] == "block"
    assert (bench.stopped, len(bench.guard)) == ([], 0)


@pytest.mark.parametrize("policy", ["windowed", "buffered"])
@given(places=st.lists(st.integers(0, 120), max_size=12), bad=st.sampled_from(["", "a bomb", "please"]))
def test_the_pieces_make_no_difference(tmp_path_factory: Any, policy: str, places: list[int], bad: str) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "streams.yaml"
    if not file.exists():
        file.write_text(POLICY)
    text = f"{CLEAN}Now then: {bad}, and {CLEAN * 2}"
    shown = []
    for pieces in ([text], cut(text, places)):
        live = LivePolicy(file, Silent())
        bench = Bench(live)
        for piece in pieces:
            bench.arrive((1, piece, ""), policy=policy)
        bench.arrive((1, "", "stop"), policy=policy)
        shown.append((bench.text(1), bench.last(1).finish_reason, bench.last(1).guard))
        live.close()
    assert shown[0] == shown[1]
    assert "bomb" not in shown[0][0]
    assert "please" not in shown[0][0]


def test_two_chunks_of_one_stream_in_a_batch_are_judged_one_after_the_other(bench: Bench) -> None:
    bench.arrive((1, "One. ", ""), (2, "Uno. ", ""), (1, "A bomb. ", ""), (1, "Three. ", ""), (2, "Due.", "stop"))
    assert (bench.text(1), bench.last(1).finish_reason) == ("One.", "content_filter")
    assert (bench.text(2), bench.last(2).finish_reason) == ("Uno. Due.", "stop")


def test_a_chunk_of_no_known_stream_is_an_error_and_its_engine_is_stopped(bench: Bench) -> None:
    bench.arrive((1, "One. ", ""))
    bench.arrive((1, "Two.", "stop"))
    bench.arrive((1, "Three. ", ""), (2, "Fine. ", ""))
    assert isinstance(bench.errors[1], InvalidRequest)
    assert bench.stopped == [1]
    assert bench.text(2) == "Fine."


def test_a_model_may_write_a_nul(bench: Bench) -> None:
    bench.arrive((1, CLEAN, ""))
    bench.arrive((1, "A \0 there.", "stop"))
    assert (bench.text(1), bench.errors) == (f"{CLEAN}A \0 there.", {})


def test_a_chunk_that_cannot_be_read_ends_its_stream(bench: Bench) -> None:
    bench.arrive((1, CLEAN, ""), (2, CLEAN, ""))
    shown = bench.text(1)
    bench.arrive((1, b"a b\xff", ""), (2, CLEAN, ""))  # type: ignore[arg-type]
    assert "text_output: not valid UTF-8" in str(bench.errors[1])
    assert bench.stopped == [1]
    bench.arrive((1, "omb. More of it.", ""), (2, CLEAN, "stop"))
    assert (bench.text(1), bench.text(2)) == (shown, CLEAN * 3)
    assert len(bench.guard) == 0


def test_a_policy_that_is_gone_ends_its_streams(bench: Bench, policy_file: Path) -> None:
    bench.arrive((1, CLEAN, ""), policy="buffered")
    bench.arrive((2, CLEAN, ""), policy="windowed")
    draft = policy_file.with_suffix(".new")
    draft.write_text("\n".join(line for line in POLICY.splitlines() if "buffered" not in line))
    draft.replace(policy_file)
    bench.arrive((1, CLEAN, ""), (2, CLEAN, ""))
    assert "no policy 'buffered'" in str(bench.errors[1])
    assert (bench.stopped, 2 in bench.errors) == ([1], False)


def test_a_judge_that_breaks_shows_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.arrive((1, CLEAN, ""))
    shown = bench.text(1)

    def broken(*_: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Judge, "judge", broken)
    bench.arrive((1, CLEAN, ""), (2, CLEAN, "stop"))
    assert (bench.text(1), bench.text(2)) == (shown, "")
    assert set(bench.errors) == {1, 2}
    assert (bench.stopped, len(bench.guard)) == ([1], 0)


def test_a_silent_stream_is_forgotten(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("headrace.triton.idle.time.monotonic", lambda: clock[0])
    bench.arrive((1, CLEAN, ""))
    clock[0] = idle.IDLE_SECONDS + 1
    bench.arrive((2, CLEAN, ""))
    assert len(bench.guard) == 1


def test_of_a_term_that_begins_like_an_opening_no_letter_leaves(with_terms: LivePolicy) -> None:
    bench = Bench(with_terms)
    for piece in ("The", "odora", " is it. Ask acme. ", "secret. project now."):
        bench.arrive((1, piece, ""))
    bench.arrive((1, "", "stop"))
    assert bench.text(1) == "[WORD] is it. Ask [WORD] now."


def test_a_policy_that_changes_in_a_stream_judges_the_rest_and_is_named(
    live: LivePolicy, policy_file: Path
) -> None:
    bench = Bench(live)
    bench.arrive((1, CLEAN, ""))
    draft = policy_file.with_suffix(".new")
    draft.write_text(POLICY.replace("fruit: {flag: 0.5}", "fruit: {block: 0.5}"))
    draft.replace(policy_file)
    bench.arrive((1, "An apple. ", "stop"))
    assert bench.last(1).finish_reason == "content_filter"
    told = json.loads(bench.last(1).guard)
    assert told["version"] == live.judge().policy("windowed")[1].version
    assert told["prompt"]["version"] == prompt_verdict("windowed").version
    assert told["version"] != told["prompt"]["version"]


def test_after_its_block_an_async_stream_shows_nothing_more(live: LivePolicy) -> None:
    bench = Bench(live)
    bench.arrive((1, "A bomb. It ", ""), policy="async")
    shown = bench.text(1)
    bench.arrive((1, "goes on. ", ""), (1, "And on.", "cancelled"))
    assert (bench.text(1), bench.stopped, len(bench.guard)) == (shown, [1], 0)


def test_streams_beyond_all_bounds_are_forgotten_the_oldest_first(
    live: LivePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.triton.idle.MAX_STREAMS", 2)
    bench = Bench(live)
    for stream_id in (1, 2, 3):
        bench.arrive((stream_id, CLEAN, ""))
    assert len(bench.guard) == 2
    bench.arrive((1, CLEAN, ""), (2, CLEAN, ""), (3, CLEAN, ""))
    assert set(bench.errors) == {1}


@pytest.mark.parametrize("blocked", [False, True])
def test_the_action_of_a_request_is_the_most_severe_of_both(live: LivePolicy, blocked: bool) -> None:
    bench = Bench(live)
    bench.arrive((1, "" if blocked else CLEAN, "content_filter" if blocked else "stop"), blocked=blocked)
    assert json.loads(bench.last(1).guard)["action"] == ("block" if blocked else "allow")
    verdict = prompt_verdict("windowed", blocked=blocked).json()
    arrived = inputs(text_output="", finish_reason="stop", log_probs=0.0, prompt_verdict=verdict)
    (found,) = AnswerGuard(live, DecisionLog(None)).judge([arrived])
    assert isinstance(found, GuardedText)
    assert json.loads(found.guard)["action"] == ("block" if blocked else "allow")


def test_a_blocked_prompt_is_no_answer_in_a_stream_either(live: LivePolicy) -> None:
    counted: list[str] = []
    guard = StreamGuard(live, DecisionLog(None, lambda verdict: counted.append(verdict.action)), lambda _: None)
    guard.judge(
        [
            inputs(
                stream_id=5, text_output="", finish_reason="content_filter", prompt_tokens=1, completion_tokens=0,
                log_probs=0.0, prompt_verdict=prompt_verdict("windowed", blocked=True).json(),
            )
        ],
        lambda *_, **__: None,
    )  # fmt: skip
    assert counted == []
