"""What a row of probes means: is the stack alive, or which part of it should be restarted?"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from headrace.serving.probe import Door, Finding
from headrace.worker.protocol import WorkerStats

Culprit = Literal["worker", "triton"]
_Symptom = Literal["silent", "stalled", "late", "lost"]

# In a row, before somebody is restarted. A long prompt makes no token while it is computed, and a slow machine
# answers late: both get more time than a part that does nothing at all.
LIMITS: dict[_Symptom, int] = {"silent": 3, "lost": 3, "stalled": 6, "late": 6}
_CULPRITS: dict[_Symptom, Culprit] = {"silent": "worker", "stalled": "worker", "lost": "triton", "late": "triton"}


class Liveness:
    """Judges probe after probe, at the two doors in turn. A door that failed is asked again until it answers.

    Progress is a change of the engine's `generated_tokens` between two probes. A probe without an answer means:

    - `silent`: the worker does not say how it is. The worker is at fault.
    - `stalled`: the worker holds requests, if only the probe's, and makes no token. The worker is at fault.
    - `lost`: the worker holds nothing, so the probe never came to it. Triton is at fault.
    - `late`: tokens flow, and there was room for the probe. Triton is at fault.

    Tokens that flow from a full batch mean that the stack is only busy.
    """

    def __init__(self, max_running: int) -> None:
        self.door: Door = "unary"
        """Where to ask next."""
        self._max_running = max_running
        self._generated: int | None = None
        self._symptoms: Counter[_Symptom] = Counter()

    def forget(self) -> None:
        """Start anew: a part was restarted, or is away."""
        self._symptoms.clear()
        self._generated = None

    def judge(self, finding: Finding) -> Culprit | None:
        """Who should be restarted, None for nobody."""
        progress = self._progress(finding.worker)
        if finding.problem is None:
            self._symptoms.clear()
            self.door = "stream" if self.door == "unary" else "unary"
            return None
        if progress:
            del self._symptoms["stalled"]
        symptom = self._symptom(finding.worker, progress)
        if symptom is None:
            self._symptoms.clear()
            return None
        self._symptoms[symptom] += 1
        return _CULPRITS[symptom] if self._symptoms[symptom] >= LIMITS[symptom] else None

    def _progress(self, worker: WorkerStats | None) -> bool:
        """Whether tokens were made since the last probe; the benefit of the doubt after the first."""
        before = self._generated
        self._generated = None if worker is None else worker.engine.generated_tokens
        return self._generated is not None and self._generated != before

    def _symptom(self, worker: WorkerStats | None, progress: bool) -> _Symptom | None:
        if worker is None:
            return "silent"
        if worker.live == 0:
            return "lost"
        if not progress:
            return "stalled"
        return None if worker.live >= self._max_running else "late"
