"""From the measurements of the gateway to their figures, as far as they were made."""

from __future__ import annotations

from collections.abc import Callable

from perf.findings import Finding, Rounds
from perf.gateway import added, capacity, engine, hits, leaving, open_streams, overload
from perf.gateway.ways import DOORS, TRITON
from perf.records import Run
from perf.statistics import Bound, Estimate, Values, bootstrap, pooled, quantile, ratio, shift

_MEDIAN, _HIGH = 0.5, 0.95


def required(run: Run) -> list[Finding]:
    """Every number that has a bound."""
    found: list[Finding | None] = []
    for door in DOORS:
        found += [
            _added(run, added.WHOLE, "added to a whole answer", door, _MEDIAN, 0.0015),
            _added(run, added.WHOLE, "added to a whole answer", door, _HIGH, 0.004),
            _added(run, added.FIRST, "TTFT added", door, _MEDIAN, 0.004),
            _added(run, added.FIRST, "TTFT added", door, _HIGH, 0.004),
        ]
    for door in DOORS:
        found += [
            _of(f"{door}: chunks/s of one process", "chunks/s", run.rounds(capacity.CHUNKS, door), _mean, 10_000),
            _of(f"{door}: tokens/s of one process", "tokens/s", run.rounds(capacity.TOKENS, door), _mean, 60_000),
        ]
    times = run.rounds(hits.TIME, "gateway", concurrency=hits.SOME)
    rates = run.rounds(hits.RATE, "gateway", concurrency=hits.MANY)
    found += [
        _of(f"cache hit, C={hits.SOME}, p95", "s", times, _p95, most=0.002),
        _of(f"cache hits a second, C={hits.MANY}", "requests/s", rates, _mean, 3000),
        _memory(run),
        _goodput(run),
        *(
            _of(
                f"{door}: client left until the engine is free, p95",
                "s",
                run.rounds(leaving.NAME, door),
                _p95,
                most=0.05,
            )
            for door in DOORS
        ),
        *(_against_bare(run, door, c, Bound(0.90, at_least=True)) for c in engine.CONCURRENCIES for door in DOORS),
    ]
    return [finding for finding in found if finding is not None]


def informative(run: Run) -> list[Finding]:
    """What helps to read them."""
    alone = run.rounds(hits.TIME, "gateway", concurrency=hits.ONE)
    found = [
        _of(f"cache hit, C={hits.ONE}, median", "s", alone, _median),
        _of(
            "whole answer beyond the engine's time, Triton itself, median",
            "s",
            run.rounds(added.WHOLE, TRITON),
            _median,
        ),
        _of("first text, Triton itself, median", "s", run.rounds(added.FIRST, TRITON), _median),
        *(_against_bare(run, TRITON, concurrency) for concurrency in engine.CONCURRENCIES),
    ]
    return [finding for finding in found if finding is not None]


def _of(
    title: str,
    unit: str,
    rounds: Rounds,
    statistic: Callable[[Values], float],
    least: float | None = None,
    most: float | None = None,
) -> Finding | None:
    if not rounds:
        return None
    bound = Bound(least, at_least=True) if least is not None else Bound(most) if most is not None else None
    return Finding(title, unit, bootstrap([rounds[n] for n in sorted(rounds)], pooled(statistic)), bound)


def _added(run: Run, name: str, title: str, door: str, share: float, most: float) -> Finding | None:
    """The door's quantile minus Triton's own."""
    ours, theirs = run.rounds(name, door), run.rounds(name, TRITON)
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None
    estimate = shift([ours[n] for n in both], [theirs[n] for n in both], share)
    at = "median" if share == _MEDIAN else f"p{share * 100:.0f}"
    return Finding(f"{title}, {door}, C={added.CONCURRENCY}, {at}", "s", estimate, Bound(most))


def _memory(run: Run) -> Finding | None:
    rounds = run.rounds(open_streams.FULL, "gateway")
    if not rounds:
        return None
    sizes = [value for values in rounds.values() for value in values]
    title = f"memory with {open_streams.STREAMS} open streams, worst of {len(sizes)}"
    return Finding(title, "bytes", Estimate.exact(max(sizes), len(sizes)), Bound(200e6))


def _goodput(run: Run) -> Finding | None:
    """Of the highest load against the best one, by round."""
    rounds = {load: run.rounds(overload.GOOD, "gateway", load=load) for load in overload.LOADS}
    every = sorted(set.intersection(*(set(found) for found in rounds.values())))
    if not every:
        return None
    highest = rounds[overload.LOADS[-1]]
    peak = max(rounds, key=lambda load: _mean([rounds[load][number][0] for number in every]))
    estimate = ratio([highest[n][0] for n in every], [rounds[peak][n][0] for n in every])
    title = f"goodput at {overload.LOADS[-1]:g} times capacity / at its peak ({peak:g})"
    return Finding(title, "ratio", estimate, Bound(0.90, at_least=True))


def _against_bare(run: Run, side: str, concurrency: int, bound: Bound | None = None) -> Finding | None:
    ours = run.rounds(engine.NAME, side, concurrency=concurrency)
    bare = run.rounds(engine.NAME, engine.BARE, concurrency=concurrency)
    both = sorted(ours.keys() & bare.keys())
    if not both:
        return None
    estimate = ratio([ours[n][0] for n in both], [bare[n][0] for n in both])
    return Finding(f"{side} / bare engine, tokens/s, C={concurrency}", "ratio", estimate, bound)


def _mean(values: Values) -> float:
    return sum(values) / len(values)


def _median(values: Values) -> float:
    return quantile(values, _MEDIAN)


def _p95(values: Values) -> float:
    return quantile(values, _HIGH)
