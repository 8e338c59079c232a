"""The guards in a running Triton, at every public door: what leaves, what is stopped, what is told."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.guarded_stack import CANARY, GuardedStack
from tests.triton.answers import Refused
from tests.triton.doors import DOORS, STREAM, UNARY, Door
from tests.triton.guarded import ATTACK, BAD, BAD_ONES, CARD, CLEAN, REFUSAL, SOON, fresh, repeated, told
from tests.triton.mock_answer import mock_answer, prompt_ids

PUBLIC = [door for door in DOORS if door.model != "completion"]
FREE = {
    "card": CARD,
    "card without spaces": "4111111111111111",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "SSN": "536-22-8726",
}


@pytest.mark.parametrize("door", PUBLIC, ids=str)
class TestPrompts:
    def test_a_clean_one_is_answered(self, guarded_stack: GuardedStack, door: Door) -> None:
        answer = door.infer(guarded_stack, {"text_input": CLEAN, "max_tokens": 20})
        assert answer.text == mock_answer(CLEAN, 20)
        verdict = told(answer)
        assert (verdict["action"], verdict["policy"]) == ("allow", "standard")
        assert re.fullmatch("[0-9a-f]{16}", verdict["version"])

    def test_an_attack_is_refused_before_the_engine(self, guarded_stack: GuardedStack, door: Door) -> None:
        made = guarded_stack.stats().engine.generated_tokens
        answer = door.infer(guarded_stack, {"text_input": ATTACK, "max_tokens": 500, "min_tokens": 500})
        assert (answer.text, answer.last.finish_reason) == (REFUSAL, "content_filter")
        assert (answer.last.completion_tokens, answer.last.prompt_tokens > 0) == (0, True)
        verdict = told(answer)
        assert (verdict["action"], verdict["prompt"]["action"]) == ("block", "block")
        assert verdict["prompt"]["scores"].keys() == {"injection"}
        # The supervisor's probe may have made one token meanwhile.
        assert guarded_stack.stats().engine.generated_tokens - made < 5

    def test_a_card_does_not_reach_the_engine(self, guarded_stack: GuardedStack, door: Door) -> None:
        """The engine repeats what it got, and the answer's guard takes nothing out of that."""
        request = repeated(f"My card is {CARD}, thanks. ") | {"guard_policy": "prompts"}
        with guarded_stack.policy(prompts={"prompt": {"credit_card": {"redact": 0.8}}}):
            answer = door.infer(guarded_stack, request)
        assert "[CREDIT_CARD], thanks." in answer.text
        assert "1111" not in answer.text
        assert told(answer)["prompt"]["redactions"] == {"credit_card": 1}

    def test_an_unknown_policy_is_named(self, guarded_stack: GuardedStack, door: Door) -> None:
        with pytest.raises(Refused, match="guard_policy: no policy 'nobody'; there are async, buffered") as caught:
            door.infer(guarded_stack, {"text_input": "Hi", "guard_policy": "nobody"})
        assert caught.value.status == door.invalid


def test_every_message_of_a_conversation_is_judged(guarded_stack: GuardedStack) -> None:
    turns = [
        {"role": "user", "content": ATTACK},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "OK"},
    ]
    for door in (UNARY, STREAM):
        assert door.infer(guarded_stack, {"messages": json.dumps(turns)}).last.finish_reason == "content_filter"


