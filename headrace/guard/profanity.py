"""alt-profanity-check's model, its five calibrated classifiers as one matrix.

The probability is the mean of theirs, sigmoid(-(a d + b)) of each one's decision d (Platt's calibration). The
package's own way gives the same and takes 5 ms a call whatever the text: scikit-learn's checks of its input.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Profanity:
    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, of the release that the weights were saved by
            from profanity_check import profanity_check as package
        self._vectorizer = package.vectorizer
        parts = package.model.calibrated_classifiers_
        self._weights = np.column_stack([part.estimator.coef_[0] for part in parts])
        self._biases = np.array([part.estimator.intercept_[0] for part in parts])
        self._slopes = np.array([part.calibrators[0].a_ for part in parts])
        self._offsets = np.array([part.calibrators[0].b_ for part in parts])

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """One a text."""
        decisions = self._vectorizer.transform(texts) @ self._weights + self._biases
        found: NDArray[np.float64] = (1 / (1 + np.exp(self._slopes * decisions + self._offsets))).mean(axis=1)
        return found
