"""The way to Triton: one choice of one request, let in when there is a place, stopped when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from headrace.admission.admission import SHORTEST_RETRY, Admission
from headrace.admission.ticket import Ticket
from headrace.client import Chunk, Client, Question
from headrace.errors import DeadlineExceeded, HeadraceError, Overloaded, QueueFull, RequestCancelled, Unavailable
from headrace.gateway.circuit import Circuit


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    question: Question
    """As Triton gets it."""
    request_id: str
    """No other one has it: by it the engine's work is stopped."""
    traceparent: str
    """W3C's trace context, for Triton."""
    tracestate: str = ""
    stream: bool
    tenant: str
    priority: int
    admitted: Callable[[], None]
    """Told when it has its place in the engine."""
    work: int
    """Tokens of the prompt, and at most of the answer."""
    deadline: float | None
    """On the event loop's clock."""
    seconds: float
    """At most, whatever the deadline."""
    latest: float
    """When this gateway waits no longer, whatever the deadline; on the event loop's clock."""


class Upstream:
    def __init__(self, client: Client, admission: Admission, circuit: Circuit) -> None:
        self._client = client
        self._admission = admission
        self._circuit = circuit

    def check(self, job: Job, places: int) -> None:
        """Before jobs like this one that take so many places: raises `Overloaded` if not all can have one."""
        if places > 1:
            self._admission.check(job.tenant, job.priority, job.work, places)

    async def run(self, job: Job, began: Callable[[], None], came: Callable[[Chunk], None]) -> None:
        """`came` is given the chunks of a stream, or one that is the whole answer; `began` is called before, when
        it has its place in the engine. Returns after the last chunk.

        Raises `Overloaded`, `DeadlineExceeded`, `Unavailable`, and what the steps in Triton say.
        """
        self._circuit.check()
        admitted = False
        try:
            async with self._admission.admit(
                job.tenant, job.priority, job.work, job.deadline, stream=job.stream
            ) as ticket:
                admitted = True
                job.admitted()
                began()
                await self._answer(job, ticket, came)
        finally:
            if not admitted:
                self._circuit.unknown()

    async def _answer(self, job: Job, ticket: Ticket, came: Callable[[Chunk], None]) -> None:
        """Tells the circuit, as soon as it is known, whether Triton is there."""
        told = False

        def take(chunk: Chunk) -> None:
            nonlocal told
            if not told:
                told = True
                self._circuit.succeeded()
                if job.stream:
                    ticket.first()
            if chunk.finish_reason is not None:
                ticket.done(chunk.completion_tokens or 0)
            came(chunk)

        try:
            await self._ask(job, take)
        except Unavailable as error:
            told = True
            if isinstance(error, QueueFull):
                self._circuit.succeeded()
                ticket.done(0, ok=False)
                raise Overloaded(str(error), SHORTEST_RETRY) from None
            self._circuit.failed()
            raise
        except (DeadlineExceeded, RequestCancelled):
            raise
        except HeadraceError:
            told = True
            self._circuit.succeeded()  # it answered, if only to say no
            raise
        finally:
            if not told:
                self._give_up(job)

    def _give_up(self, job: Job) -> None:
        """Without a word from Triton: it hangs, if not only the client's patience has ended."""
        if asyncio.get_running_loop().time() >= job.latest:
            self._circuit.failed()
        else:
            self._circuit.unknown()

    async def _ask(self, job: Job, came: Callable[[Chunk], None]) -> None:
        trace = job.traceparent, job.tracestate
        if job.stream:
            await self._client.receive(job.question, came, job.request_id, *trace)
        else:
            came(await self._client.answer(job.question, job.seconds, job.request_id, *trace))
