"""Clients of one admission, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec

from headrace.admission import Admission, AdmissionConfig
from tests.admission import virtual_time

Parameters = ParamSpec("Parameters")


def virtual(test: Callable[Parameters, Coroutine[Any, Any, None]]) -> Callable[Parameters, None]:
    """Runs it in virtual time."""

    @wraps(test)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        virtual_time.run(test(*args, **kwargs))

    return run


def now() -> float:
    return asyncio.get_running_loop().time()


def made(**values: object) -> Admission:
    """One place, unless `initial_limit` says otherwise; it does not adapt, unless told to."""
    limit = values.get("initial_limit", 1)
    fixed = {"initial_limit": limit, "min_limit": limit, "max_limit": limit}
    config = AdmissionConfig.model_validate({**fixed, **values})
    return Admission(config, asyncio.get_running_loop().time, random.Random(1).uniform)


class Client:
    """One request, which holds its place until it is told to end."""

    def __init__(
        self,
        admission: Admission,
        tenant: str = "a",
        priority: int = 3,
        work: int = 100,
        timeout: float | None = None,
    ) -> None:
        self.end = asyncio.Event()
        self.in_since: float | None = None
        deadline = None if timeout is None else now() + timeout
        self.ticket = admission.admit(tenant, priority, work, deadline)
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self.ticket:
            self.in_since = now()
            await self.end.wait()

    async def finish(self) -> None:
        self.end.set()
        await self.task


def counts(admission: Admission) -> tuple[int, int]:
    stats = admission.stats()
    return stats.in_flight, stats.waiting