@pytest.mark.parametrize("policy", ["windowed", "buffered"])
class TestAnswers:
    @pytest.mark.parametrize("what", FREE)
    @pytest.mark.parametrize("door", [UNARY, STREAM], ids=str)
    def test_no_digit_of_a_number_that_is_to_be_redacted_leaves(
        self, guarded_stack: GuardedStack, door: Door, policy: str, what: str
    ) -> None:
        text = f"{fresh()}{CLEAN}It is {FREE[what]}, as I said. {CLEAN}"
        answer = door.infer(guarded_stack, repeated(text, 3) | {"guard_policy": policy})
        number = FREE[what]
        assert not any(number[start : start + 4] in answer.text for start in range(len(number) - 3))
        assert answer.text.count("as I said.") == 3
        assert answer.text.count("It is [") == 3
        assert told(answer)["action"] == "redact"

    @pytest.mark.parametrize("bad", BAD_ONES)
    def test_a_bad_one_is_the_refusal_when_it_comes_whole(
        self, guarded_stack: GuardedStack, policy: str, bad: str
    ) -> None:
        answer = UNARY.infer(guarded_stack, repeated(fresh() + CLEAN + bad + CLEAN) | {"guard_policy": policy})
        assert (answer.text, answer.last.finish_reason) == (REFUSAL, "content_filter")
        assert (told(answer)["prompt"]["action"], told(answer)["response"]["action"]) == ("allow", "block")

    def test_a_canary_never_leaves(self, guarded_stack: GuardedStack, policy: str) -> None:
        request = repeated(f"{CLEAN}The word is {CANARY}. {CLEAN}") | {"guard_policy": policy}
        for door in (UNARY, STREAM):
            answer = door.infer(guarded_stack, request)
            assert "zebra" not in answer.text
            assert answer.last.finish_reason == "content_filter"

    @pytest.mark.parametrize("bad", BAD_ONES)
    def test_a_bad_one_in_json_is_caught(self, guarded_stack: GuardedStack, policy: str, bad: str) -> None:
        said = {"status": {"const": "ok"}, "title": {"const": CLEAN}, "plan": {"const": bad}}
        schema = json.dumps({"type": "object", "properties": said, "required": list(said)})
        request = {"text_input": "Hi", "max_tokens": 200, "response_format": schema, "guard_policy": policy}
        for door in (UNARY, STREAM):
            answer = door.infer(guarded_stack, request)
            assert answer.last.finish_reason == "content_filter"
            assert BAD_ONES[bad] not in answer.text

    @pytest.mark.parametrize("bad", BAD_ONES)
    def test_after_ten_thousand_clean_characters_it_is_caught(
        self, guarded_stack: GuardedStack, policy: str, bad: str
    ) -> None:
        text = CLEAN * 210 + bad + CLEAN
        answer = STREAM.infer(guarded_stack, repeated(text) | {"guard_policy": policy})
        assert answer.last.finish_reason == "content_filter"
        assert BAD_ONES[bad] not in answer.text
        assert len(answer.text) > (10_000 if policy == "windowed" else 0)


def test_a_bad_stream_ends_at_once_and_frees_the_engine(guarded_stack: GuardedStack) -> None:
    before = guarded_stack.stats().cancelled
    text = fresh() + CLEAN * 3 + BAD + CLEAN
    answer = STREAM.infer(guarded_stack, repeated(text, 40) | {"guard_policy": "windowed"})
    assert answer.last.finish_reason == "content_filter"
    assert answer.text in mock_answer(text, 4000)
    assert CLEAN.strip() in answer.text
    assert "flame" not in answer.text
    assert answer.last.completion_tokens < 40 * len(prompt_ids(text)) / 2
    guarded_stack.until(lambda stats: stats.cancelled > before and stats.live == 0, SOON, "the place is free")


def test_a_bad_stream_that_is_buffered_is_the_refusal(guarded_stack: GuardedStack) -> None:
    answer = STREAM.infer(guarded_stack, repeated(fresh() + CLEAN + BAD, 40) | {"guard_policy": "buffered"})
    assert (answer.text, answer.last.finish_reason) == (REFUSAL, "content_filter")
    assert len([piece for piece in answer.pieces if piece.text]) == 1


def test_an_async_stream_shows_what_it_has_and_ends(guarded_stack: GuardedStack) -> None:
    answer = STREAM.infer(guarded_stack, repeated(fresh() + CLEAN + BAD, 40) | {"guard_policy": "async"})
    assert answer.last.finish_reason == "content_filter"
    assert answer.text.startswith("system\n")
    assert told(answer)["response"]["scores"] == {"weapon": 1.0}


@pytest.mark.parametrize("bad", BAD_ONES)
def test_the_second_of_two_choices_is_judged_for_itself(guarded_stack: GuardedStack, bad: str) -> None:
    """As a gateway asks for n = 2: two requests at once."""
    requests = [repeated(fresh() + words, 2) | {"guard_policy": "windowed"} for words in (CLEAN * 4, CLEAN + bad)]
    with ThreadPoolExecutor(16) as pool:
        for door in (UNARY, STREAM):
            answers = list(
                pool.map(lambda request, door=door: door.infer(guarded_stack, request, "n2"), requests * 8)
            )
            assert [answer.last.finish_reason for answer in answers] == ["length", "content_filter"] * 8
            assert not any(BAD_ONES[bad] in answer.text for answer in answers)


@pytest.mark.parametrize(
    "text",
    [
        "\u200b".join(ATTACK),
        "x" * 8000,
        "aaaa@" * 2000,
        "4" * 8000,
        "-----BEGIN RSA PRIVATE KEY-----" + "A" * 6000,
        "a\u0301\u0302\u0303" * 1000,
        ("(a+)+$ " * 600),
    ],
    ids=["invisible", "long word", "at signs", "digits", "key", "marks", "regex"],
)
def test_strange_texts_are_judged_in_time(guarded_stack: GuardedStack, text: str) -> None:
    for door in (UNARY, STREAM):
        for policy in ("standard", "windowed"):
            try:
                answer = door.infer(guarded_stack, {"text_input": text, "max_tokens": 200, "guard_policy": policy})
            except Refused as refused:
                assert re.search("text_input: [0-9]+ tokens", refused.message)
            else:
                assert not told(answer)["prompt"].get("errors")
                assert not told(answer)["response"].get("errors")
