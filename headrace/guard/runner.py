"""Runs a rail within a time limit, so that one that waits or computes for too long holds up nobody.

One thing no thread can be kept from: a call into C code that does not give up the interpreter's lock, such as a
regular expression that backtracks without end. So the rails' patterns are linear, and tested to be.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headrace.guard.rail import Rail, Scores


class RailFailed(Exception):
    """The rail gave no scores: it raised, took too long, or still works on what took too long."""


@dataclass(slots=True)
class _Call:
    texts: Sequence[str]
    done: threading.Event = field(default_factory=threading.Event)
    scores: list[Scores] | None = None
    error: BaseException | None = None


class RailRunner:
    """One thread a rail. Python cannot end a thread: a call that took too long runs on, and until it is over the
    rail counts as failed at once, so that hung calls do not pile up."""

    def __init__(self, rail: Rail) -> None:
        self.rail = rail
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._late: _Call | None = None
        threading.Thread(target=self._run, name=f"rail-{rail.name}", daemon=True).start()

    def score(self, texts: Sequence[str], seconds: float) -> list[Scores]:
        """Raises `RailFailed`. Called from one thread at a time."""
        if self._late is not None and not self._late.done.is_set():
            raise RailFailed("still busy with a call that took too long")
        call = self._late = _Call(texts)
        self._calls.put(call)
        if not call.done.wait(seconds):
            raise RailFailed(f"no scores within {seconds * 1000:g} ms")
        if call.scores is None:
            raise RailFailed(_told(call.error)) from call.error
        if len(call.scores) != len(texts):
            raise RailFailed(f"{len(call.scores)} scores for {len(texts)} texts")
        return call.scores

    def close(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call.scores = self.rail.score_batch(call.texts)
            except BaseException as error:  # noqa: BLE001 - told to the caller, who decides
                call.error = error
            call.done.set()


def _told(error: BaseException | None) -> str:
    """Its kind and where it was raised: what it says may hold the text, which no log may."""
    places = traceback.extract_tb(error.__traceback__) if error is not None else []
    where = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return f"{type(error).__name__}{where}"
