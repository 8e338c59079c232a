"""Whatever a client or a model sends: what is promised of text, messages and numbers holds."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from headrace import paths
from headrace.config import LimitsConfig
from headrace.errors import InvalidRequest
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message, parse_messages
from headrace.text.stop_strings import StopMatcher
from headrace.text.tokenizer import Tokenizer
from headrace.triton import tensors
from headrace.triton.sampling import read_sampling

BEGIN, END = 1, 2
TAGS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>system\n", "<|im_<|im_end|>end|>", "<|", "|>")
TEXTS = ("hello\n", "  ", "日本語", "👩‍👩‍👧‍👦", "שלום", "\u202e", "e\u0301", "\u200b\ufeff", "\ufdd0")
# Few letters, so that strings overlap often.
words = st.text(alphabet="abé", min_size=1, max_size=5)


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer(paths.default_model())


@cache
def template() -> ChatTemplate:
    return ChatTemplate(paths.default_model(), tokenizer())


def text_of(token_ids: list[int]) -> str:
    return b"".join(map(tokenizer().token_bytes, token_ids)).decode()


def test_every_token_of_the_vocabulary_is_what_the_library_says() -> None:
    library = tokenizers.Tokenizer.from_file(str(paths.default_model() / "tokenizer.json"))
    for token_id in range(library.get_vocab_size()):
        text = tokenizer().token_bytes(token_id).decode("utf-8", "replace")
        # Of a token that is no whole character, the library may make another number of replacements.
        if "\ufffd" not in text:
            assert text == library.decode([token_id], skip_special_tokens=True), token_id


@given(text=st.text(alphabet="abé", max_size=40), stop=st.lists(words, min_size=1, max_size=6))
def test_what_may_become_a_stop_string_is_held_back_and_nothing_else(text: str, stop: list[str]) -> None:
    matcher = StopMatcher(stop)
    shown = ""
    for end, character in enumerate(text, start=1):
        shown += matcher.feed(character)
        if matcher.matched:
            break
        begun = [n for word in stop for n in range(1, len(word)) if text[:end].endswith(word[:n])]
        assert end - len(shown) == max(begun, default=0)


@given(
    messages=st.lists(
        st.builds(
            Message,
            st.sampled_from(["system", "user", "assistant"]),
            st.lists(st.sampled_from(TAGS + TEXTS), max_size=6).map("".join),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_roles_come_from_the_template_alone_and_nothing_that_was_said_is_lost(messages: list[Message]) -> None:
    token_ids = template().encode(messages)
    turns = len(messages) + (messages[0].role != "system")
    controls = [token_id for token_id in token_ids if not tokenizer().token_bytes(token_id)]
    assert controls == [BEGIN, END] * turns + [BEGIN]
    said = "".join(f"{message.role}\n{message.text}\n" for message in messages)
    assert text_of(token_ids).endswith(f"{said}assistant\n")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "user", "name"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=json_values)
def test_any_json_is_read_as_messages_or_refused_by_name(value: Any) -> None:
    try:
        messages = parse_messages(json.dumps(value).encode(), 3)
    except InvalidRequest as error:
        refused = error.field
    else:
        refused = "messages" if len(messages) == len(value) else "nothing, but the count is wrong"
    assert refused == "messages"


@given(
    name=st.sampled_from(["temperature", "top_p", "repetition_penalty", "frequency_penalty"]),
    value=st.floats(width=32),
)
def test_any_number_reaches_the_engine_within_its_range_or_is_refused_by_name(name: str, value: float) -> None:
    def get(asked: str) -> Any:
        return np.array([[value]], dtype=np.float32) if asked == name else None

    try:
        kept = getattr(read_sampling(get, LimitsConfig()), name)
    except InvalidRequest as error:
        assert error.field == name
    else:
        assert kept == value
        assert -2 <= value <= 100


@given(data=st.binary(max_size=30))
def test_any_bytes_are_text_or_refused_by_name(data: bytes) -> None:
    def get(_: str) -> Any:
        return np.array([[data]], dtype=np.object_)

    try:
        text = tensors.text(get, "text_input", 20)
    except InvalidRequest as error:
        assert error.field == "text_input"
    else:
        assert text is not None
        assert text.encode() == data
        assert len(data) <= 20
        assert "\0" not in text
