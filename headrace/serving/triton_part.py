"""Triton as a part of the stack. It is unfit as soon as it has crashed or one of its Python steps has died."""

from __future__ import annotations

import asyncio
import re
import signal

import structlog

from headrace.build.triton import TritonDistribution
from headrace.client import Client
from headrace.config import Config
from headrace.serving import python_environments, repository, shared_memory, stubs, tritonserver
from headrace.serving.first_errors import FirstErrors
from headrace.serving.gate import Gate
from headrace.serving.log_file import LogFile
from headrace.serving.process import ChildProcess, describe_exit
from headrace.serving.run_folder import RunFolder

_ANSWER_SECONDS = 1.0
# What 2.51 logs after SIGTERM when no inference is in flight any more.
_FINISHED = "All models are stopped"
# 2.51 catches what would end it, tries to stop in an orderly way, and may then hang for ever.
_CRASHED = re.compile(r"Signal \((?P<number>\d+)\) received\.")
_ORDERLY = {signal.SIGINT, signal.SIGTERM}
# For the last responses to leave the process.
_FLUSH_SECONDS = 0.1

log = structlog.get_logger()


class Triton:
    name = "tritonserver"

    def __init__(
        self,
        distribution: TritonDistribution,
        config: Config,
        folder: RunFolder,
        gate: Gate,
        log_file: LogFile,
        client: Client,
    ) -> None:
        self._distribution = distribution
        self._config = config
        self._folder = folder
        self._gate = gate
        self._log_file = log_file
        self._client = client
        self._finished = asyncio.Event()
        self._crash = ""
        self._crashed = asyncio.Event()
        self._errors = FirstErrors()

    async def start(self) -> ChildProcess:
        # A step's own start waits for the worker, so an empty gate is right at first.
        self._gate.reset()
        self._finished.clear()
        self._crashed.clear()
        self._errors = FirstErrors()
        return await ChildProcess.start(
            tritonserver.command(self._distribution, self._config, self._folder),
            tritonserver.environment(self._distribution, self._folder),
            self._on_line,
        )

    async def is_ready(self) -> bool:
        return await self._client.ready(_ANSWER_SECONDS)

    async def until_crashed(self) -> str:
        await self._crashed.wait()
        return self._crash

    async def until_unfit(self, process: ChildProcess) -> str:
        expected = repository.count_python_instances(
            [self._folder.models, self._folder.ensembles], self._config.profile
        )
        return await stubs.first_death(stubs.steps_of(process.pid), expected)

    async def until_finished(self) -> None:
        """All running requests are answered. The two seconds of unloading that follow are not worth waiting
        for: the gRPC port still listens, and newcomers would be told that the model is unknown."""
        await self._finished.wait()
        await asyncio.sleep(_FLUSH_SECONDS)

    def _on_line(self, line: str) -> None:
        self._log_file.write_raw(self.name, line)
        if _FINISHED in line:
            self._finished.set()
        self._look_for_crash(line)
        self._errors.add(line)

    def _look_for_crash(self, line: str) -> None:
        match = _CRASHED.search(line)
        if match is None or self._crashed.is_set() or (number := int(match["number"])) in _ORDERLY:
            return
        self._crash = f"it crashed with {describe_exit(-number)}"
        self._crashed.set()

    def on_ended(self) -> None:
        if removed := shared_memory.sweep(self._folder.shared_memory_prefix):
            log.info("shared memory swept", segments=len(removed))
        if folders := python_environments.sweep():
            log.info("folders of Python environments swept", folders=folders)

    def explain(self, process: ChildProcess) -> str | None:
        """The error that it logged first, where it says which model could not be loaded."""
        return self._errors.cause()
