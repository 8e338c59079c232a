"""The guard of answers that came whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.guard.answer import GuardedAnswer
from headrace.guard.judge import Asked, Judge, Judged
from headrace.guard.live import LivePolicy
from headrace.guard.record import DecisionLog
from headrace.guard.verdict import MAX_VERDICT_BYTES, PromptVerdict, guard_json
from headrace.triton import tensors
from headrace.triton.log_probs import HeldLogProbs, LogProbs
from headrace.triton.tensors import Request

FILTERED = "content_filter"
MAX_ANSWER_BYTES = 2**28
"""Triton's own limit comes first."""
MAX_REASON_BYTES = 64


@dataclass(frozen=True, slots=True)
class GuardedText:
    text: str
    finish_reason: str
    log_probs: LogProbs
    """None of a blocked answer: they would tell of tokens that are not shown."""
    guard: str
    """JSON; see `headrace.guard.verdict.guard_json`."""


class _Asker:
    def __init__(self, judge: Judge, request: Request, decisions: DecisionLog) -> None:
        get, self._request_id, self._decisions = request.get, request.id, decisions
        self._prompt = PromptVerdict.read(tensors.text(get, "prompt_verdict", MAX_VERDICT_BYTES) or "")
        self._finish_reason = tensors.text(get, "finish_reason", MAX_REASON_BYTES) or ""
        self._log_probs = HeldLogProbs()
        self._log_probs.add(LogProbs.read(get))
        name, self._policy = judge.policy(self._prompt.policy)
        self._answer = GuardedAnswer(name, self._policy, mode="buffered", terms=judge.terms(name))
        self._backends = judge.backends(name, "response")
        self._hash = decisions.hash()
        text = "" if self._prompt.blocked else tensors.written(get, "text_output", MAX_ANSWER_BYTES)
        self._hash.add(text)
        self._unjudged, self.asked = self._answer.feed(text, final=True)

    def guarded(self, judged: Sequence[Judged]) -> GuardedText:
        shown = self._answer.settle(judged)
        verdict = self._answer.verdict
        if not self._prompt.blocked:  # else there is no answer
            self._decisions.write(self._request_id, verdict, self._policy, self._backends, self._hash)
        guard = guard_json(self._prompt, verdict)
        if self._prompt.blocked or shown.blocked:
            return GuardedText(self._policy.refusal, FILTERED, LogProbs(), guard)
        log_probs = self._log_probs.take(self._answer.place, self._answer.changed, final=True)
        return GuardedText(self._unjudged + shown.text, self._finish_reason, log_probs, guard)


class AnswerGuard:
    """Used from one thread."""

    def __init__(self, policy: LivePolicy, decisions: DecisionLog) -> None:
        self._policy = policy
        self._decisions = decisions

    def judge(self, batch: Sequence[Request]) -> list[GuardedText | Exception]:
        """One result a request, in the same order: an error concerns nobody else."""
        judge = self._policy.judge()
        askers = [self._read(judge, request) for request in batch]
        asked: list[list[Asked]] = [[] if isinstance(asker, Exception) else asker.asked for asker in askers]
        return [
            asker if isinstance(asker, Exception) else asker.guarded(judged)
            for asker, judged in zip(askers, judge.judge_each(asked), strict=True)
        ]

    def _read(self, judge: Judge, request: Request) -> _Asker | Exception:
        try:
            return _Asker(judge, request, self._decisions)
        except Exception as error:  # noqa: BLE001 - told to the client
            return error
