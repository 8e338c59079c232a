from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from headrace.serving.process import ChildProcess, describe_exit

DIE_WITH_PARENT = Path(__file__).parents[2] / "headrace" / "serving" / "die_with_parent.py"
ENVIRONMENT = dict(os.environ)


async def start(code: str, lines: list[str]) -> ChildProcess:
    return await ChildProcess.start([sys.executable, "-u", "-c", textwrap.dedent(code)], ENVIRONMENT, lines.append)


async def until(lines: list[str], wanted: str) -> None:
    async with asyncio.timeout(20):
        while wanted not in lines:  # noqa: ASYNC110 another process has no event
            await asyncio.sleep(0.01)


def ends_soon(pid: int) -> bool:
    """True when the process is gone, or dead and only not reaped by the machine's first process."""
    try:
        psutil.Process(pid).wait(timeout=5)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


async def test_reads_both_outputs_and_the_exit_code() -> None:
    lines: list[str] = []
    child = await start(
        "import sys; print('out'); print('err', file=sys.stderr); print('é half', end=''); sys.exit(3)", lines
    )
    assert await child.wait() == 3
    assert lines == ["out", "err", "é half"]
    assert list(child.last_lines) == lines


async def test_a_line_without_end_is_cut() -> None:
    lines: list[str] = []
    child = await start("import sys; sys.stdout.write('x' * 1_000_000)", lines)
    await child.wait()
    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) <= 2 * 65_536


async def test_a_reader_that_fails_does_not_block_the_child() -> None:
    def on_line(line: str) -> None:
        raise RuntimeError(line)

    # More than a pipe holds: the child ends only if somebody goes on reading.
    code = "for number in range(20_000): print('a line of output', number)"
    child = await ChildProcess.start([sys.executable, "-c", code], ENVIRONMENT, on_line)
    async with asyncio.timeout(30):
        assert await child.wait() == 0
    assert child.last_lines[-1] == "a line of output 19999"


async def test_stop_is_polite_first() -> None:
    lines: list[str] = []
    child = await start(
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print("bye"), sys.exit(0)))
        print("up")
        time.sleep(60)
        """,
        lines,
    )
    await until(lines, "up")
    await child.stop(20)
    assert child.returncode == 0
    assert lines[-1] == "bye"


async def test_stop_kills_what_does_not_listen() -> None:
    lines: list[str] = []
    child = await start(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)", lines
    )
    await until(lines, "up")
    await child.stop(0.1)
    assert child.returncode == -signal.SIGKILL


async def test_stop_does_not_wait_longer_than_it_takes_to_finish() -> None:
    lines: list[str] = []
    child = await start(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)", lines
    )
    await until(lines, "up")
    finished = asyncio.Event()
    finished.set()

    async def enough() -> None:
        await finished.wait()

    async with asyncio.timeout(10):
        await child.stop(60, enough())
    assert child.returncode == -signal.SIGKILL


async def test_kill_takes_grandchildren_along() -> None:
    lines: list[str] = []
    child = await start(
        "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid); print('up'); time.sleep(60)", lines
    )
    await until(lines, "up")
    await child.kill()
    assert ends_soon(int(lines[0]))


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-c",
            """if True:
            import asyncio, os
            from headrace.serving.process import ChildProcess
            async def main():
                # The shell dies with its parent by the kernel's hand, its own child by the watcher's.
                child = await ChildProcess.start(["sh", "-c", "sleep 60 & echo $$ $!; wait"], os.environ, print)
                await child.wait()
            asyncio.run(main())""",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    children = [int(word) for word in parent.stdout.readline().split()]
    assert len(children) == 2
    assert all(map(psutil.pid_exists, children))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert all(map(ends_soon, children))


def test_a_child_whose_parent_is_already_gone_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, str(DIE_WITH_PARENT), "1", "0", "echo", "started"],
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""


async def test_a_missing_program_is_one_line() -> None:
    lines: list[str] = []
    child = await ChildProcess.start(["/no/such/program"], ENVIRONMENT, lines.append)
    assert await child.wait() == 1
    assert lines == ["error: /no/such/program: No such file or directory"]


@pytest.mark.parametrize(("status", "words"), [(78, "exit code 78"), (-9, "SIGKILL"), (-99, "signal 99")])
def test_exits_are_named(status: int, words: str) -> None:
    assert describe_exit(status) == words
