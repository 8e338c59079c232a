"""A stack for fault drills: its parts can be found, and watched while they come and go."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import Any

from headrace.client import Question
from headrace.serving.status import Status
from headrace.serving.stubs import steps_of
from perf.stack import NO_GUARDS
from tests.stack import Stack


class DrillStack(Stack):
    """On the mock engine and without guards, unless the settings say otherwise."""

    def __init__(self, **settings: str) -> None:
        plain = {"HEADRACE_ENGINE__NAME": "mock", "HEADRACE_GUARD__POLICY": str(NO_GUARDS)}
        super().__init__(**plain | settings)

    def status(self) -> Status:
        status = self.folder.read_status()
        assert status is not None
        return status

    def pid(self, part: str) -> int:
        pid = self.status().parts[part].pid
        assert pid is not None
        return pid

    def stub(self, step: str) -> int:
        """Process id of a step's Python process."""
        stubs = steps_of(self.pid("tritonserver"))
        return next(pid for pid, name in stubs.items() if name.startswith(f"{step}_0"))

    def is_clean(self) -> bool:
        """Nothing of a stack that ran is left, except its log and its configuration."""
        left = {entry.name for entry in self.folder.root.iterdir()} - {"logs", "config.yaml", "lock", "start.lock"}
        return not (self.processes() or self.segments() or left)

    def get(self, path: str, body: dict[str, Any] | None = None) -> int | None:
        """HTTP status; None when nobody listens."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    async def until_ready(self, expected: int | None, seconds: float) -> float:
        """Wait until `/v2/health/ready` answers this; returns the seconds it took."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while await asyncio.to_thread(self.get, "/v2/health/ready") != expected:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def until_state(self, state: str, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while self.status().state != state:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def long_question(number: int, tokens: int) -> Question:
    """Answered with exactly this many tokens by the mock engine; no cache knows it."""
    scope = f"test-{number}-{time.monotonic_ns()}"
    return Question(text_input=f"{number} " + "word " * 50, max_tokens=tokens, cache_scope=scope)
