"""How a running stack is: its own report, its processes, its worker's counters and one real answer."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

import msgspec
import psutil

from headrace.client import Client
from headrace.config import Config
from headrace.errors import EngineUnavailable, HeadraceError
from headrace.serving import probe
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import Status
from headrace.worker import control
from headrace.worker.protocol import WorkerStats

_WORKER_SECONDS = 2.0


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """One real answer, or why there was none."""

    ok: bool
    seconds: float
    problem: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    state: Literal["stopped", "starting", "ready", "not answering", "degraded", "draining"]
    """As the stack says, but only an answer makes it "ready"."""
    ready: bool
    stack: Status | None = None
    resident_bytes: dict[str, int] = {}
    """By part; the steps are Triton's Python processes together."""
    worker: dict[str, object] | None = None
    inference: Inference | None = None


def examine(config: Config, seconds: float) -> Health:
    """Look at the stack of this configuration; the real answer may take `seconds`."""
    folder = RunFolder.of(config)
    status = folder.read_status()
    if not folder.locked() or status is None:
        return Health(state="starting" if folder.locked() else "stopped", ready=False)
    inference = asyncio.run(_infer(status.grpc, seconds))
    state = "not answering" if status.state == "ready" and not inference.ok else status.state
    return Health(
        state=state,
        ready=state == "ready",
        stack=status,
        resident_bytes=_resident_bytes(status),
        worker=_worker(folder),
        inference=inference,
    )


async def _infer(address: str, seconds: float) -> Inference:
    began = time.perf_counter()
    problem = None
    async with Client(address) as client:
        try:
            await probe.ask_once(client, seconds)
        except HeadraceError as error:
            problem = str(error)
    return Inference(ok=problem is None, seconds=time.perf_counter() - began, problem=problem)


def _worker(folder: RunFolder) -> dict[str, object] | None:
    try:
        stats: WorkerStats = control.stats(folder.socket, _WORKER_SECONDS)
    except EngineUnavailable:
        return None
    # The protocol's structs travel as arrays; people want names. Moments on the machine's clock tell them nothing.
    names = [name for name in stats.__struct_fields__ if name != "engine" and not name.endswith("_at")]
    counters = {name: getattr(stats, name) for name in names}
    return counters | msgspec.structs.asdict(stats.engine)


def _resident_bytes(status: Status) -> dict[str, int]:
    found = {}
    for name, part in status.parts.items():
        if part.pid is None:
            continue
        try:
            process = psutil.Process(part.pid)
            found[name] = process.memory_info().rss
            if children := process.children():
                found[f"{name}_steps"] = sum(child.memory_info().rss for child in children)
        except psutil.Error:
            continue
    return found
