"""A text classifier without a vocabulary: hashed words and characters, weights in an npz file, no pickle.

score = sigmoid(bias + w · x), where x are the counts (1 + ln n) of word 1- and 2-grams and of character 3- to
5-grams, hashed and of length 1 in each of the two groups. How often a feature occurs in the training texts (its
inverse document frequency) is part of w.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.errors import StartupError
from headrace.guard.features import COUNT, features


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
        if weights.shape != (COUNT,) or weights.dtype != np.float16:
            raise StartupError(f"{file}: holds weights of another kind: {weights.shape}, {weights.dtype}")
        return cls.of(weights, bias)

    def margins(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Log odds, one a text."""
        if not texts:
            return np.zeros(0)
        margins: Any = features(texts) @ self._wide
        return np.asarray(margins, dtype=np.float64) + self.bias


def logistic(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 to 1."""
    return 1 / (1 + np.exp(-margins))
