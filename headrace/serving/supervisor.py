"""The supervisor: engine worker, Triton and gateway, kept running, truthfully reported, drained at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from headrace import paths
from headrace.build.triton import TritonDistribution
from headrace.client import Chunk, Client
from headrace.config import Config
from headrace.errors import HeadraceError, StartupError
from headrace.serving import drain, probe, repository
from headrace.serving.backoff import Backoff
from headrace.serving.engine_worker import EngineWorker
from headrace.serving.gate import Gate
from headrace.serving.gateway_part import Gateway
from headrace.serving.keeper import Keeper
from headrace.serving.liveness import Liveness
from headrace.serving.log_file import LogFile
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import PartStatus, State, Status, addresses, part_status
from headrace.serving.triton_part import Triton
from headrace.worker.protocol import WorkerStats

_READINESS_SECONDS = 0.5
# A step of the engine may hold up the worker's answer: it has half a probe's time, and no less than this.
_STATS_SECONDS = 1.0
# Ready parts behind a server that says "not ready" for two probes or this long: only a restart opens the gate.
_LONGEST_CLOSED_SECONDS = 5.0
_POLL_SECONDS = 0.05
# Beyond Triton's own wait: unloading its models takes a second or two.
_TRITON_STOP_SECONDS = 10.0
_WORKER_STOP_SECONDS = 2.0
# Beyond its own drain.
_GATEWAY_STOP_SECONDS = 5.0

log = structlog.get_logger()


class Supervisor:
    """Runs a stack in a prepared run folder until it is told to stop.

    `on_ready` is called once, with the first real answer and the seconds that it took from the start.
    """

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        distribution: TritonDistribution,
        log_file: LogFile,
        on_ready: Callable[[Chunk, float], None],
    ) -> None:
        self._config = config
        self._folder = folder
        self._distribution = distribution
        self._on_ready = on_ready
        self._client = Client(addresses(config)["grpc"])
        self._gate = Gate(folder.gate)
        self._worker = EngineWorker(config.engine.python, folder, self._gate, log_file)
        triton = Triton(distribution, config, folder, self._gate, log_file, self._client)
        limit = config.server.start_seconds
        settled = config.server.settled_seconds
        self._worker_keeper = Keeper(self._worker, Backoff(settled=settled), limit, self._report)
        self._triton_keeper = Keeper(triton, Backoff(settled=settled), limit, self._report)
        self._gateway_keeper: Keeper | None = None
        if config.gateway.enabled:
            gateway = Gateway(config, folder, log_file)
            self._gateway_keeper = Keeper(gateway, Backoff(settled=settled), limit, self._report)
        self._started_at = time.time()
        self._start_seconds: float | None = None
        self._server_ready = False
        self._draining = False
        self._opened = asyncio.Event()
        """Set when both parts and the server say for the first time that they are ready."""
        self._drain = asyncio.Event()
        self._now = asyncio.Event()

    def request_stop(self) -> bool:
        """The first call drains and stops, a second one stops at once. True when it is the first one."""
        first = not self._drain.is_set()
        (self._drain if first else self._now).set()
        return first

    async def run(self) -> None:
        """Until stopped. Raises a `HeadraceError` when the stack cannot start or gave up.

        Nothing is left running either way.
        """
        self._prepare()
        self._report()
        keepers = _tasks(self._worker_keeper.run(), self._triton_keeper.run())
        doors = _tasks(self._gateway_keeper.run()) if self._gateway_keeper is not None else []
        watchers = _tasks(self._first_answer(), self._watch_readiness(), self._watch_liveness())
        (stop,) = _tasks(self._drain.wait())
        try:
            await _first_failure_or(stop, [*keepers, *doors, *watchers])
            # A drain looks like a fault to them: not ready for long, and no new request is answered.
            await _cancel([*watchers, *doors])
            await self._drain_all(keepers)
        finally:
            await _cancel([stop, *keepers, *doors, *watchers])
            await self._stop_parts()
            await self._client.close()

    def _prepare(self) -> None:
        """The files that the parts read."""
        self._folder.write_config(self._config)
        repository.snapshot(paths.PROJECT / "model_repository", self._folder.models)
        repository.snapshot(paths.PROJECT / "ensembles", self._folder.ensembles)
        repository.assemble_backends(
            self._distribution.python_backend, paths.PROJECT / "python_backends", self._folder.backends
        )

    async def _first_answer(self) -> None:
        """Ask a real question as soon as both parts are up, and tell the answer."""
        limit = self._config.server.start_seconds
        try:
            async with asyncio.timeout(limit):
                await self._opened.wait()
                answer = await probe.ask_once(self._client, limit, question=probe.FIRST_QUESTION, max_tokens=32)
        except TimeoutError:
            raise StartupError(
                f"no answer within {limit:g} s of the start (server.start_seconds); see {self._folder.log_file}"
            ) from None
        except HeadraceError as error:
            raise StartupError(f"the first question was not answered: {error}") from None
        self._start_seconds = time.time() - self._started_at
        log.info("first answer", text=answer.text, seconds=round(self._start_seconds, 3))
        self._report()
        self._on_ready(answer, self._start_seconds)

    async def _watch_readiness(self) -> None:
        """Follow what the server says of itself, and restart one that stays shut without a reason."""
        closed_since: float | None = None
        patience = max(_LONGEST_CLOSED_SECONDS, 2 * self._config.server.probe_seconds)
        while True:
            ready = self._triton_keeper.state == "ready" and await self._serves()
            if ready != self._server_ready:
                self._server_ready = ready
                self._report()
            if ready and self._parts_ready() and self._gateway_ready():
                self._opened.set()
            if ready or not self._parts_ready():
                closed_since = None
            elif closed_since is None:
                closed_since = time.monotonic()
            elif time.monotonic() - closed_since > patience:
                closed_since = None
                self._triton_keeper.restart("it stayed not ready although the engine is up")
            await asyncio.sleep(_READINESS_SECONDS if self._start_seconds else _POLL_SECONDS)

    async def _serves(self) -> bool:
        """What the server says of itself. After an outage only an answer counts: Triton looks once a second
        whether its engine is away, so a short outage escapes it."""
        if not await self._client.ready(_READINESS_SECONDS):
            return False
        if self._server_ready or self._start_seconds is None or not self._parts_ready():
            return True
        try:
            await probe.ask_once(self._client, self._config.server.probe_seconds)
        except HeadraceError:
            # Perhaps it is full already. Then the steps have found the engine.
            worker = await self._worker_stats()
            return worker is not None and worker.live > 0
        return True

    async def _watch_liveness(self) -> None:
        """A real inference now and then. When a row of them has no answer, restart the part at fault."""
        liveness = Liveness(self._config.engine.max_running)
        keepers = {"worker": self._worker_keeper, "triton": self._triton_keeper}
        seconds = self._config.server.probe_seconds
        while True:
            await asyncio.sleep(seconds)
            if not (self._start_seconds and self._server_ready and self._parts_ready()):
                liveness.forget()
                continue
            finding = await probe.examine(self._client, liveness.door, seconds, self._worker_stats)
            if finding.problem is not None:
                log.warning("probe failed", door=liveness.door, problem=finding.problem)
            if culprit := liveness.judge(finding):
                liveness.forget()
                keepers[culprit].restart("it does not answer")

    async def _worker_stats(self) -> WorkerStats | None:
        return await self._worker.stats(max(_STATS_SECONDS, self._config.server.probe_seconds / 2))

    async def _drain_all(self, keepers: list[asyncio.Task[Any]]) -> None:
        """The gateway first: what it waits for still has to run. Then the worker, for who asked Triton itself."""
        server, gateway = self._config.server, self._config.gateway
        self._draining = True
        self._report()
        # Readiness before anything else, so that who routes by it looks elsewhere.
        with contextlib.suppress(OSError):
            self._gate.shut()
        began = time.monotonic()
        if self._gateway_keeper is not None:
            seconds = gateway.unready_seconds + gateway.drain_seconds + _GATEWAY_STOP_SECONDS
            await drain.stop(self._gateway_keeper, seconds, self._now)
        if self._start_seconds is None:
            return
        await drain.wait(self._now, max(0.0, began + server.unready_seconds - time.monotonic()))
        if not await drain.until_idle(self._worker, self._worker_keeper, server.drain_seconds, self._now):
            # It fails what still runs; Triton would wait for it.
            await _cancel(keepers)
            await self._worker_keeper.stop(_WORKER_STOP_SECONDS)

    async def _stop_parts(self) -> None:
        """Triton first: its steps still deliver what the worker has made."""
        with contextlib.suppress(OSError):
            self._folder.stop_file.touch()
        if self._gateway_keeper is not None:
            await self._gateway_keeper.stop(0)
        started = self._start_seconds is not None
        await drain.stop(self._triton_keeper, _TRITON_STOP_SECONDS if started else 0, self._now)
        await self._worker_keeper.stop(0 if self._now.is_set() else _WORKER_STOP_SECONDS)

    def _parts_ready(self) -> bool:
        """Those behind the server's own readiness."""
        return self._worker_keeper.state == "ready" and self._triton_keeper.state == "ready"

    def _gateway_ready(self) -> bool:
        return self._gateway_keeper is None or self._gateway_keeper.state == "ready"

    def _state(self) -> State:
        if self._draining:
            return "draining"
        if self._start_seconds is None:
            return "starting"
        all_ready = self._parts_ready() and self._server_ready and self._gateway_ready()
        return "ready" if all_ready else "degraded"

    def _report(self) -> None:
        """Write the status file. A stack that is well goes on without one."""
        # What the server said before one of its parts went away says nothing of what it does when that is back.
        self._server_ready = self._server_ready and self._parts_ready()
        try:
            self._folder.write_status(self._status())
        except OSError as error:
            log.warning("the status was not written", file=str(error.filename), problem=error.strerror)

    def _status(self) -> Status:
        parts: dict[str, PartStatus] = {
            "engine_worker": part_status(self._worker_keeper),
            "tritonserver": part_status(self._triton_keeper),
        }
        if self._gateway_keeper is not None:
            parts["gateway"] = part_status(self._gateway_keeper)
        return Status(
            state=self._state(),
            pid=os.getpid(),
            started_at=self._started_at,
            start_seconds=self._start_seconds,
            engine=self._config.engine.name,
            model=self._config.engine.model.name,
            parts=parts,
            **addresses(self._config),
        )


def _tasks(*duties: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(duty) for duty in duties]


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first_failure_or(stop: asyncio.Task[Any], tasks: list[asyncio.Task[Any]]) -> None:
    """Return when `stop` is done; raise what the first failing task raised."""
    pending: set[asyncio.Task[Any]] = {stop, *tasks}
    while not stop.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stop}:
            task.result()
