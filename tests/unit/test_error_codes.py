"""A typed error survives a stream that carries nothing but text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import error_codes
from headrace.errors import EngineFailed, HeadraceError, InvalidRequest, QueueFull, RequestCancelled, Unavailable

KINDS = {Unavailable: Unavailable, QueueFull: QueueFull, EngineFailed: EngineFailed}
KINDS |= {RequestCancelled: RequestCancelled, HeadraceError: EngineFailed}


@pytest.mark.parametrize(("sent", "comes"), KINDS.items())
@given(words=st.text())
def test_each_kind_comes_as_what_it_was(sent: type[HeadraceError], comes: type[HeadraceError], words: str) -> None:
    found = error_codes.read(error_codes.written(sent(words)))
    assert (type(found), str(found)) == (comes, words)
    assert error_codes.problem(error_codes.written(sent(words))) == words


@given(words=st.text().filter(lambda words: not words.endswith("]")))
def test_a_mistake_of_the_client_names_its_field(words: str) -> None:
    found = error_codes.read(error_codes.written(InvalidRequest("top_p", words)))
    assert isinstance(found, InvalidRequest)
    assert (found.field, str(found)) == ("top_p", f"top_p: {words}")


def test_triton_s_own_words_are_an_internal_error() -> None:
    found = error_codes.read("[request id: <id_unknown>] unexpected inference input 'x'")
    assert (type(found), str(found)) == (
        HeadraceError,
        "[request id: <id_unknown>] unexpected inference input 'x'",
    )
