"""Hashed words and characters of texts: what the heads see.

Bit for bit what scikit-learn's HashingVectorizer makes of word 1- and 2-grams and of character 3- to 5-grams
within words (`char_wb`), each hashed by MurmurHash3 without a sign. The characters of a word are the same wherever
it stands, so common words are hashed once, and a text takes half the time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.preprocessing import normalize
from sklearn.utils import murmurhash3_32

WORD_FEATURES, CHARACTER_FEATURES = 1 << 17, 1 << 18
COUNT = WORD_FEATURES + CHARACTER_FEATURES
_CHARACTERS = range(3, 6)
_TOKEN = re.compile(r"\b\w+\b|[^\w\s]")
_REMEMBERED, _LONGEST_REMEMBERED = 1 << 15, 32
"""Words, and the characters of the longest of them: at most some ten megabytes."""
# 1 + ln n. A table, because the last bit of numpy's logarithm depends on the processor, and the heads should not.
_DAMPED = np.array([0.0, *(1 + math.log(count) for count in range(1, 512))], dtype=np.float32)

_Indices = NDArray[np.int32]
_Found = TypeVar("_Found")


def features(texts: Sequence[str]) -> csr_matrix:
    """[texts, COUNT], float32. Remembered: several heads look at the same texts one after the other."""
    return _features(tuple(texts))


@lru_cache(maxsize=2)
def _features(texts: tuple[str, ...]) -> csr_matrix:
    lowered = [text.lower() for text in texts]
    words = _block([np.array([*_of_words(text)], np.int32) for text in lowered], WORD_FEATURES)
    characters = _block([_of_characters(text) for text in lowered], CHARACTER_FEATURES)
    return hstack([words, characters], format="csr")


def _block(rows: Sequence[_Indices], width: int) -> csr_matrix:
    """Damped counts of these features, one row a text, of length 1."""
    ends = np.cumsum([0, *(len(row) for row in rows)])
    indices = np.concatenate(rows)
    counts = csr_matrix((np.ones(len(indices), np.float32), indices, ends), shape=(len(rows), width))
    counts.sum_duplicates()
    counts.data = _DAMPED[np.minimum(counts.data.astype(np.intp), len(_DAMPED) - 1)]
    return normalize(counts, copy=False)


def _of_words(text: str) -> Iterator[int]:
    tokens = _TOKEN.findall(text)
    for token in tokens:
        yield _word_index(token)
    for pair in pairwise(tokens):
        yield _word_index(" ".join(pair))


def _of_characters(text: str) -> _Indices:
    words = text.split()
    return np.concatenate([_characters_of(word) for word in words]) if words else np.empty(0, np.int32)


def _remembered(of: Callable[[str], _Found]) -> Callable[[str], _Found]:
    """What it finds of short words, once."""
    of_short = lru_cache(maxsize=_REMEMBERED)(of)
    return lambda word: of_short(word) if len(word) <= _LONGEST_REMEMBERED else of(word)


@_remembered
def _word_index(token: str) -> int:
    return _index(token, WORD_FEATURES)


@_remembered
def _characters_of(word: str) -> _Indices:
    padded = f" {word} "
    grams = [padded[start : start + length] for length in _CHARACTERS for start in range(len(padded) - length + 1)]
    return np.array([_index(gram, CHARACTER_FEATURES) for gram in grams], np.int32)


def _index(token: str, width: int) -> int:
    return abs(int(murmurhash3_32(token))) % width
