"""A model of an LLM engine and of its clients, in virtual time, with the real admission control between them."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from statistics import fmean

from headrace.admission import Admission, AdmissionConfig
from headrace.errors import EngineUnavailable, HeadraceError
from tests.admission import virtual_time

PROMPT_TOKENS_PER_STEP = 256


@dataclass
class Engine:
    """In-flight batching: each step gives every running request a token, and takes longer the more there are. Who
    finds no slot waits inside, first come, first served.
    """

    slots: int = 32
    step: float = 0.020
    """Seconds, with nothing in it …"""
    step_each: float = 0.00025
    """… and for each request more."""
    slowness: float = 1.0
    down: bool = False
    running: int = 0
    waiting: deque[_Job] = field(default_factory=deque)
    _steps: float = 0.0
    """Done since the start."""
    _at: float = 0.0
    _events: list[tuple[float, int, asyncio.Future[None], bool]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _timer: asyncio.TimerHandle | None = None

    def capacity(self, tokens: float, prompt: float) -> float:
        """Requests a second when every slot is busy."""
        steps = tokens + prompt / PROMPT_TOKENS_PER_STEP
        return self.slots / (steps * self._step_seconds(self.slots))

    def submit(self, prompt: int, tokens: int) -> _Job:
        if self.down:
            raise EngineUnavailable("the engine is down; try again")
        job = _Job(prompt / PROMPT_TOKENS_PER_STEP, tokens)
        self._advance()
        self.waiting.append(job)
        self._fill()
        self._schedule()
        return job

    def slow_down(self, slowness: float) -> None:
        """By this factor, compared with the start."""
        self._advance()
        self.slowness = slowness
        self._schedule()

    def resize(self, slots: int) -> None:
        """What runs goes on."""
        self._advance()
        self.slots = slots
        self._fill()
        self._schedule()

    def die(self) -> None:
        """What runs or waits ends now, and what comes is refused at once, until `start`."""
        self.down = True
        jobs = {future for _, _, future, _ in self._events} | {
            one for job in self.waiting for one in (job.first, job.last)
        }
        for future in jobs:
            future.set_exception(EngineUnavailable("the engine died"))
            future.exception()  # a job whose first text nobody waits for any more
        self._events.clear()
        self.waiting.clear()
        self.running = 0

    def start(self) -> None:
        self.down = False

    def _step_seconds(self, running: int) -> float:
        return self.slowness * (self.step + self.step_each * running)

    def _fill(self) -> None:
        while self.waiting and self.running < self.slots:
            job = self.waiting.popleft()
            self.running += 1
            first = self._steps + job.prefill + 1
            heappush(self._events, (first, next(self._order), job.first, False))
            heappush(self._events, (first + job.tokens - 1, next(self._order), job.last, True))

    def _advance(self) -> None:
        now = asyncio.get_running_loop().time()
        self._steps += (now - self._at) / self._step_seconds(self.running)
        self._at = now

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._events:
            seconds = max(0.0, self._events[0][0] - self._steps) * self._step_seconds(self.running)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._fire)

    def _fire(self) -> None:
        self._advance()
        while self._events and self._events[0][0] <= self._steps + 1e-6:
            _, _, future, last = heappop(self._events)
            future.set_result(None)
            self.running -= last
        self._fill()
        self._schedule()


class _Job:
    def __init__(self, prefill: float, tokens: int) -> None:
        loop = asyncio.get_running_loop()
        self.prefill = prefill
        self.tokens = tokens
        self.first: asyncio.Future[None] = loop.create_future()
        self.last: asyncio.Future[None] = loop.create_future()


@dataclass(frozen=True)
class Load:
    """Requests of one tenant, arriving by a Poisson process."""

    rate: float
    """A second."""
    tenant: str = "a"
    priority: int = 3
    prompt: tuple[int, int] = (50, 350)
    tokens: tuple[int, int] = (20, 60)
    stream: bool = True
    timeout: float | None = None
    begins: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    load: Load
    arrived: float
    status: int
    first: float = 0.0
    """Seconds from arrival."""
    whole: float = 0.0
    tokens: int = 0
    work: int = 0

    def good(self, config: AdmissionConfig) -> bool:
        """It met the objective of its kind."""
        target = config.ttft_target_ms / 1000
        if self.load.stream:
            return self.status == 200 and self.first <= target
        return self.status == 200 and self.whole <= target + self.tokens * config.token_target_ms / 1000


@dataclass
class Run:
    outcomes: list[Outcome]
    limits: list[tuple[float, int]]
    """Time, limit; ten a second."""
    windows: list[float]
    """When the limiter's windows closed, to a tenth of a second."""
    config: AdmissionConfig
    most_waiting: int
    """In the queue of the admission control."""

    def goodput(self, start: float, end: float, loads: Sequence[Load] | None = None) -> float:
        """Requests a second that met the objective, of those that arrived in this time."""
        good = [
            one
            for one in self.outcomes
            if start <= one.arrived < end and one.good(self.config) and (loads is None or one.load in loads)
        ]
        return len(good) / (end - start)

    def mean_limit(self, start: float, end: float) -> float:
        return fmean(limit for time, limit in self.limits if start <= time < end)

    def after(self, start: float, windows: int) -> float:
        """The time when so many windows have closed since."""
        return [time for time in self.windows if time > start][windows - 1]

    def answered(self, load: Load, start: float = 0.0) -> list[Outcome]:
        return [one for one in self.outcomes if one.load == load and one.status == 200 and one.arrived >= start]


