"""What the gateway counts, for Prometheus: one registry, and few labels (dialects, known tenants, outcomes)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.admission import Admission
from headrace.audit.record import CacheState
from headrace.audit.writer import AuditLog
from headrace.client import PUBLIC_MODELS, STREAM_MODEL, UNARY_MODEL
from headrace.gateway.cache.store import AnswerCache
from headrace.gateway.circuit import Circuit
from headrace.gateway.entry import Entry
from headrace.gateway.recent import RecentLatency

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2, 4, 8, 15, 30, 60, 120, 300)
disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series began is no use to anybody, and doubles the page
_NOBODY = "unknown"
"""The tenant of who could not be told."""


@dataclass(slots=True)
class Hits:
    """Answers for which Triton was not asked: those of the cache, and of somebody else's flight."""

    count: int = 0
    seconds: float = 0.0

    def add(self, states: Sequence[CacheState], seconds: float) -> None:
        """A request of so many choices; how long some of them took that waited for others nobody knows."""
        found = sum(state in {"hit", "join"} for state in states)
        self.count += found
        if found == len(states):
            self.seconds += seconds


class _Refusals(Collector):
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        found = CounterMetricFamily("headrace_gateway_refusals", "Answers not let in", labels=["reason"])
        for reason, times in self._admission.stats().refused.items():
            found.add_metric([reason], times)
        yield found


class Metrics:
    def __init__(self, currency: str) -> None:
        self.registry = CollectorRegistry()
        self.hits = {model: Hits() for model in PUBLIC_MODELS}
        self._requests = self._counter(
            "requests", "Requests by outcome", ("tenant", "dialect", "operation", "outcome")
        )
        self._tokens = self._counter("tokens", "Tokens that were billed", ("tenant", "kind"))
        self._cost = self._counter("cost", f"Money that answers cost, in {currency}", ("tenant",))
        self._cache = self._counter("cache", "Answers by where they came from", ("state",))
        self._queue = self._histogram("queue_seconds", "From arrival until the engine took it")
        self._first = self._histogram("first_token_seconds", "From arrival to the first text of a stream")
        self._whole = self._histogram("request_seconds", "From arrival to the end of an answer")
        self.recent = RecentLatency()

    def watch(self, admission: Admission, cache: AnswerCache, circuit: Circuit) -> None:
        """Shows what they say of themselves whenever somebody looks."""
        self._gauge("concurrency_limit", "Requests that may be in Triton at once", lambda: admission.stats().limit)
        self._gauge("in_flight", "Requests in Triton", lambda: admission.stats().in_flight)
        self._gauge("waiting", "Requests that wait for a place", lambda: admission.stats().waiting)
        self._gauge("p95_ratio", "P95 of observed over objective", lambda: admission.stats().p95_ratio)
        self.registry.register(_Refusals(admission))
        self._gauge("cached_answers", "Answers in the cache", lambda: len(cache))
        self._gauge("cached_bytes", "Bytes of the answers in the cache", lambda: cache.bytes)
        self._gauge(
            "circuit_open",
            "1 while requests fail at once because Triton is away",
            lambda: circuit.state != "closed",
        )

    def watch_audit(self, audit: AuditLog) -> None:
        self._gauge("audit_writable", "1 while the audit log can be written", lambda: audit.problem is None)

    def observe(self, entry: Entry) -> None:
        """A request that has ended."""
        tenant = entry.identity.tenant if entry.identity is not None else _NOBODY
        call = entry.call
        self._requests.labels(tenant, call.dialect, call.operation, entry.outcome).inc()
        if entry.reservation is None:
            return
        self._tokens.labels(tenant, "prompt").inc(entry.billed_prompt_tokens)
        self._tokens.labels(tenant, "completion").inc(entry.billed_completion_tokens)
        self._cost.labels(tenant).inc(entry.cost / 1e9)
        for state in entry.cache:
            self._cache.labels(state).inc()
        if entry.admitted is not None:
            self._queue.labels(call.dialect).observe(entry.admitted - entry.began)
        first = None
        if entry.first is not None and entry.ask is not None and entry.ask.stream:
            first = entry.first - entry.began
            self._first.labels(call.dialect).observe(first)
        if entry.error is None:
            whole = asyncio.get_running_loop().time() - entry.began
            self._whole.labels(call.dialect).observe(whole)
            self.recent.add(first, whole)
            if entry.ask is not None:
                self.hits[STREAM_MODEL if entry.ask.stream else UNARY_MODEL].add(entry.cache, whole)

    def page(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, says: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"headrace_gateway_{name}", says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str) -> Histogram:
        return Histogram(f"headrace_gateway_{name}", says, ("dialect",), buckets=_SECONDS, registry=self.registry)

    def _gauge(self, name: str, says: str, value: Callable[[], float]) -> None:
        Gauge(f"headrace_gateway_{name}", says, registry=self.registry).set_function(value)
