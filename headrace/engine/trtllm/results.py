"""From upstream's cumulative results to deltas."""

from __future__ import annotations

from typing import Any

from headrace.engine.interface import FinishReason, TokenDelta
from headrace.errors import HeadraceError

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "timeout": "cancelled",
    "cancelled": "cancelled",
}


def new_tokens(output: Any, delivered: int, with_log_probs: bool) -> TokenDelta:
    """What a `CompletionOutput`, whose lists hold everything so far, has beyond the `delivered` tokens.

    Raises `HeadraceError` for a result that cannot be passed on.
    """
    token_ids = tuple(output.token_ids[delivered:])
    log_probs = _log_probs(token_ids, output.logprobs[delivered:]) if with_log_probs and token_ids else ()
    return TokenDelta(token_ids, log_probs, _finish_reason(output.finish_reason))


def _finish_reason(reason: str | None) -> FinishReason | None:
    if reason is None:
        return None
    if reason not in FINISH_REASONS:
        raise HeadraceError(f"TensorRT-LLM ended the request for a reason that is not known here: {reason!r}")
    return FINISH_REASONS[reason]


def _log_probs(token_ids: tuple[int, ...], entries: list[Any]) -> tuple[float, ...]:
    """The chosen tokens' own. An entry is a number, or maps token ids to objects with a `logprob`."""
    try:
        values = [
            entry[token_id].logprob if isinstance(entry, dict) else float(entry)
            for token_id, entry in zip(token_ids, entries, strict=True)
        ]
    except (KeyError, ValueError):
        raise HeadraceError("TensorRT-LLM gave no log prob for a chosen token") from None
    return tuple(min(0.0, value) for value in values)
