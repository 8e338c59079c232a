from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from headrace.errors import StartupError
from headrace.serving.backoff import Backoff
from headrace.serving.keeper import GaveUpError, Keeper
from headrace.serving.process import ChildProcess


class Script:
    """A part whose nth life runs the nth of these programs; the last one for ever after. It is ready at "up"."""

    name = "script"

    def __init__(self, *programs: str) -> None:
        self._programs = programs
        self.lives = 0
        self.ended = 0
        self.unfit = asyncio.Event()
        self.crashed = asyncio.Event()
        self._ready = False

    async def start(self) -> ChildProcess:
        self._program = program = self._programs[min(self.lives, len(self._programs) - 1)]
        self.lives += 1
        self._ready = False
        self.crashed.clear()
        return await ChildProcess.start([sys.executable, "-u", "-c", program], dict(os.environ), self._on_line)

    def _on_line(self, line: str) -> None:
        self._ready = self._ready or line == "up"
        if line == "crashed":
            self.crashed.set()

    async def is_ready(self) -> bool:
        return self._ready

    async def until_crashed(self) -> str:
        await self.crashed.wait()
        return "it crashed"

    async def until_unfit(self, process: ChildProcess) -> str:
        if self._program.endswith(DIES_ONCE_UP):
            os.kill(process.pid, signal.SIGTERM)
        await self.unfit.wait()
        self.unfit.clear()
        return "a step died"

    async def until_finished(self) -> None:
        await asyncio.Future()

    def on_ended(self) -> None:
        self.ended += 1

    def explain(self, process: ChildProcess) -> str | None:
        errors = (line.removeprefix("error: ") for line in process.last_lines if line.startswith("error: "))
        return next(errors, None)


UP = "print('up'); import time; time.sleep(60)"
# At SIGTERM, which it gets once the keeper has seen it ready.
DIES_ONCE_UP = "import os, signal; signal.signal(15, lambda *_: os._exit(7)); print('up'); signal.pause()"


class Changes:
    """Lets a test wait for a state instead of for time."""

    def __init__(self) -> None:
        self.keeper: Keeper | None = None
        self.seen: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self) -> None:
        assert self.keeper is not None
        self.seen.append(self.keeper.state)
        self._changed.set()

    async def until(self, state: str, times: int = 1) -> None:
        async with asyncio.timeout(30):
            while self.seen.count(state) < times:
                self._changed.clear()
                await self._changed.wait()


def keeper_of(part: Script, backoff: Backoff | None = None, start_seconds: float = 20) -> tuple[Keeper, Changes]:
    changes = Changes()
    changes.keeper = Keeper(part, backoff or Backoff(first=0.01, longest=0.02), start_seconds, changes)
    return changes.keeper, changes


async def finish(keeper: Keeper, task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await keeper.stop(0)


async def test_a_killed_part_starts_again() -> None:
    part = Script(UP)
    keeper, changes = keeper_of(part)
    task = asyncio.create_task(keeper.run())
    await changes.until("ready")
    assert keeper.process is not None
    first = keeper.process.pid
    os.kill(first, signal.SIGKILL)
    await changes.until("ready", 2)
    assert keeper.process.pid != first
    assert (keeper.restarts, keeper.last_end, part.ended) == (1, "SIGKILL", 1)
    assert changes.seen == ["starting", "ready", "waiting", "starting", "ready"]
    await finish(keeper, task)
    assert keeper.state == "stopped"


@pytest.mark.parametrize("wish", [True, False])
async def test_an_unfit_part_is_killed_and_starts_again(wish: bool) -> None:
    part = Script(UP)
    keeper, changes = keeper_of(part)
    task = asyncio.create_task(keeper.run())
    await changes.until("ready")
    assert (process := keeper.process) is not None
    if wish:
        keeper.restart("a step died")
    else:
        part.unfit.set()
    await changes.until("ready", 2)
    assert process.returncode == -signal.SIGKILL
    assert keeper.last_end == "a step died"
    await finish(keeper, task)


class Dominoes(Script):
    async def until_unfit(self, process: ChildProcess) -> str:
        reason = await super().until_unfit(process)
        asyncio.get_running_loop().call_later(0.02, self.crashed.set)
        return reason


async def test_a_crash_that_follows_the_death_of_a_step_does_not_hide_it() -> None:
    part = Dominoes(UP)
    keeper, changes = keeper_of(part)
    task = asyncio.create_task(keeper.run())
    await changes.until("ready")
    part.unfit.set()
    await changes.until("waiting")
    await changes.until("ready", 2)
    assert keeper.last_end == "a step died"
    await finish(keeper, task)


async def test_a_failing_first_start_repeats_the_last_line() -> None:
    keeper, _ = keeper_of(
        Script("print('loading'); print('error: engine.model: not there'); raise SystemExit(78)")
    )
    with pytest.raises(StartupError, match=r"^engine\.model: not there$"):
        await keeper.run()
    assert keeper.restarts == 0


CAUSE = "print('error: engine.model: not there', flush=True); "


@pytest.mark.parametrize(
    "death",
    ["import os; os.abort()", "print('crashed', flush=True); import time; time.sleep(60)"],
    ids=["by a signal", "and hangs"],
)
async def test_a_crash_at_the_first_start_does_not_hide_its_cause(death: str) -> None:
    keeper, _ = keeper_of(Script(CAUSE + death))
    with pytest.raises(StartupError, match=r"^engine\.model: not there"):
        await keeper.run()


async def test_what_a_killed_part_said_is_not_its_cause() -> None:
    keeper, _ = keeper_of(Script(CAUSE + "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(StartupError, match=r"ended at start \(SIGKILL\)"):
        await keeper.run()


async def test_a_part_that_is_never_ready_counts_as_dead() -> None:
    keeper, _ = keeper_of(Script("import time; time.sleep(60)"), start_seconds=0.2)
    with pytest.raises(StartupError, match=r"script .* not ready within 0\.2 s"):
        await keeper.run()


async def test_gives_up_after_too_many_quick_deaths() -> None:
    part = Script(DIES_ONCE_UP)
    keeper, _ = keeper_of(part, Backoff(first=0.01, longest=0.01, most_quick_deaths=3))
    with pytest.raises(GaveUpError, match="script died 3 times in a row, at last: exit code 7"):
        await keeper.run()
    assert part.lives == part.ended == 3


async def test_loading_does_not_count_as_life() -> None:
    """A part that loads for longer than it takes to be settled, and dies as soon as it is up."""
    part = Script(f"import time; time.sleep(0.6); {DIES_ONCE_UP}")
    keeper, _ = keeper_of(part, Backoff(first=0.01, longest=0.01, settled=0.5, most_quick_deaths=3))
    async with asyncio.timeout(30):
        with pytest.raises(GaveUpError, match="script died 3 times in a row"):
            await keeper.run()


async def test_a_later_start_that_fails_is_tried_again(tmp_path: Path) -> None:
    keeper, changes = keeper_of(Script(DIES_ONCE_UP, "raise SystemExit(1)", UP))
    task = asyncio.create_task(keeper.run())
    await changes.until("ready", 2)
    assert keeper.restarts == 2
    await finish(keeper, task)


async def test_stop_leaves_no_process() -> None:
    part = Script(UP)
    keeper, changes = keeper_of(part)
    task = asyncio.create_task(keeper.run())
    await changes.until("ready")
    assert (process := keeper.process) is not None
    await finish(keeper, task)
    assert process.returncode is not None
    assert part.ended == 1
