"""What the store of the limits could not do, counted for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from headrace.limits.model import Reservation, Used


class LimitMetrics:
    """An `Observer` of a store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, says: str) -> Counter:
            return Counter(f"headrace_gateway_limit_store_{name}", says, registry=registry)

        self._failures = counter("failures", "Calls of the limit store that had no answer, or were not even tried")
        self._uncounted = counter("uncounted", "Requests that were let in although the limit store did not answer")
        self._dropped = counter("dropped_settles", "Settles that will never reach the limit store")

    def store_failed(self) -> None:
        self._failures.inc()

    def admitted_uncounted(self) -> None:
        self._uncounted.inc()

    def settle_dropped(self, reservation: Reservation, used: Used) -> None:
        self._dropped.inc()