class Simulation:
    """Clients, perhaps admission control, and the engine."""

    def __init__(
        self,
        loads: Iterable[Load],
        seconds: float,
        config: AdmissionConfig | None = None,
        engine: Engine | None = None,
        controlled: bool = True,
        events: Sequence[tuple[float, Callable[[Engine], None]]] = (),
        seed: int = 1,
    ) -> None:
        """`events`: what happens to the engine, and when."""
        self._loads = tuple(loads)
        self._seconds = seconds
        self._config = config or AdmissionConfig()
        self._engine = engine or Engine()
        self._controlled = controlled
        self._events = events
        self._seed = seed
        self._outcomes: list[Outcome] = []
        self._limits: list[tuple[float, int]] = []
        self._windows: list[float] = []
        self._most_waiting = 0

    def run(self) -> Run:
        virtual_time.run(self._run())
        return Run(self._outcomes, self._limits, self._windows, self._config, self._most_waiting)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        jitter = random.Random(self._seed).uniform
        admission = Admission(self._config, loop.time, jitter) if self._controlled else None
        for at, happen in self._events:
            loop.call_at(at, happen, self._engine)
        async with asyncio.TaskGroup() as group:
            for place, load in enumerate(self._loads):
                group.create_task(self._arrivals(group, load, random.Random(100 * self._seed + place), admission))
            if admission is not None:
                group.create_task(self._watch(admission))
        if admission is not None:
            stats = admission.stats()
            assert (stats.in_flight, stats.waiting) == (0, 0)

    async def _arrivals(
        self, group: asyncio.TaskGroup, load: Load, draw: random.Random, admission: Admission | None
    ) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(load.begins)
        while loop.time() < self._seconds:
            await asyncio.sleep(draw.expovariate(load.rate))
            prompt, tokens = draw.randint(*load.prompt), draw.randint(*load.tokens)
            group.create_task(self._request(load, prompt, tokens, admission))

    async def _request(self, load: Load, prompt: int, tokens: int, admission: Admission | None) -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        deadline = None if load.timeout is None else arrived + load.timeout
        try:
            if admission is None:
                first = await self._served(prompt, tokens)
            else:
                async with admission.admit(
                    load.tenant, load.priority, prompt + tokens, deadline, load.stream
                ) as ticket:
                    first = await self._served(prompt, tokens, ticket.first if load.stream else None)
                    ticket.done(tokens)
        except HeadraceError as error:
            self._outcomes.append(Outcome(load, arrived, error.http_status, whole=loop.time() - arrived))
            return
        whole = loop.time() - arrived
        self._outcomes.append(Outcome(load, arrived, 200, first - arrived, whole, tokens, prompt + tokens))

    async def _served(self, prompt: int, tokens: int, came: Callable[[], None] | None = None) -> float:
        job = self._engine.submit(prompt, tokens)
        await job.first
        first = asyncio.get_running_loop().time()
        if came is not None:
            came()
        await job.last
        return first

    async def _watch(self, admission: Admission) -> None:
        loop = asyncio.get_running_loop()
        last = admission._limiter.last
        while loop.time() < self._seconds:
            if admission._limiter.last is not last:
                last = admission._limiter.last
                self._windows.append(loop.time())
            stats = admission.stats()
            self._limits.append((loop.time(), stats.limit))
            self._most_waiting = max(self._most_waiting, stats.waiting)
            await asyncio.sleep(0.1)
