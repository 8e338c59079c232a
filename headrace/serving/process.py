"""One child process: started in a session of its own, its output read line by line, its end awaited."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

_DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
_LONGEST_LINE = 65_536
_KEPT_LINES = 50
# How long output is still read once the process has ended: a grandchild may hold the pipe open.
_OUTPUT_GRACE_SECONDS = 0.5

log = structlog.get_logger()


class ChildProcess:
    """A running child. Make one with `start`; await `wait` to see it end.

    The child leads a session of its own, so a Ctrl-C at the terminal does not reach it, and `kill` takes its
    own children along. All of them are killed when this process ends.
    """

    def __init__(self, process: asyncio.subprocess.Process, output: asyncio.Task[None]) -> None:
        self._process = process
        self._output = output
        self.started_at = time.time()
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> ChildProcess:
        """`on_line` gets every line of the child's stdout and stderr, without its end."""
        read_end, write_end = os.pipe()
        try:
            lifeline = _lifeline()
            wrapper = (sys.executable, "-I", "-S", str(_DIE_WITH_PARENT), str(os.getpid()), str(lifeline))
            process = await asyncio.create_subprocess_exec(
                *wrapper,
                *command,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        child: ChildProcess
        lost = 0

        def keep(line: str) -> None:
            nonlocal lost
            child.last_lines.append(line)
            try:
                on_line(line)
            except Exception as error:
                # Whatever it is: a child whose output nobody reads blocks on a full pipe.
                lost += 1
                if lost == 1:
                    log.exception("lines of output are lost", pid=child.pid, problem=repr(error))

        child = cls(process, asyncio.create_task(_read_lines(read_end, keep)))
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def own_error(self) -> str | None:
        """The one line that a program of ours prints last when it cannot start."""
        last = self.last_lines[-1] if self.last_lines else ""
        return last.removeprefix("error: ") if last.startswith("error: ") else None

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def wait(self) -> int:
        """The exit status once the process has ended and its output is read; negative for a signal."""
        status = await self._process.wait()
        await asyncio.wait([self._output], timeout=_OUTPUT_GRACE_SECONDS)
        self._output.cancel()
        return status

    async def stop(self, seconds: float, enough: Awaitable[None] | None = None) -> None:
        """SIGTERM; then SIGKILL for it and its children after `seconds`, or as soon as `enough` returns."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._process.wait())]
        if enough is not None:
            waits.append(asyncio.ensure_future(enough))
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL for the process and everything it started, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.wait()


@functools.cache
def _lifeline() -> int:
    """The read end of a pipe that the kernel closes when this process ends."""
    read_end, _held_open = os.pipe()
    return read_end


def describe_exit(status: int) -> str:
    """An exit status in words: "exit code 78" or "SIGKILL"."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


async def _read_lines(read_end: int, on_line: Callable[[str], None]) -> None:
    """Read to the end. A line that never ends is cut, so that a child cannot fill our memory."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    pending = b""
    try:
        while data := await reader.read(_LONGEST_LINE):
            *lines, pending = (pending + data).split(b"\n")
            if len(pending) > _LONGEST_LINE:
                lines.append(pending)
                pending = b""
            for line in lines:
                on_line(line.decode("utf-8", "replace").rstrip("\r"))
    finally:
        if pending:
            on_line(pending.decode("utf-8", "replace"))
        transport.close()
