"""A whole stack from outside: serve it here, start it in the background, stop it, ask how it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import structlog

from headrace import logs
from headrace.client import Chunk
from headrace.config import Config, ServerConfig
from headrace.errors import EngineFailed, HeadraceError, StartupError
from headrace.gateway.config import GatewayConfig
from headrace.serving import checks, leftovers, listen, shared_memory
from headrace.serving.log_file import LogFile
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import Status
from headrace.serving.supervisor import Supervisor

log = structlog.get_logger()

_POLL_SECONDS = 0.05
# Beyond the drain: what Triton and the worker take to end.
_STOP_SECONDS = 20.0


def serve(config: Config, on_ready: Callable[[Chunk, float], None], on_stop: Callable[[], None]) -> None:
    """Run a stack until SIGINT, SIGTERM, or SIGHUP, which comes when the terminal closes.

    `on_ready` is called once it has answered, `on_stop` when it begins to stop.
    Raises `StartupError` when it cannot start or gave up.
    """
    folder = RunFolder.of(config)
    folder.create()
    with folder.lock(), contextlib.closing(LogFile(folder.log_file)) as log_file:
        logs.configure("supervisor", log_file.write)
        removed = leftovers.remove(folder)
        if removed != leftovers.Removed(0, 0):
            log.warning("removed what a killed stack left", **asdict(removed))
        distribution = checks.check_all(config)
        if not listen.resolve(config.server.host).is_loopback:
            log.warning(
                "Triton 2.51 must not be reached from a network: set server.host to 127.0.0.1 and put a gateway "
                "in front of it",
                host=config.server.host,
            )

        async def run() -> None:
            supervisor = Supervisor(config, folder, distribution, log_file, on_ready)
            loop = asyncio.get_running_loop()

            def stop() -> None:
                if supervisor.request_stop():
                    on_stop()

            for number in _stop_signals():
                loop.add_signal_handler(number, stop)
            await supervisor.run()

        try:
            asyncio.run(run())
        except HeadraceError:
            raise
        except Exception as error:
            log.exception("the supervisor failed")
            raise EngineFailed(f"internal error: {error!r}; see {folder.log_file}") from error
        finally:
            shared_memory.sweep(folder.shared_memory_prefix)
            folder.clear()


def _stop_signals() -> list[signal.Signals]:
    """What ends a stack. Under `nohup` a closed terminal does not."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] + ([] if ignored else [signal.SIGHUP])


def up(config: Config, config_file: Path | None) -> Status:
    """Start a stack in the background, or find the running one, and wait until it has answered.

    One that is about to stop is waited for, and then a new one is started.

    Raises `StartupError` with the line that the supervisor printed when it could not start.
    """
    folder = RunFolder.of(config)
    folder.create()
    with folder.start_lock():
        return _running(folder, config) or _start(folder, config_file)


def _start(folder: RunFolder, config_file: Path | None) -> Status:
    command = [sys.executable, "-m", "headrace", "serve"]
    if config_file is not None:
        command += ["--config", str(config_file)]
    with folder.console_file.open("wb") as console:
        supervisor = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
        )
    try:
        return _wait_until_started(folder, supervisor)
    except BaseException:
        if supervisor.poll() is None:
            supervisor.terminate()
            supervisor.wait()
        raise


def _running(folder: RunFolder, config: Config) -> Status | None:
    """The stack that runs here, once it has answered; None when there is none, or none any more."""
    deadline: float | None = None
    begun = folder.locked()
    while folder.locked():
        status = folder.read_status()
        if status is not None and status.pid != folder.pid():
            status = None  # of an earlier one
        if status is not None and status.state == "draining":
            begun = False
            deadline = deadline or time.monotonic() + _longest_stop(folder, config)
            if time.monotonic() > deadline:
                raise StartupError(
                    f"the stack that runs here (pid {status.pid}) does not stop; end it with `headrace down --now`"
                )
        elif status is not None and status.start_seconds is not None:
            return status
        time.sleep(_POLL_SECONDS)
    if begun:
        raise StartupError(_last_error(folder))
    return None


def _wait_until_started(folder: RunFolder, supervisor: subprocess.Popen[bytes]) -> Status:
    """The supervisor itself ends when it cannot start in time, so this ends too."""
    while supervisor.poll() is None:
        status = folder.read_status()
        if status is not None and status.pid == supervisor.pid and status.start_seconds is not None:
            return status
        time.sleep(_POLL_SECONDS)
    raise StartupError(_last_error(folder))


def _longest_stop(folder: RunFolder, config: Config) -> float:
    """Seconds that the running stack may take to stop; it may have been started with other settings than ours."""
    server = folder.read_section("server", ServerConfig) or config.server
    gateway = folder.read_section("gateway", GatewayConfig) or config.gateway
    at_the_gateway = gateway.unready_seconds + gateway.drain_seconds if gateway.enabled else 0.0
    return at_the_gateway + server.unready_seconds + server.drain_seconds + _STOP_SECONDS


def _last_error(folder: RunFolder) -> str:
    with contextlib.suppress(OSError):
        for line in reversed(folder.console_file.read_text("utf-8", "replace").splitlines()):
            if line.startswith("error: "):
                return line.removeprefix("error: ")
    return f"the stack ended before it was ready; see {folder.console_file}"


def down(config: Config, now: bool = False) -> bool:
    """Drain (unless `now`) and stop the stack and wait until it is gone. False when none ran."""
    folder = RunFolder.of(config)
    if not folder.root.exists():
        return False
    while (pid := folder.pid()) is None and folder.locked():
        time.sleep(_POLL_SECONDS)  # it has only just begun
    if pid is None or not folder.locked():
        _sweep(folder)
        return False
    with contextlib.suppress(ProcessLookupError):
        for _ in range(2 if now else 1):
            os.kill(pid, signal.SIGTERM)
            time.sleep(_POLL_SECONDS)
    deadline = time.monotonic() + _longest_stop(folder, config)
    while folder.locked():
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + _STOP_SECONDS
        time.sleep(_POLL_SECONDS)
    _sweep(folder)
    return True


def _sweep(folder: RunFolder) -> None:
    """Remove what a killed supervisor left; one that ended by itself left nothing."""
    folder.create()
    with contextlib.suppress(StartupError), folder.lock():
        leftovers.remove(folder)
