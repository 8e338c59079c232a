"""What the guards did, on Triton's metrics port: `headrace.guard.judge.Observer`."""

from __future__ import annotations

from typing import Any

import structlog
import triton_python_backend_utils as pb_utils

from headrace.guard.policy import Action, Direction
from headrace.guard.rail import Rail
from headrace.guard.verdict import Verdict

_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]

log = structlog.get_logger()


class GuardMetrics:
    """Of one step: its name is a label, since each step is a process of its own."""

    def __init__(self, step: str) -> None:
        self._step = step
        kinds = pb_utils.MetricFamily
        self._verdicts = _family(kinds.COUNTER, "verdicts_total", "Prompts and answers, by what was decided")
        self._decisions = _family(kinds.COUNTER, "decisions_total", "Findings, by what followed from them")
        self._texts = _family(kinds.COUNTER, "rail_texts_total", "Texts that a rail judged")
        self._errors = _family(kinds.COUNTER, "rail_errors_total", "Calls of a rail that failed or took too long")
        self._seconds = _family(
            kinds.HISTOGRAM, "rail_seconds", "Time of one call of a rail, for a batch of texts"
        )
        self._metrics: dict[tuple[Any, ...], Any] = {}

    def rail(self, rail: Rail, direction: Direction, texts: int, seconds: float, error: str | None) -> None:
        labels = {"rail": rail.name, "backend": rail.backend, "direction": direction, "step": self._step}
        self._metric(self._texts, labels).increment(texts)
        self._metric(self._seconds, labels, buckets=_SECONDS).observe(seconds)
        errors = self._metric(self._errors, labels)
        if error is not None:
            errors.increment(1)
            log.error("a rail failed", problem=error, texts=texts, **labels)

    def verdict(self, verdict: Verdict) -> None:
        """Of a whole prompt, or of an answer at its end."""
        labels = {
            "policy": verdict.policy,
            "action": verdict.action,
            "direction": verdict.direction,
            "step": self._step,
        }
        self._metric(self._verdicts, labels).increment(1)

    def decision(self, direction: Direction, category: str, action: Action) -> None:
        labels = {"category": category, "action": action, "direction": direction, "step": self._step}
        self._metric(self._decisions, labels).increment(1)

    def _metric(self, family: Any, labels: dict[str, str], **options: Any) -> Any:
        key = (id(family), *labels.values())
        if key not in self._metrics:
            self._metrics[key] = family.Metric(labels=labels, **options)
        return self._metrics[key]


def _family(kind: Any, name: str, help_text: str) -> Any:
    return pb_utils.MetricFamily(name=f"headrace_guard_{name}", description=help_text, kind=kind)
