from __future__ import annotations

import pytest

from headrace.client import Client, Question, _without_ensemble
from headrace.errors import Unavailable


async def test_no_server_is_one_clear_line() -> None:
    async with Client("127.0.0.1:1") as client:
        assert not await client.ready(1)
        with pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1; start one"):
            await client.answer(Question(text_input="x"), 5)
        with pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1; start one"):
            async for _ in client.stream(Question(text_input="x")):
                pass


def test_what_is_not_asked_is_not_sent() -> None:
    question = Question(text_input="x", temperature=0.0, stop_words=("a", "b"))
    assert {(tensor.name(), tuple(tensor.shape()), tensor.datatype()) for tensor in question.tensors()} == {
        ("text_input", (1, 1), "BYTES"),
        ("temperature", (1, 1), "FP32"),
        ("stop_words", (1, 2), "BYTES"),
    }


def test_the_ensembles_names_are_left_out_of_errors() -> None:
    assert _without_ensemble("in ensemble 'a', in ensemble 'b', top_p: too big") == "top_p: too big"
    assert _without_ensemble("top_p: too big") == "top_p: too big"
