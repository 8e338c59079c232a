"""The text of one answer as it grows: detokenize, hold back, cut at stop strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headrace.text.detokenizer import Detokenizer
from headrace.text.stop_strings import StopMatcher
from headrace.text.tokenizer import Tokenizer


class AnswerText:
    """Both the worker (to know when to stop) and the postprocess step (to know what to show) read answers
    through this class, so they cannot disagree."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._stop = StopMatcher(stop)

    @property
    def stopped(self) -> bool:
        """True once a stop string was found."""
        return self._stop.matched

    def feed(self, token_ids: Iterable[int], final: bool = False) -> str:
        """Text to show for these tokens. Joined over all calls it is the whole answer, however it was cut."""
        return self._stop.feed(self._detokenizer.feed(token_ids, final), final)
