"""How a command ends that is told to."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# `ask` stops its request when the task that reads the answer has not ended: so that one must live to see the end.
WORK = """
import asyncio, os, signal
from headrace.cli import _cancelled_by_signals

async def read(number):
    signal.raise_signal(number)
    await asyncio.sleep(60)

async def work(number):
    reading = asyncio.create_task(read(number))
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        print("reading has ended:", reading.done())

signal.signal(signal.SIGHUP, signal.SIG_DFL)
asyncio.run(_cancelled_by_signals(work({number})))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_work_and_none_of_its_tasks(number: signal.Signals) -> None:
    script = WORK.replace("{number}", str(number.value))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "reading has ended: False\n", "")
