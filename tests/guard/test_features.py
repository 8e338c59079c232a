from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer

from headrace.guard.features import CHARACTER_FEATURES, COUNT, WORD_FEATURES, features
from headrace.guard.head import Head

_LIKE_OURS = {"alternate_sign": False, "norm": None, "dtype": np.float32}
_WORDS = HashingVectorizer(
    analyzer="word",
    ngram_range=(1, 2),
    token_pattern=r"(?u)\b\w+\b|[^\w\s]",
    n_features=WORD_FEATURES,
    **_LIKE_OURS,
)
_CHARACTERS = HashingVectorizer(
    analyzer="char_wb", ngram_range=(3, 5), n_features=CHARACTER_FEATURES, **_LIKE_OURS
)
_WRITING = st.text(
    st.one_of(st.sampled_from("aabAB' .,\n\t9é漢🎈"), st.characters(exclude_categories=["Cs"])), max_size=60
)


@given(st.lists(_WRITING, min_size=1, max_size=4))
@example(["a", "ab", "abc", "abcd", " ", "", "one two one two one", "x" * 500, "İstanbul ŒUVRE ẞ"])
def test_they_are_scikit_learns(texts: list[str]) -> None:
    found = features(texts)
    assert found.shape == (len(texts), COUNT)
    for block, vectorizer in (
        (found[:, :WORD_FEATURES], _WORDS),
        (found[:, WORD_FEATURES:], _CHARACTERS),
    ):
        counts = vectorizer.transform(texts)
        expected = (
            np.log(
                counts.toarray().astype(np.float64), where=counts.toarray() > 0, out=np.full(counts.shape, -1.0)
            )
            + 1
        )
        lengths = np.linalg.norm(expected, axis=1, keepdims=True)
        expected = expected / np.where(lengths == 0, 1, lengths)
        np.testing.assert_allclose(block.toarray(), expected, atol=1e-6)


def test_a_text_that_repeats_itself_without_end_is_damped() -> None:
    once, often = features(["ha", "ha " * 5000])
    assert once[:, :WORD_FEATURES].max() == pytest.approx(1)
    assert often[:, :WORD_FEATURES].max() < 1


def test_the_same_text_gives_the_same_features_whatever_came_before() -> None:
    first = features(["common words come again"])
    features([f"word{number} " for number in range(40_000)])
    again = features(["common words come again", "and others"])[0]
    assert (first != again).nnz == 0


def test_the_hash_of_a_head_is_of_its_bias_too() -> None:
    weights = np.zeros(COUNT, np.float16)
    assert Head.of(weights, 0.0).sha256 != Head.of(weights, 1.0).sha256
