"""From an engine's tokens to an answer's text, whole or piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from headrace.config import LimitsConfig
from headrace.engine.interface import FinishReason
from headrace.errors import InvalidRequest
from headrace.guard.verdict import MAX_VERDICT_BYTES
from headrace.text.answer import AnswerText
from headrace.text.token_text import token_text
from headrace.text.tokenizer import Tokenizer
from headrace.triton import tensors
from headrace.triton.idle import Streams
from headrace.triton.log_probs import LogProbs
from headrace.triton.sampling import read_stop_words
from headrace.triton.tensors import GetTensor

NO_LOG_PROBS = LogProbs()


@dataclass(frozen=True)
class AnswerPiece:
    text: str
    finish_reason: str
    """Empty until the last piece."""
    prompt_tokens: int
    completion_tokens: int
    """Of the whole answer so far."""
    log_probs: LogProbs
    """Of the tokens since the last piece."""
    stream_id: int = 0
    prompt_verdict: str = ""
    """With the first piece, for the guard that follows."""


@dataclass
class _Stream:
    text: AnswerText
    completion_tokens: int = 0
    log_probs: LogProbs = NO_LOG_PROBS
    prompt_verdict: str = ""
    """Until a piece has carried it on."""


class Postprocessor:
    """Keeps the state of the streams that run. Used from one thread."""

    def __init__(self, tokenizer: Tokenizer, limits: LimitsConfig) -> None:
        self._tokenizer = tokenizer
        self._limits = limits
        self._streams: Streams[_Stream] = Streams()

    def __len__(self) -> int:
        return len(self._streams)

    def whole(self, get: GetTensor) -> AnswerPiece:
        """An answer that came in one response."""
        return self._add(self._new_stream(get), get)

    def piece(self, get: GetTensor) -> AnswerPiece | None:
        """The next piece of a stream; None when nothing of it can be shown yet."""
        stream_id = tensors.integer(get, "stream_id") or 0
        stream = self._streams.take(stream_id) or self._new_stream(get)
        piece = self._add(stream, get)
        if not piece.finish_reason:
            self._streams.keep(stream_id, stream)
            if not piece.text:
                stream.log_probs, stream.prompt_verdict = piece.log_probs, piece.prompt_verdict
                return None
        return piece

    def _new_stream(self, get: GetTensor) -> _Stream:
        return _Stream(AnswerText(self._tokenizer, read_stop_words(get, self._limits, "answer_stop_words")))

    def _add(self, stream: _Stream, get: GetTensor) -> AnswerPiece:
        token_ids = tensors.integers(get, "output_ids")
        finish_reason = _finish_reason(get)
        stream.completion_tokens += len(token_ids)
        piece = AnswerPiece(
            text=stream.text.feed(token_ids, final=bool(finish_reason)),
            finish_reason="stop" if finish_reason and stream.text.stopped else finish_reason,
            prompt_tokens=tensors.integer(get, "engine_prompt_tokens") or 0,
            completion_tokens=stream.completion_tokens,
            log_probs=stream.log_probs + self._log_probs(get, token_ids),
            stream_id=tensors.integer(get, "stream_id") or 0,
            prompt_verdict=stream.prompt_verdict
            or tensors.text(get, "engine_prompt_verdict", MAX_VERDICT_BYTES)
            or "",
        )
        stream.log_probs, stream.prompt_verdict = NO_LOG_PROBS, ""
        return piece

    def _log_probs(self, get: GetTensor, token_ids: Sequence[int]) -> LogProbs:
        values = tensors.numbers(get, "output_log_probs")
        if not values:
            return NO_LOG_PROBS
        return LogProbs(values, tuple(token_text(self._tokenizer.token_bytes(one)) for one in token_ids))


def _finish_reason(get: GetTensor) -> str:
    """Empty while the answer goes on."""
    name = "engine_finish_reason"
    reason = tensors.text(get, name, max_bytes=64) or ""
    known = (*get_args(FinishReason), "content_filter")
    if reason and reason not in known:
        raise InvalidRequest(name, f"got {reason!r}, expected one of {', '.join(known)}, or nothing")
    return reason
