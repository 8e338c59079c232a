"""Long texts for models that see only so many tokens: cut into windows, of which the worst counts.

A tokenizer that is told to truncate drops the rest in silence, and with it what stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_TOKENS = 512
"""Of a window, whatever the model could see: attention costs the square of it."""
OVERLAP = 200
"""Characters that two windows share, so that what stands together stands together in one of them."""
BATCH = 32


class TokenWindows:
    """Cuts texts for this model. From then on its tokenizer truncates where the model ends, and not later."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.longest: int = min(MOST_TOKENS, tokenizer.model_max_length, _positions(model))
        self._tokenizer = tokenizer
        tokenizer.model_max_length = self.longest

    def of(self, text: str) -> list[str]:
        """The text itself when the model can see all of it. None of them is truncated."""
        if len(text) <= 1 or self._fits(text):
            return [text]
        start, end = _halves(text)
        return self.of(text[:end]) + self.of(text[start:])

    def _fits(self, text: str) -> bool:
        return len(self._tokenizer(text, truncation=False, verbose=False)["input_ids"]) <= self.longest

    def worst(
        self, texts: Sequence[str], score: Callable[[list[str]], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """[texts, columns of `score`]: of each text and column the highest of its windows."""
        parts = [self.of(_utf8(text)) for text in texts]
        windows = [window for of_text in parts for window in of_text]
        # Those of like length together: the shorter are padded, which costs as much as words.
        order = sorted(range(len(windows)), key=lambda place: len(windows[place]))
        scores = np.concatenate(
            [
                score([windows[place] for place in order[start : start + BATCH]])
                for start in range(0, len(order), BATCH)
            ]
        )
        if not np.isfinite(scores).all():
            raise ValueError("the model gave a score that is no number")  # which no threshold would ever reach
        scores[order] = scores.copy()
        ends = np.cumsum([len(of_text) for of_text in parts])
        return np.array([of_text.max(axis=0) for of_text in np.split(scores, ends[:-1])])


def _halves(text: str) -> tuple[int, int]:
    """Where the second begins and the first ends: at spaces, since a part of a word is another word."""
    middle, overlap = len(text) // 2, min(OVERLAP // 2, len(text) // 8)
    start = next((place for place in range(middle - overlap, middle) if text[place].isspace()), middle - overlap)
    end = next((place for place in range(middle + overlap, middle, -1) if text[place].isspace()), middle + overlap)
    return start, end


def _positions(model: Any) -> int:
    """How many tokens the model can number. Those of RoBERTa's kind begin after the number of their padding."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            padding = module.padding_idx
            return int(module.num_embeddings) - (0 if padding is None else padding + 1)
    return int(getattr(model.config, "max_position_embeddings", None) or MOST_TOKENS)


def _utf8(text: str) -> str:
    """Half of a surrogate pair, which JSON can hold, is no character for a tokenizer."""
    return text.encode("utf-8", "replace").decode("utf-8")
