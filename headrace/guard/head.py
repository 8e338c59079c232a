"""A text classifier without a vocabulary: hashed words and characters, weights in an npz file, no pickle.

score = sigmoid(bias + w · x), where x are the counts (1 + ln n) of word 1- and 2-grams and of character 3- to
5-grams, hashed and of length 1 in each of the two groups. How often a feature occurs in the training texts (its
inverse document frequency) is part of w.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from headrace.errors import StartupError

WORD_FEATURES, CHARACTER_FEATURES = 1 << 17, 1 << 18
_WORDS = HashingVectorizer(
    analyzer="word",
    ngram_range=(1, 2),
    token_pattern=r"(?u)\b\w+\b|[^\w\s]",  # noqa: S106 - no password
    n_features=WORD_FEATURES,
    alternate_sign=False,
    norm=None,
    dtype=np.float32,
)
_CHARACTERS = HashingVectorizer(
    analyzer="char_wb",
    ngram_range=(3, 5),
    n_features=CHARACTER_FEATURES,
    alternate_sign=False,
    norm=None,
    dtype=np.float32,
)
# 1 + ln n. A table, because the last bit of numpy's logarithm depends on the processor, and the heads should not.
_DAMPED = np.array([0.0, *(1 + math.log(count) for count in range(1, 512))], dtype=np.float32)


def features(texts: Sequence[str]) -> csr_matrix:
    """[texts, WORD_FEATURES + CHARACTER_FEATURES], float32."""
    blocks = []
    for vectorizer in (_WORDS, _CHARACTERS):
        counts = vectorizer.transform(texts)
        counts.data = _DAMPED[np.minimum(counts.data.astype(np.intp), len(_DAMPED) - 1)]
        blocks.append(normalize(counts, copy=False))
    return hstack(blocks, format="csr")


@lru_cache(maxsize=2)
def _remembered(texts: tuple[str, ...]) -> csr_matrix:
    """Several heads look at the same texts one after the other, and the features are most of the work."""
    return features(texts)


@dataclass(frozen=True)
class Head:
    weights: NDArray[np.float16]
    bias: float
    sha256: str
    """Of what it says, not of the file, whose compression may differ."""

    @cached_property
    def _wide(self) -> NDArray[np.float32]:
        return self.weights.astype(np.float32)

    @classmethod
    def of(cls, weights: NDArray[np.float16], bias: float) -> Head:
        said = weights.tobytes() + np.float64(bias).tobytes()
        return cls(weights, bias, hashlib.sha256(said).hexdigest())

    def save(self, file: Path) -> None:
        np.savez_compressed(file, weights=self.weights, bias=self.bias)

    @classmethod
    def load(cls, file: Path) -> Head:
        """Raises `StartupError` for a file that is not one of ours."""
        try:
            with np.load(file, allow_pickle=False) as arrays:
                weights, bias = arrays["weights"], float(arrays["bias"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise StartupError(f"{file}: cannot be read as the weights of a head: {error}") from None
        if weights.shape != (WORD_FEATURES + CHARACTER_FEATURES,) or weights.dtype != np.float16:
            raise StartupError(f"{file}: holds weights of another kind: {weights.shape}, {weights.dtype}")
        return cls.of(weights, bias)

    def margins(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Log odds, one a text."""
        if not texts:
            return np.zeros(0)
        margins: Any = _remembered(tuple(texts)) @ self._wide
        return np.asarray(margins, dtype=np.float64) + self.bias


def logistic(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 to 1."""
    return 1 / (1 + np.exp(-margins))
