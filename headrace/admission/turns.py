"""Whose turn it is, among flows that share: start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996)."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import Generic, TypeVar


class Flow:
    """One of those that share. `start` is the virtual time at which its next request may begin."""

    __slots__ = ("listed", "start", "weight")

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight
        self.start = 0.0
        self.listed = False

    def __len__(self) -> int:
        """Requests that wait in it."""
        raise NotImplementedError


AnyFlow = TypeVar("AnyFlow", bound=Flow)


class Turns(Generic[AnyFlow]):
    """The flow that has had the least, relative to its weight, is next; that takes O(log flows).

    While the same flows wait, no two of them are ever further apart than one request: the one behind is served,
    and gets at most one ahead. (Deficit round robin has twice that bound, and must know the largest request.) A
    flow that comes late starts where the others are: being idle saves nothing up. One that goes idle is listed
    until the others have caught up, so that leaving and coming back gains nothing either.
    """

    def __init__(self, forget: Callable[[AnyFlow], object] = lambda _: None) -> None:
        """`forget` is told who was idle so long that nothing needs to be known of it."""
        self._forget = forget
        self.now = 0.0
        """The virtual time: `start` of the flow that was served last."""
        self._heap: list[tuple[float, int, AnyFlow]] = []
        self._ties = count()

    def join(self, flow: AnyFlow) -> None:
        """It has something to serve, perhaps as before."""
        if not flow.listed:
            flow.start = self.now
            flow.listed = True
            heappush(self._heap, (flow.start, next(self._ties), flow))

    def next(self) -> AnyFlow:
        """Whose turn it is, when anything waits."""
        while not len(flow := self._heap[0][2]):
            heappop(self._heap)
            flow.listed = False
            self._forget(flow)
        return flow

    def charge(self, flow: AnyFlow, work: float) -> None:
        """The flow that `next` told was served, with so much work."""
        self.now = flow.start
        flow.start += work / flow.weight
        heapreplace(self._heap, (flow.start, next(self._ties), flow))
