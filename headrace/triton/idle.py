"""State of streams that run, and the end of those that were forgotten."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Generic, TypeVar

IDLE_SECONDS = 300.0
"""A stream that brought nothing for so long has lost its engine: its state is dropped."""
MAX_STREAMS = 16_384
"""Far more than any engine runs: only a caller of a step who never ends its streams gets there."""

State = TypeVar("State")


class Streams(Generic[State]):
    """By stream id, the longest idle one first. Used from one thread."""

    def __init__(self) -> None:
        self._states: OrderedDict[int, tuple[float, State]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def take(self, stream_id: int) -> State | None:
        """The state, no longer kept here; None when there is none."""
        found = self._states.pop(stream_id, None)
        return None if found is None else found[1]

    def keep(self, stream_id: int, state: State) -> None:
        now = time.monotonic()
        self._states[stream_id] = (now, state)
        while len(self._states) > MAX_STREAMS or now - next(iter(self._states.values()))[0] > IDLE_SECONDS:
            self._states.popitem(last=False)
