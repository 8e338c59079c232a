"""The engine worker with the mock engine, which a test can spoil while it runs.

SIGUSR1: the engine makes no token any more, while the worker still says how it is. SIGUSR2: it breaks, and one of
its requests learns of it first. With MOODY_WARM_UP=fail it breaks in the warm-up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from headrace.config import EngineConfig
from headrace.engine.mock import MockEngine
from headrace.errors import EngineFailed
from headrace.worker import __main__ as worker


class MoodyEngine(MockEngine):
    async def start(self, config: EngineConfig) -> None:
        await super().start(config)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._halt)
        loop.add_signal_handler(signal.SIGUSR2, self._break)
        if os.environ.get("MOODY_WARM_UP") == "fail":
            loop.call_later(0.1, self._break)
            self._halt()

    def _halt(self) -> None:
        assert self._loop is not None
        self._loop.cancel()

    def _break(self) -> None:
        self._halt()
        _, run = self._runs.popitem()
        run.stream.put(EngineFailed("the mock engine broke"))


setattr(worker, "create", lambda _name: MoodyEngine())  # noqa: B010 mypy wants no other way

if __name__ == "__main__":
    sys.exit(worker.main())
