"""Answers in pieces: what is shown, when, and what is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace import paths
from headrace.config import LimitsConfig
from headrace.errors import InvalidRequest
from headrace.text.token_text import token_bytes
from headrace.text.tokenizer import Tokenizer
from headrace.triton import idle
from headrace.triton.engine_step import Reply, reply_outputs
from headrace.triton.log_probs import LogProbs
from headrace.triton.postprocessing import AnswerPiece, Postprocessor
from headrace.triton.tensors import GetTensor

TOKENIZER = Tokenizer(paths.default_model())
FAMILY = "👨‍👩‍👧"


def reply(stream_id: int, text_or_ids: str | list[int], **more: Any) -> GetTensor:
    """What the engine step sends, as the next step receives it."""
    ids = TOKENIZER.encode_plain(text_or_ids) if isinstance(text_or_ids, str) else text_or_ids
    outputs: dict[str, NDArray[Any]] = reply_outputs(
        Reply(stream_id, prompt_tokens=7, token_ids=tuple(ids), **more)
    )
    return outputs.get


@pytest.fixture
def postprocessor() -> Postprocessor:
    return Postprocessor(TOKENIZER, LimitsConfig())


def test_a_whole_answer(postprocessor: Postprocessor) -> None:
    piece = postprocessor.whole(reply(1, "It is Paris.", finish_reason="length"))
    count = len(TOKENIZER.encode_plain("It is Paris."))
    assert piece == AnswerPiece("It is Paris.", "length", 7, count, LogProbs(), stream_id=1)
    assert len(postprocessor) == 0


def test_streams_are_kept_apart_and_forgotten_at_their_end(postprocessor: Postprocessor) -> None:
    ids = {n: TOKENIZER.encode_plain(f"stream {n} {FAMILY}!") for n in (1, 2, 3)}
    shown = dict.fromkeys(ids, "")
    for place in range(max(map(len, ids.values()))):
        for n, tokens in ids.items():
            if piece := postprocessor.piece(reply(n, tokens[place : place + 1])):
                shown[n] += piece.text
    assert len(postprocessor) == 3
    for n, tokens in ids.items():
        last = postprocessor.piece(reply(n, [], finish_reason="stop"))
        assert last is not None
        assert last.completion_tokens == len(tokens)
        shown[n] += last.text
    assert shown == {n: f"stream {n} {FAMILY}!" for n in ids}
    assert len(postprocessor) == 0


def test_a_piece_without_text_shows_nothing_and_its_log_probs_come_later(postprocessor: Postprocessor) -> None:
    first, *rest = TOKENIZER.encode_plain("👩")
    assert postprocessor.piece(reply(1, [first], log_probs=(-0.5,))) is None
    piece = postprocessor.piece(reply(1, rest, log_probs=(-1.0,) * len(rest), finish_reason="length"))
    assert piece is not None
    assert piece.text == "👩"
    assert piece.log_probs.values == (-0.5, *(-1.0,) * len(rest))
    assert b"".join(map(token_bytes, piece.log_probs.tokens)) == "👩".encode()


def test_a_stop_string_ends_the_text_and_names_the_reason(postprocessor: Postprocessor) -> None:
    piece = postprocessor.piece(reply(1, "The capital is Par", stop=("Paris",)))
    assert piece is not None
    assert piece.text == "The capital is "
    last = postprocessor.piece(reply(1, "is, yes", finish_reason="length"))
    assert last is not None
    assert (last.text, last.finish_reason) == ("", "stop")


def test_a_stream_that_lost_its_engine_is_forgotten(
    postprocessor: Postprocessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    postprocessor.piece(reply(1, "lost"))
    clock[0] = idle.IDLE_SECONDS / 2
    postprocessor.piece(reply(2, "alive"))
    clock[0] = idle.IDLE_SECONDS + 1
    postprocessor.piece(reply(3, "new"))
    assert len(postprocessor) == 2


def test_an_answer_without_tokens(postprocessor: Postprocessor) -> None:
    piece = postprocessor.piece(reply(1, [], finish_reason="cancelled"))
    assert piece == AnswerPiece("", "cancelled", 7, 0, LogProbs(), stream_id=1)
    assert reply(1, [])("output_ids").shape == (1, 0)  # type: ignore[union-attr]
    assert reply(1, [])("output_ids").dtype == np.int32  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"stop": ("a", "")}, "^answer_stop_words: string 1 is empty"),
        (
            {"finish_reason": "weird"},
            "^engine_finish_reason: got 'weird', expected one of stop, length, cancelled, content_filter",
        ),
    ],
)
def test_what_no_engine_sends_is_refused_by_name(
    postprocessor: Postprocessor, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says):
        postprocessor.whole(reply(1, "It is Paris.", **more))
