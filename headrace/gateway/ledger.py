"""What a request takes and what is written of it: reserved before, settled and recorded after, in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from msgspec import UNSET

from headrace.audit.errors import AuditUnavailable
from headrace.audit.record import AuditRecord, Latency, timestamp
from headrace.audit.writer import AuditLog
from headrace.cost.prices import Price
from headrace.gateway.ask import Call
from headrace.gateway.cache.flights import Owed
from headrace.gateway.choice import Choice, dearest
from headrace.gateway.entry import Entry
from headrace.gateway.rules import PUBLIC, Terms
from headrace.guard.record import TextHash
from headrace.limits.model import Limits, LimitStore, Used, Wanted
from headrace.limits.standing import Standing
from headrace.tenants.settings import Settings

log = structlog.get_logger()


class Ledger:
    def __init__(
        self,
        limits: LimitStore,
        audit: AuditLog,
        price: Price,
        currency: str,
        model_version: str,
        hash_key: bytes | None,
        lease_seconds: float,
        unrecorded: bool,
        observe: Callable[[Entry], None],
    ) -> None:
        """`unrecorded`: serve although nothing can be recorded. `observe` is told every request that has ended."""
        self._limits = limits
        self._audit = audit
        self._price = price
        self._currency = currency
        self._model_version = model_version
        self._hash_key = hash_key
        self._renew_seconds = lease_seconds / 3
        self._unrecorded = unrecorded
        self._observe = observe
        self._closing: set[asyncio.Task[None]] = set()

    def entry(self, call: Call) -> Entry:
        return Entry(call, asyncio.get_running_loop().time(), datetime.now(UTC))

    def check(self) -> None:
        """Raises `AuditUnavailable` when what would be served could not be recorded."""
        if not self._unrecorded and (problem := self._audit.problem):
            raise AuditUnavailable(problem)

    async def reserve(self, entry: Entry, settings: Settings, terms: Terms, choices: int) -> Standing:
        """The most that it can take. Raises `RateLimited`, `BudgetSpent`, `Unavailable`."""
        answers = choices * terms.max_tokens
        wanted = Wanted(terms.prompt_tokens + answers, self._price.of(terms.prompt_tokens, answers), choices)
        entry.reservation = await self._limits.reserve(settings.tenant, _limits(settings), wanted)
        self._renew_later(entry)
        return entry.reservation.standing

    def _renew_later(self, entry: Entry) -> None:
        """What runs for longer than a lease keeps its place and its money."""
        entry.renewal = asyncio.get_running_loop().call_later(self._renew_seconds, self._renew, entry)

    def _renew(self, entry: Entry) -> None:
        if entry.reservation is not None:
            self._kept(self._limits.renew(entry.reservation))
            self._renew_later(entry)

    async def settle(self, entry: Entry, choices: Sequence[Choice]) -> None:
        """What it took, and no more. Once, and to the end, even if who asked is cancelled meanwhile."""
        if entry.settling is None:
            entry.settling = self._kept(self._settle(entry, choices))
        await asyncio.shield(entry.settling)

    async def _settle(self, entry: Entry, choices: Sequence[Choice]) -> None:
        if entry.renewal is not None:
            entry.renewal.cancel()
        owed = await _closed(entry, choices)
        entry.cache = tuple(choice.state for choice in choices)
        tokens = sum(one.tokens for one in owed)
        prompt_tokens = entry.terms.prompt_tokens if entry.terms and any(one.prompt for one in owed) else 0
        entry.billed_prompt_tokens, entry.billed_completion_tokens = prompt_tokens, tokens
        entry.cost = self._price.of(prompt_tokens, tokens)
        if entry.reservation is not None:
            await self._limits.settle(entry.reservation, Used(prompt_tokens + tokens, entry.cost))

    async def close(self, entry: Entry, choices: Sequence[Choice]) -> None:
        """Settles and records it, even if who asked is cancelled meanwhile."""
        if entry.settling is not None and entry.settling.done():
            await self._close(entry, choices)  # which is cancelled without harm: the record is handed over at once
        else:
            await asyncio.shield(self._kept(self._close(entry, choices)))

    async def drained(self) -> None:
        """Waits for what is being closed."""
        while self._closing:
            await asyncio.wait(set(self._closing))

    def _kept(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def _close(self, entry: Entry, choices: Sequence[Choice]) -> None:
        try:
            await self.settle(entry, choices)
        finally:
            self._observe(entry)
            await self._write(entry)

    async def _write(self, entry: Entry) -> None:
        """Its end waits for its record only if that has to be on disk first."""
        unwritten = partial(_unwritten, entry.call.request_id)
        try:
            written = await self._audit.begin(self._record(entry), unwritten)
        except AuditUnavailable as error:
            unwritten(error)
        else:
            if self._audit.is_durable:
                await asyncio.wait((written,))  # who is cancelled meanwhile leaves it as it is

    def _record(self, entry: Entry) -> AuditRecord:
        call, terms, identity = entry.call, entry.terms, entry.identity
        ended = asyncio.get_running_loop().time()
        told = identity is not None and identity.settings.store_text
        wanted = told or self._hash_key is not None
        prompt = terms.conversation.as_prompt() if wanted and terms is not None else None
        answer = "\0".join(entry.answer) if wanted and entry.texts else None
        return AuditRecord(
            time=timestamp(entry.at),
            request_id=call.request_id,
            trace_id=call.trace.trace_id,
            tenant=identity.tenant if identity is not None else None,
            key_id=identity.subject or None if identity is not None else None,
            dialect=call.dialect,
            operation=call.operation,
            model=PUBLIC,
            model_version=self._model_version,
            policy=terms.policy if terms is not None else None,
            policy_version=terms.policy_version if terms is not None else None,
            prompt_tokens=terms.prompt_tokens if terms is not None else 0,
            completion_tokens=entry.completion_tokens,
            cost=entry.cost,
            currency=self._currency,
            guard=entry.guard,
            cache=dearest(entry.cache),
            latency_ms=Latency(
                queue=_ms(entry.began, entry.admitted),
                first_token=_ms(entry.began, entry.first),
                total=_ms(entry.began, ended),
            ),
            outcome=entry.outcome,
            status=entry.status,
            finish_reason=entry.finish_reason,
            error=type(entry.error).__name__ if entry.error is not None else None,
            prompt_hmac=self._hashed(prompt),
            answer_hmac=self._hashed(answer),
            prompt=prompt if told and prompt is not None else UNSET,
            answer=answer if told and answer is not None else UNSET,
        )

    def _hashed(self, text: str | None) -> str | None:
        if text is None or self._hash_key is None:
            return None
        found = TextHash(self._hash_key)
        found.add(text)
        return found.hex


def _unwritten(request_id: str, error: BaseException) -> None:
    log.critical("not in the audit log", request_id=request_id, problem=str(error))


async def _closed(entry: Entry, choices: Sequence[Choice]) -> list[Owed]:
    """What is owed for each; one that fails to close does not keep the others from it."""
    closing = [_tried(entry, choice) for choice in choices]
    closed = [await closing[0]] if len(closing) == 1 else await asyncio.gather(*closing)
    return [owed for owed in closed if owed is not None]


async def _tried(entry: Entry, choice: Choice) -> Owed | None:
    try:
        return await choice.close(entry.abandoned)
    except Exception:
        log.exception("a choice did not close", request_id=entry.call.request_id)
        return None


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.requests_per_minute,
        settings.tokens_per_minute,
        settings.concurrent_requests,
        settings.budgets,
    )


def _ms(began: float, ended: float | None) -> float | None:
    return None if ended is None else round((ended - began) * 1000, 3)
