"""A stack of our own, started and stopped by the command line, on free ports."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from headrace.config import CONFIG_FILE_ENV, PORT_ENVS, Config
from headrace.errors import StartupError
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import addresses

NO_GUARDS = Path(__file__).parent / "no_guards.yaml"
_START_SECONDS = 300
_STOP_SECONDS = 120


@dataclass(frozen=True)
class Stack:
    """A stack that has answered its first question."""

    config: Config
    start_seconds: float
    """From the call of `headrace up` to its return, which is after the first real answer."""

    @property
    def grpc(self) -> str:
        return addresses(self.config)["grpc"]

    @property
    def gateway(self) -> str:
        """Where OpenAI's clients go: host and port."""
        return addresses(self.config)["gateway"].removeprefix("http://")

    @property
    def gateway_grpc(self) -> str:
        return addresses(self.config)["gateway_grpc"]

    def gateway_process(self) -> psutil.Process:
        """Raises `StartupError` when there is none."""
        status = RunFolder.of(self.config).read_status()
        pid = status.parts["gateway"].pid if status is not None and "gateway" in status.parts else None
        if pid is None:
            raise StartupError("no gateway runs in the stack; see its log")
        return psutil.Process(pid)

    @property
    def engine_socket(self) -> Path:
        return RunFolder.of(self.config).socket

    def processes(self) -> list[psutil.Process]:
        """The supervisor and all below it: the worker, Triton and its Python steps."""
        pid = RunFolder.of(self.config).pid()
        if pid is None:
            raise StartupError("the stack has ended; see its log")
        supervisor = psutil.Process(pid)
        return [supervisor, *supervisor.children(recursive=True)]


def under(config: Config, policies: Path) -> Config:
    """With this policy file."""
    return config.model_copy(update={"guard": config.guard.model_copy(update={"policy": policies})})


def without_guards(config: Config) -> Config:
    return under(config, NO_GUARDS)


@contextlib.contextmanager
def running(config: Config, gateway: bool = False) -> Iterator[Stack]:
    """Start a stack with this configuration, on ports of its own, and stop it at the end; `gateway`: with one.

    Raises `StartupError` with the line that `headrace up` printed.
    """
    config = _for_us(on_free_ports(config), gateway)
    with config_file(config) as file:
        began = time.perf_counter()
        _headrace("up", file, _START_SECONDS)
        try:
            yield Stack(config, time.perf_counter() - began)
        finally:
            _headrace("down", file, _STOP_SECONDS)
        # Only after a good run: its log is what explains a bad one.
        shutil.rmtree(RunFolder.of(config).root, ignore_errors=True)


def _for_us(config: Config, gateway: bool) -> Config:
    """No load balancer has to see that it is about to end."""
    door = config.gateway.model_copy(update={"enabled": gateway, "unready_seconds": 0.0})
    server = config.server.model_copy(update={"unready_seconds": 0.0})
    return config.model_copy(update={"gateway": door, "server": server})


def on_free_ports(config: Config) -> Config:
    sections: dict[str, dict[str, int]] = {}
    for (section, key), port in zip(PORT_ENVS, free_ports(len(PORT_ENVS)), strict=True):
        sections.setdefault(section, {})[key] = port
    changed = {name: getattr(config, name).model_copy(update=ports) for name, ports in sections.items()}
    return config.model_copy(update=changed)


@contextlib.contextmanager
def config_file(config: Config) -> Iterator[Path]:
    """The configuration as a file for a process that is started with `environment(file)`."""
    with tempfile.TemporaryDirectory(prefix="headrace-perf-") as folder:
        file = Path(folder) / "headrace.yaml"
        file.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
        yield file


def end_on_sigterm() -> None:
    """Have SIGTERM unwind this program as Ctrl-C does: a stack that it started must not outlive it."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def environment(file: Path) -> dict[str, str]:
    """Ours, without what would override the file: that is in it already."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in PORT_ENVS.values() and (name == "HEADRACE_HOME" or not name.startswith("HEADRACE_"))
    }
    return kept | {CONFIG_FILE_ENV: str(file)}


def _headrace(command: str, file: Path, seconds: float) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headrace", command, "--config", str(file)],
        env=environment(file),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise StartupError(lines[-1].removeprefix("error: ") if lines else f"headrace {command} failed")


def free_ports(count: int) -> list[int]:
    """Below those that the kernel gives to outgoing connections, and held together until all are found."""
    ports: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(range(20_000, 30_000), k=1000):
            listener = held.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise StartupError(f"no {count} free ports between 20000 and 30000 on 127.0.0.1")
