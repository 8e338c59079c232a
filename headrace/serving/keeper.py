"""Keeps one part of the stack running: starts it, awaits its readiness, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from headrace.errors import HeadraceError, StartupError
from headrace.serving.backoff import Backoff
from headrace.serving.process import ChildProcess, describe_exit

State = Literal["stopped", "starting", "ready", "waiting"]

_READY_POLL_SECONDS = 0.05
_LAST_WORDS_SECONDS = 0.1
# Who died by one of these was ended by another.
_KILLED = {-number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)}

log = structlog.get_logger()


class GaveUpError(HeadraceError):
    """A part died too often in a row."""


class Part(Protocol):
    """What differs between the parts."""

    name: str

    async def start(self) -> ChildProcess: ...

    async def is_ready(self) -> bool:
        """Whether the part serves."""

    async def until_crashed(self) -> str:
        """Return how the process crashed although it still runs. Watched from the start."""

    async def until_unfit(self, process: ChildProcess) -> str:
        """Return why the part cannot go on although its process runs. Watched once it is ready."""

    async def until_finished(self) -> None:
        """After SIGTERM: return when nothing that matters is left to do, so that the rest may be killed."""

    def on_ended(self) -> None:
        """Called when the process and its children are gone."""

    def explain(self, process: ChildProcess) -> str | None:
        """What the process said about its end, if it did."""


@dataclass(frozen=True)
class _End:
    """Why a life ended, and whether the process ended itself: only then do its last words explain it."""

    reason: str
    by_itself: bool = False


class Keeper:
    """Runs one part for ever. `on_change` is called whenever `state` has changed.

    A part that is not ready `start_seconds` after its start counts as dead.
    """

    def __init__(self, part: Part, backoff: Backoff, start_seconds: float, on_change: Callable[[], None]) -> None:
        self.part = part
        self.state: State = "stopped"
        self.process: ChildProcess | None = None
        self.restarts = 0
        self.last_end: str | None = None
        self._backoff = backoff
        self._start_seconds = start_seconds
        self._on_change = on_change
        self._was_ready = False
        self._ready_since: float | None = None
        self._wish: asyncio.Future[str] | None = None

    async def run(self) -> None:
        """Never returns. Raises `StartupError` if the first start fails, `GaveUpError` after many deaths."""
        while True:
            self._ready_since = None
            self.process = await self.part.start()
            self._enter("starting")
            self._wish = asyncio.get_running_loop().create_future()
            end = await self._one_life(self.process, self._wish)
            self._enter("waiting")
            await self._bury(self.process, end)
            # Loading is no life: a part that dies at the end of every long load must not count as settled.
            delay = self._backoff.after_death(self._served_seconds())
            if delay is None:
                raise GaveUpError(
                    f"the {self.part.name} died {self._backoff.quick_deaths} times in a row, "
                    f"at last: {self.last_end}; see `headrace logs`"
                )
            self.restarts += 1
            log.warning("restart", of=self.part.name, reason=end.reason, after_seconds=delay)
            await asyncio.sleep(delay)

    def restart(self, reason: str) -> None:
        """Kill the part, so that it starts again."""
        if self._wish is not None and not self._wish.done():
            self._wish.set_result(reason)

    async def stop(self, seconds: float) -> None:
        """End the part for good: SIGTERM, and SIGKILL after `seconds`. Only once `run` was cancelled."""
        if self.process is not None:
            await self.process.stop(seconds, self.part.until_finished())
            self.part.on_ended()
        self._enter("stopped")

    async def _one_life(self, process: ChildProcess, wish: asyncio.Future[str]) -> _End:
        """From the start to the end of one process."""
        end = asyncio.create_task(process.wait())
        crash = asyncio.create_task(self.part.until_crashed())
        course = asyncio.create_task(self._course(process))
        try:
            first, _ = await asyncio.wait((end, crash, course, wish), return_when=asyncio.FIRST_COMPLETED)
            # When all of it dies at once, the part's own end says more than that of one of its children.
            await asyncio.wait((end,), timeout=_LAST_WORDS_SECONDS)
            if end.done():
                return _End(describe_exit(end.result()), by_itself=end.result() not in _KILLED)
            # A crash that follows a step's death is its consequence.
            if crash.done() and course not in first:
                return _End(crash.result(), by_itself=True)
            return _End(wish.result() if wish.done() else course.result())
        finally:
            for task in (end, crash, course):
                task.cancel()

    async def _course(self, process: ChildProcess) -> str:
        try:
            async with asyncio.timeout(self._start_seconds):
                while not await self.part.is_ready():  # noqa: ASYNC110 another process has no event
                    await asyncio.sleep(_READY_POLL_SECONDS)
        except TimeoutError:
            return f"it was not ready within {self._start_seconds:g} s"
        self._was_ready = True
        self._ready_since = time.monotonic()
        self._enter("ready")
        return await self.part.until_unfit(process)

    async def _bury(self, process: ChildProcess, end: _End) -> None:
        explanation = self.part.explain(process) if end.by_itself else None
        await process.kill()
        self.part.on_ended()
        self.process = None
        self.last_end = end.reason if explanation is None else f"{end.reason} ({explanation})"
        if not self._was_ready:
            raise StartupError(explanation or f"the {self.part.name} ended at start ({end.reason}); see the log")

    def _served_seconds(self) -> float:
        return 0.0 if self._ready_since is None else time.monotonic() - self._ready_since

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            log.info("state", of=self.part.name, state=state, pid=self.process.pid if self.process else None)
            self._on_change()
