"""From the measurements of the guards to their figures."""

from __future__ import annotations

from perf.findings import Finding
from perf.guard import beside_off, rails_alone, stopped
from perf.records import Run
from perf.statistics import Bound, Estimate, bootstrap, pooled, quantile, ratio, shift


def required(run: Run) -> list[Finding]:
    """Every number that has a bound."""
    p95 = pooled(lambda values: quantile(values, 0.95))
    mean = pooled(lambda values: sum(values) / len(values))
    alone, batches = run.rounds(rails_alone.ALONE, "rails"), run.rounds(rails_alone.BATCHES, "rails")
    return [
        Finding(
            "all built-in rails on 500 characters, alone, p95",
            "s",
            bootstrap([*alone.values()], p95),
            Bound(0.020),
        ),
        Finding(
            "the same in batches of 32, texts a second",
            "texts/s",
            bootstrap([*batches.values()], mean),
            Bound(300, at_least=True),
        ),
        Finding("rate at C=16, windowed over off", "ratio", _rate(run, "windowed"), Bound(0.90, at_least=True)),
        Finding("rate at C=16, buffered over off", "ratio", _rate(run, "buffered"), Bound(0.90, at_least=True)),
        Finding("TTFT added, windowed, C=1, median", "s", _first(run, 1, 0.5), Bound(0.025)),
        Finding("TTFT added, windowed, C=1, p95", "s", _first(run, 1, 0.95), Bound(0.025)),
        Finding("TTFT added, windowed, C=16, median", "s", _first(run, beside_off.MANY, 0.5), Bound(0.025)),
        Finding("blocked stream, until the engine is free, p95", "s", _stop(run, 0), Bound(0.050)),
        Finding("the same beside 8 streams, p95", "s", _stop(run, 8), Bound(0.050)),
    ]


def _rate(run: Run, side: str) -> Estimate:
    on, off = (run.rounds(beside_off.RATE, name) for name in (side, beside_off.OFF))
    return ratio(
        [value for values in on.values() for value in values], [v for values in off.values() for v in values]
    )


def _stop(run: Run, beside: int) -> Estimate:
    rounds = run.rounds(stopped.NAME, stopped.SIDE, background=beside)
    return bootstrap([*rounds.values()], pooled(lambda values: quantile(values, 0.95)))


def _first(run: Run, concurrency: int, share: float) -> Estimate:
    on, off = (
        list(run.rounds(beside_off.FIRST, side, concurrency=concurrency).values())
        for side in ("windowed", beside_off.OFF)
    )
    return shift(on, off, share)
