"""A gateway before a server that replays answers: nothing else of the platform runs."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headrace.config import Config
from headrace.errors import StartupError
from headrace.serving.status import addresses
from perf.stack import config_file, environment, on_free_ports

_START_SECONDS = 60
_STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Alone:
    gateway: str
    """HOST:PORT of its HTTP side."""
    gateway_grpc: str


@contextmanager
def gateway_alone(config: Config, pieces: int, tokens_each: int) -> Iterator[Alone]:
    """Every answer has so many pieces of so many tokens each."""
    config = on_free_ports(config)
    found = addresses(config)
    replay = [sys.executable, "-m", "perf.gateway.replay", str(pieces), str(tokens_each)]
    with (
        config_file(config) as file,
        TemporaryDirectory() as folder,
        (Path(folder) / "log").open("wb") as log,
        subprocess.Popen(replay, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
    ):
        if server.stdin is None or server.stdout is None:
            raise ValueError("the process needs pipes for stdin and stdout")
        triton = f"127.0.0.1:{int(server.stdout.readline())}"
        command = [sys.executable, "-m", "headrace.gateway", "--triton", triton, "--audit", f"{folder}/audit"]
        gateway = subprocess.Popen(command, env=environment(file), stdout=log, stderr=log)
        try:
            _wait(gateway, found["gateway"])
            yield Alone(found["gateway"].removeprefix("http://"), found["gateway_grpc"])
        finally:
            gateway.terminate()
            gateway.wait(_STOP_SECONDS)
            server.stdin.close()


def _wait(gateway: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while gateway.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health/live", timeout=1):  # noqa: S310 our own
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise StartupError(f"the gateway did not start at {url}")
