"""The engine's state on Triton's metrics port, next to Triton's own metrics."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import triton_python_backend_utils as pb_utils

from headrace.errors import HeadraceError
from headrace.worker.client import WorkerClient
from headrace.worker.protocol import WorkerStats

INTERVAL_SECONDS = 1.0
SILENT_SECONDS = 5.0
"""A worker that has not answered for so long counts as down."""


class EngineMetrics:
    """Asks the worker every second. Gauges fall to 0 and `headrace_engine_up` with them while it is down."""

    def __init__(self, client: WorkerClient, engine: str) -> None:
        self._client = client
        labels = {"engine": engine}
        gauge, counter = pb_utils.MetricFamily.GAUGE, pb_utils.MetricFamily.COUNTER
        # A family must live as long as its metric.
        self._families: list[Any] = []

        def metric(kind: Any, name: str, help_text: str) -> Any:
            family = pb_utils.MetricFamily(name=f"headrace_engine_{name}", description=help_text, kind=kind)
            self._families.append(family)
            return family.Metric(labels=labels)

        self._up = metric(gauge, "up", "1 while the engine worker answers")
        self._running = metric(gauge, "running_requests", "Requests in the current batch")
        self._waiting = metric(gauge, "waiting_requests", "Requests that wait for a place in the batch")
        self._kv_cache = metric(gauge, "kv_cache_usage_ratio", "Share of the KV cache in use")
        self._tokens = metric(counter, "generated_tokens_total", "Tokens generated")
        self._refused = metric(counter, "refused_requests_total", "Requests not taken: full, invalid or draining")
        self._cancelled = metric(counter, "cancelled_requests_total", "Requests stopped before their end")
        self._seen: dict[Any, int] = {}
        self._worker_started_at: float | None = None
        self._heard_at = time.monotonic()
        self._closed = threading.Event()
        client.on_stats = self._show
        threading.Thread(target=self._run, name="engine-metrics", daemon=True).start()

    def _run(self) -> None:
        while not self._closed.is_set():
            # Before it is asked: the answer to this question must have the last word.
            if time.monotonic() - self._heard_at > SILENT_SECONDS or not self._client.connected:
                for gauge in (self._up, self._running, self._waiting, self._kv_cache):
                    gauge.set(0)
            with contextlib.suppress(HeadraceError):
                self._client.ask_stats()
            self._closed.wait(INTERVAL_SECONDS)

    def _show(self, stats: WorkerStats) -> None:
        self._heard_at = time.monotonic()
        self._up.set(1)
        self._running.set(stats.engine.running)
        self._waiting.set(stats.engine.waiting)
        self._kv_cache.set(stats.engine.kv_cache_usage)
        totals = {
            self._tokens: stats.engine.generated_tokens,
            self._refused: stats.refused,
            self._cancelled: stats.cancelled,
        }
        if self._worker_started_at is None:
            # What the worker did before this server started was counted by the server before it.
            self._seen = totals
        elif stats.started_at != self._worker_started_at:
            self._seen = dict.fromkeys(totals, 0)
        self._worker_started_at = stats.started_at
        for counter, total in totals.items():
            counter.increment(total - self._seen[counter])
        self._seen = totals

    def close(self) -> None:
        self._closed.set()
