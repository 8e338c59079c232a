"""The sides of a comparison: the platform, the bare engine, the engine class. One runs, the others are idle."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import psutil

from headrace.client import STREAM_MODEL
from headrace.errors import StartupError
from perf.bare_engine import Job, Outcome
from perf.load import LoadClient, LoadFailed, closed_loop, question
from perf.prompts import Prompt
from perf.stack import Stack, environment

_END_SECONDS = 10


class Side(Protocol):
    name: str

    async def run(self, prompts: Sequence[Prompt], concurrency: int, tokens: int) -> Outcome:
        """Answer all prompts, `tokens` tokens each. Raises `LoadFailed` when one was not."""

    def cpu_seconds(self) -> float:
        """That its processes have used so far."""


def limit_seconds(requests: int, tokens: int) -> float:
    """For a whole load: generous, so that only what hangs is cut."""
    return 60 + requests * tokens * 0.2


def _checked(outcome: Outcome, requests: int, tokens: int) -> Outcome:
    if outcome.tokens != requests * tokens:
        raise LoadFailed(f"{outcome.tokens} tokens came back, {requests * tokens} were asked for")
    return outcome


class Platform:
    """A running stack, through `assistant_stream` over gRPC."""

    name = "platform"

    def __init__(self, stack: Stack, client: LoadClient) -> None:
        self.stack = stack
        self.client = client

    async def run(self, prompts: Sequence[Prompt], concurrency: int, tokens: int) -> Outcome:
        messages = [question(STREAM_MODEL, prompt, tokens) for prompt in prompts]
        load = await closed_loop(self.client, messages, concurrency, limit_seconds(len(prompts), tokens))
        outcome = Outcome(
            seconds=load.seconds,
            tokens=sum(sample.tokens for sample in load.samples),
            first_token_seconds=load.first_token_seconds,
        )
        return _checked(outcome, len(prompts), tokens)

    def cpu_seconds(self) -> float:
        return sum(_cpu_seconds(process) for process in self.stack.processes())


class BareEngine:
    """A child process of `perf.bare_engine`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process needs pipes for stdin and stdout")
        self.name = name
        self._process = process
        self._jobs, self._answers = process.stdin, process.stdout

    async def run(self, prompts: Sequence[Prompt], concurrency: int, tokens: int) -> Outcome:
        job = Job(prompts=[list(p.token_ids) for p in prompts], concurrency=concurrency, tokens=tokens)
        self._jobs.write(msgspec.json.encode(job) + b"\n")
        self._jobs.flush()
        outcome = msgspec.json.decode(self.line(), type=Outcome)
        return _checked(outcome, len(prompts), tokens)

    def cpu_seconds(self) -> float:
        return _cpu_seconds(psutil.Process(self._process.pid))

    def line(self) -> bytes:
        """Its next answer. Raises `StartupError` when it has ended."""
        if not (line := self._answers.readline()):
            code = self._process.wait()
            raise StartupError(f"the process of the {self.name} ended with code {code}; its error is above")
        return line

    def close(self) -> None:
        """An end of the jobs tells it to end."""
        self._jobs.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextlib.contextmanager
def bare_engine(way: str, name: str, config_file: Path) -> Iterator[BareEngine]:
    """`way`: "loop" or "class". Ready when this returns."""
    command = [sys.executable, "-m", "perf.bare_engine", way]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(config_file)
    ) as process:
        engine = BareEngine(name, process)
        try:
            engine.line()
            yield engine
        finally:
            engine.close()


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
