"""Triton's Python stubs: one process a step. 2.51 never restarts one that died, and stays READY."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from headrace.serving import gate

STUB = "triton_python_backend_stub"


def steps_of(server_pid: int) -> dict[int, str]:
    """Process id and instance name of every stub of this server, the gate's left out: those come and go."""
    found = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(server_pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                command = child.cmdline()
                if (name := _name(command)) is not None and Path(command[-1]).name != gate.BACKEND:
                    found[child.pid] = name
    return found


def own_name() -> str:
    """Of the step whose process this is, such as "preprocess_0_0"."""
    return _name(psutil.Process().cmdline()) or "step"


def _name(command: list[str]) -> str | None:
    """A stub's arguments end with the instance's name and the folder of its code."""
    return command[-2] if len(command) > 2 and Path(command[0]).name == STUB else None


async def first_death(stubs: dict[int, str], expected: int) -> str:
    """Wait until one of these processes has ended; returns a line that names it. Nothing is polled.

    There should be at least `expected` of them: one that died before it was listed is seen by its absence.
    """
    if len(stubs) < expected:
        return f"{expected - len(stubs)} of its {expected} Python steps died at its start"
    return f"its Python step {await _first_name(stubs)} died"


async def _first_name(stubs: dict[int, str]) -> str:
    loop = asyncio.get_running_loop()
    death: asyncio.Future[str] = loop.create_future()

    def report(name: str) -> None:
        if not death.done():
            death.set_result(name)

    with _watched(stubs) as (descriptors, gone):
        if gone is not None:
            return gone
        for descriptor, name in descriptors.items():
            loop.add_reader(descriptor, report, name)
        try:
            return await death
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)


@contextlib.contextmanager
def _watched(stubs: dict[int, str]) -> Iterator[tuple[dict[int, str], str | None]]:
    """A descriptor for each process, readable once it has ended; or the name of one that is gone already."""
    descriptors: dict[int, str] = {}
    gone = None
    try:
        for pid, name in stubs.items():
            try:
                descriptors[os.pidfd_open(pid)] = name
            except ProcessLookupError:
                gone = name
        yield descriptors, gone
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
