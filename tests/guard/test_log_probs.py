"""Tokens tell of the text as much as the text itself: none is out before it, and none of what was taken out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.guard.live import LivePolicy
from headrace.guard.record import DecisionLog
from headrace.text.token_text import token_bytes, token_text
from headrace.triton.answer_guard import AnswerGuard, GuardedText
from headrace.triton.log_probs import HeldLogProbs, LogProbs
from tests.guard.step_inputs import inputs
from tests.guard.test_stream_guard import CLEAN, Bench
from tests.guard.verdicts import prompt_verdict

ANSWER = f"{CLEAN}Come, please, and stay. {CLEAN}And so on, it is fine."


def tokens_of(text: str, size: int) -> list[str]:
    data = text.encode()
    return [token_text(data[place : place + size]) for place in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_stream_s_tokens_are_never_ahead_of_its_text(live: LivePolicy, size: int) -> None:
    bench = Bench(live)
    text = CLEAN * 8
    for place in range(0, len(text), size):
        bench.arrive((1, text[place : place + size], ""))
        tokens = "".join(token for chunk in bench.sent[1] for token in chunk.log_probs.tokens)
        assert bench.text(1).startswith(tokens)
    bench.arrive((1, "", "stop"))
    assert "".join(token for chunk in bench.sent[1] for token in chunk.log_probs.tokens) == text == bench.text(1)


@pytest.mark.parametrize("size", [1, 4, 200])
def test_redacted_text_is_in_no_token_of_a_stream(live: LivePolicy, size: int) -> None:
    bench = Bench(live)
    for place in range(0, len(ANSWER), size):
        bench.arrive((1, ANSWER[place : place + size], ""))
    bench.arrive((1, "", "stop"))
    assert "please" not in bench.text(1)
    values = [value for chunk in bench.sent[1] for value in chunk.log_probs.values]
    tokens = [token for chunk in bench.sent[1] for token in chunk.log_probs.tokens]
    assert len(values) == len(tokens) == -(-len(ANSWER) // size) + 1
    assert "lease" not in "".join(tokens)
    if size < 200:
        assert "All is well" in "".join(tokens)


@pytest.mark.parametrize("size", [1, 4])
def test_redacted_text_is_in_no_token_of_a_whole_answer(live: LivePolicy, size: int) -> None:
    tokens = tuple(tokens_of(ANSWER, size))
    request = inputs(
        text_output=ANSWER,
        finish_reason="stop",
        log_probs=(-0.5,) * len(tokens),
        log_prob_tokens=tokens,
        prompt_verdict=prompt_verdict("windowed").json(),
    )
    (found,) = AnswerGuard(live, DecisionLog(None)).judge([request])
    assert isinstance(found, GuardedText)
    assert "please" not in found.text
    assert len(found.log_probs) == len(tokens)
    shown = "".join(found.log_probs.tokens)
    assert "lease" not in shown
    assert shown.startswith("All is well")


@given(st.text(max_size=40), st.integers(1, 5), st.data())
def test_tokens_come_when_their_characters_have(text: str, size: int, data: st.DataObject) -> None:
    tokens = tuple(tokens_of(text, size))
    held = HeldLogProbs()
    held.add(LogProbs((-1.0,) * len(tokens), tokens))
    shown = b""
    for place in sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4))):
        shown += b"".join(map(token_bytes, held.take(place, ()).tokens))
        assert text[:place].encode().startswith(shown)
    shown += b"".join(map(token_bytes, held.take(len(text), (), final=True).tokens))
    assert shown == text.encode()


def test_what_a_stop_string_cut_off_is_in_no_token() -> None:
    held = HeldLogProbs()
    held.add(LogProbs((-1.0, -2.0, -3.0), ("One", " STOP", " more")))
    found = held.take(3, (), final=True)
    assert (found.values, found.tokens) == ((-1.0, -2.0, -3.0), ("One", "", ""))
