"""The gateway as a part of the stack: ready once it listens. It says itself whether the rest answers."""

from __future__ import annotations

import asyncio
import os
import sys
import urllib.error
import urllib.request

from headrace.config import Config
from headrace.serving import listen
from headrace.serving.log_file import LogFile
from headrace.serving.process import ChildProcess
from headrace.serving.run_folder import RunFolder
from headrace.serving.tritonserver import stack_environment

_ANSWER_SECONDS = 1.0


class Gateway:
    name = "gateway"

    def __init__(self, config: Config, folder: RunFolder, log_file: LogFile) -> None:
        self._config = config
        self._folder = folder
        self._log_file = log_file

    async def start(self) -> ChildProcess:
        command = [sys.executable, "-m", "headrace.gateway"]
        return await ChildProcess.start(
            command, self._environment(), lambda line: self._log_file.write_raw("gateway", line)
        )

    def _environment(self) -> dict[str, str]:
        """The stack's, with secrets that no other part is to know."""
        config = self._config
        own = (config.audit.key_env, config.limit_store.redis_url_env, config.gateway.cache_redis_url_env)
        known = {name: os.environ[name] for name in own if name is not None and name in os.environ}
        return stack_environment(os.environ, self._folder) | known

    async def is_ready(self) -> bool:
        return await asyncio.to_thread(_lives, self._config)

    async def until_crashed(self) -> str:
        return await asyncio.Future()

    async def until_unfit(self, process: ChildProcess) -> str:
        return await asyncio.Future()

    async def until_finished(self) -> None:
        await asyncio.Future()

    def on_ended(self) -> None:
        pass

    def explain(self, process: ChildProcess) -> str | None:
        return process.own_error


def _lives(config: Config) -> bool:
    url = f"http://{listen.own(config.gateway.host)}:{config.gateway.port}/health/live"
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
