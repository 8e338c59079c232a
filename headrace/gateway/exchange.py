"""One request from its first check to its record: the one way of all dialects.

Who asks is known already. What the tenant may → the most that it can take is reserved → the cache, a flight with
equal requests, or the engine → its pieces. Whatever happens on the way, what it used is settled and its record is
written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

from headrace.audit.record import CacheState
from headrace.client import Chunk, Question
from headrace.gateway.ask import Ask, Call
from headrace.gateway.cache.key import is_deterministic, key
from headrace.gateway.choice import Choice, Choices, dearest
from headrace.gateway.entry import Entry
from headrace.gateway.ids import new_id
from headrace.gateway.ledger import Ledger
from headrace.gateway.rules import Rules, Terms
from headrace.gateway.running import Running
from headrace.gateway.tenure import Tenure
from headrace.gateway.upstream import Job
from headrace.limits.standing import Standing
from headrace.tenants.identity import Identity
from headrace.tenants.settings import Settings


@dataclass(frozen=True, slots=True)
class Piece:
    index: int
    """Which of the choices."""
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    cost: int
    """Nano units."""


class Exchange:
    """Made by `Exchanges.open`."""

    def __init__(
        self,
        ledger: Ledger,
        entry: Entry,
        ask: Ask,
        terms: Terms,
        standing: Standing,
        choices: list[Choice],
        tenure: Tenure,
    ) -> None:
        self._ledger = ledger
        self._entry = entry
        self._choices = choices
        self._tenure = tenure
        self.ask = ask
        self.terms = terms
        self.standing = standing
        """To the tenant's limits, with all that this request may take."""

    @property
    def cache(self) -> CacheState:
        return dearest([choice.state for choice in self._choices])

    @property
    def is_here(self) -> bool:
        """All of it was in the cache."""
        return self.cache == "hit"

    @property
    def usage(self) -> Usage:
        """So far; the cost once all pieces were read. An answer that was not made for this request has none."""
        return Usage(self.terms.prompt_tokens, self._entry.completion_tokens, self._entry.cost)

    async def pieces(self) -> AsyncGenerator[Piece]:
        """Of all choices, as they come. Raises what the pipeline or Triton says."""
        alone = len(self._choices) == 1
        async with aclosing(_only(self._choices[0]) if alone else _merged(self._choices)) as pieces:
            async for piece in pieces:
                self._entry.came(piece.index, piece.chunk)
                if self.ask.stream and self._tenure.changed:
                    await self._tenure.check()
                yield piece
        await self._ledger.settle(self._entry, self._choices)


class Exchanges:
    def __init__(
        self,
        rules: Rules,
        ledger: Ledger,
        choices: Choices,
        tenure: Callable[[Identity], Tenure],
        model_version: str,
        seconds: float,
    ) -> None:
        """`seconds`: of one request at most."""
        self._rules = rules
        self._tenure = tenure
        self._ledger = ledger
        self._choices = choices
        self._model_version = model_version
        self._seconds = seconds
        self._running = Running()

    def end(self) -> None:
        """Those that still run are told that this process ends."""
        self._running.end()

    @asynccontextmanager
    async def open(
        self, call: Call, who: Callable[[], Awaitable[Identity]], what: Callable[[], Awaitable[Ask]]
    ) -> AsyncIterator[Exchange]:
        """`who` tells who asks, and only then `what` reads what is asked.

        Raises what they and the pipeline say: `Unauthenticated`, `InvalidRequest`, `RateLimited`,
        `DeadlineExceeded`, …
        """
        entry = self._ledger.entry(call)
        latest = asyncio.get_running_loop().time() + self._seconds
        chosen: list[Choice] = []
        try:
            async with asyncio.timeout_at(latest) as limit:
                with self._running.counted(limit):
                    entry.identity = identity = await who()
                    self._ledger.check()
                    entry.ask = ask = await what()
                    if ask.deadline is not None:
                        limit.reschedule(min(ask.deadline, latest))
                    entry.terms = terms = await self._rules.terms(identity.settings, ask)
                    standing = await self._ledger.reserve(entry, identity.settings, terms, ask.choices)
                    jobs = self._jobs(entry, identity.settings, ask, terms, latest)
                    chosen += await self._choices.choose(jobs, terms.policy_version, ask.cache)
                    tenure = self._tenure(identity)
                    yield Exchange(self._ledger, entry, ask, terms, standing, chosen, tenure)
        except TimeoutError:
            entry.error = self._running.late()
            raise entry.error from None
        except BaseException as error:
            entry.error = error
            raise
        finally:
            await self._ledger.close(entry, chosen)
            # Else it and its error's traceback hold each other, and what was read, until the garbage is collected.
            del entry

    def _jobs(
        self, entry: Entry, settings: Settings, ask: Ask, terms: Terms, latest: float
    ) -> list[tuple[Job, bytes | None]]:
        """Of each choice, and its key in the cache."""
        jobs = [
            Job(
                question=_of_choice(terms.question, index),
                request_id=f"{entry.call.request_id}-{new_id(12)}",
                traceparent=entry.call.trace.header,
                tracestate=entry.call.trace.state,
                stream=ask.stream,
                tenant=settings.tenant,
                priority=settings.priority,
                admitted=entry.was_admitted,
                work=terms.prompt_tokens + terms.max_tokens,
                deadline=ask.deadline,
                seconds=self._seconds,
                latest=latest,
            )
            for index in range(ask.choices)
        ]
        return [(job, self._key(job, terms)) for job in jobs]

    def _key(self, job: Job, terms: Terms) -> bytes | None:
        if not is_deterministic(job.question):
            return None
        return key(
            job.question,
            scope=job.question.cache_scope or "",
            model_version=self._model_version,
            policy_version=terms.policy_version,
            whole=not job.stream,
        )


def _of_choice(question: Question, index: int) -> Question:
    """Further choices of a seeded request have seeds of their own, else they would be the first one again."""
    if index == 0 or question.random_seed is None:
        return question
    return replace(question, random_seed=(question.random_seed + index) % 2**64)


async def _only(choice: Choice) -> AsyncGenerator[Piece]:
    async for chunk in choice.chunks:
        yield Piece(0, chunk)


async def _merged(choices: list[Choice]) -> AsyncGenerator[Piece]:
    ready: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()

    async def forward(index: int, choice: Choice) -> None:
        try:
            async for chunk in choice.chunks:
                ready.put_nowait(Piece(index, chunk))
        except Exception as error:  # noqa: BLE001 - told to the reader
            ready.put_nowait(error)
        else:
            ready.put_nowait(None)

    tasks = [asyncio.create_task(forward(index, choice)) for index, choice in enumerate(choices)]
    try:
        left = len(tasks)
        while left:
            match await ready.get():
                case None:
                    left -= 1
                case BaseException() as error:
                    raise error
                case piece:
                    yield piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
