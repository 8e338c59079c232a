"""From the measurements of a run to its figures: each with an interval, some with a bound to keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from perf.core import cache_hits, cancel, coalescing, first_token, footprint, path, step_size, throughput
from perf.core.plan import CONCURRENCIES
from perf.records import Run
from perf.statistics import Bound, Estimate, Values, Verdict, bootstrap, pooled, quantile, ratio, shift

Rounds = dict[int, list[float]]


@dataclass(frozen=True)
class Finding:
    title: str
    unit: str
    """`ratio`, `s`, `bytes`, `tokens/s`, `share` …"""
    estimate: Estimate
    bound: Bound | None = None

    @property
    def verdict(self) -> Verdict | None:
        return None if self.bound is None else self.bound.judge(self.estimate)


def required(run: Run) -> list[Finding]:
    """Every number that has a bound, as far as it was measured."""
    found: list[Finding | None] = []
    found += [_against_bare(run, "platform", c, Bound(0.92, limit=0.85, at_least=True)) for c in (8, 16)]
    found += [
        _added_first_token(run, "TTFT added by the platform, C=1: p95 minus p95", "platform", 0.95, Bound(0.010)),
        _added_first_token(
            run, "TTFT added by the platform, C=1: median minus median", "platform", 0.5, Bound(0.010)
        ),
        _batching_gain(run, "platform", Bound(3.0, at_least=True)),
        _batching_gain(run, "bare", Bound(3.0, at_least=True)),
    ]
    for model, most in zip(cache_hits.MODELS, (0.001, 0.002), strict=True):
        rounds = run.rounds(cache_hits.NAME, model)
        found.append(_of(f"cache hit on `{model}`, p95", "s", rounds, _p95, Bound(most)))
    for way in cancel.WAYS:
        for streams in cancel.BACKGROUND:
            title = f"cancel by {way}, " + (f"beside {streams} streams" if streams else "alone")
            rounds = run.rounds(cancel.NAME, way, background=streams)
            found.append(_of(f"{title}, p95", "s", rounds, _p95, Bound(0.050, limit=0.150)))
            found.append(_worst(title, "s", rounds, Bound(0.150)))
    memory = run.rounds(footprint.MEMORY, "platform")
    found.append(_worst("memory of the whole stack at C=16", "bytes", memory, Bound(2.5e9)))
    starts = _each_alone(run.rounds(footprint.START, "platform"))
    found.append(_worst("start to first answer", "s", starts, Bound(20.0)))
    return [finding for finding in found if finding is not None]


def informative(run: Run) -> list[Finding]:
    """What helps to read the required numbers."""
    found = [
        _against_bare(run, "platform", 1),
        *(_against_bare(run, "engine class", c) for c in CONCURRENCIES),
        _added_first_token(run, "TTFT added by the engine class, C=1: median minus median", "engine class", 0.5),
        _added_first_token(run, "TTFT added by the engine class, C=1: p95 minus p95", "engine class", 0.95),
        _prompt_by_prompt(run, "TTFT of the platform minus the bare engine's, prompt by prompt, p95", "platform"),
        _prompt_by_prompt(run, "the same of the engine class: mostly noise", "engine class"),
    ]
    found += [
        _of(f"TTFT {side}, C=1, p95", "s", run.rounds(first_token.NAME, side), _p95)
        for side in ("platform", "bare")
    ]
    for streams in cancel.BACKGROUND:
        rounds = run.rounds(cancel.ANSWERED, cancel.WAYS[0], background=streams)
        found.append(_of(f"stop request to the stream's last response, beside {streams}, p95", "s", rounds, _p95))
    for concurrency in path.CONCURRENCIES:
        rounds = run.rounds(path.NAME, "assistant", concurrency=concurrency)
        found.append(_of(f"`assistant` with a mock engine, C={concurrency}, p50", "s", rounds, _median))
        found.append(_of(f"`assistant` with a mock engine, C={concurrency}, p95", "s", rounds, _p95))
    rounds = run.rounds(path.FIRST, "assistant_stream")
    found.append(_of("TTFT of `assistant_stream` with a mock engine, C=1, p50", "s", rounds, _median))
    found.append(_of("TTFT of `assistant_stream` with a mock engine, C=1, p95", "s", rounds, _p95))
    found += [
        _of(f"CPU of the {side} while another side ran, largest share of a core", "share", rounds, max)
        for side in ("platform", "bare", "engine class")
        if (rounds := run.rounds(throughput.IDLE, side))
    ]
    return [finding for finding in found if finding is not None]


def rates(run: Run) -> dict[str, dict[int, Estimate]]:
    """Side → concurrency → tokens/s, for those that were measured."""
    return {
        side: {
            c: _estimate(rounds, _mean)
            for c in CONCURRENCIES
            if (rounds := run.rounds(throughput.NAME, side, concurrency=c))
        }
        for side in ("platform", "engine class", "bare")
    }


@dataclass(frozen=True)
class PolicyFinding:
    """What one coalescing policy did."""

    engine: str
    most_tokens: int
    rate: Estimate
    responses: Estimate
    first_token: Estimate
    """Median, seconds."""


def policies(run: Run, engine: str) -> list[PolicyFinding]:
    """`engine`: `mock`, where the path is the limit, or `engine`."""
    found = []
    for policy in run.conditions(coalescing.RATE, "policy"):
        rate = run.rounds(coalescing.RATE, engine, policy=policy)
        if not rate:
            continue
        responses = run.rounds(coalescing.RESPONSES, engine, policy=policy)
        first = run.rounds(coalescing.FIRST, engine, policy=policy)
        estimates = _estimate(rate, _mean), _estimate(responses, _mean), _estimate(first, _median)
        found.append(PolicyFinding(engine, int(policy), *estimates))
    return found


@dataclass(frozen=True)
class StepFinding:
    """What one limit of the tokens in a step did."""

    size: int
    rate: Estimate
    wait: Estimate
    """Seconds until the running step ends, from any moment: 95 % of the moments wait less."""
    longest: float
    """Step, seconds."""


def steps(run: Run) -> list[StepFinding]:
    found = []
    for size in sorted(map(int, run.conditions(step_size.RATE, "size"))):
        rate = _estimate(run.rounds(step_size.RATE, "bare", size=size), _mean)
        times = run.rounds(step_size.STEP, "bare", size=size)
        longest = max(max(values) for values in times.values())
        found.append(StepFinding(size, rate, _estimate(times, _p95_wait), longest))
    return found


def _against_bare(run: Run, side: str, concurrency: int, bound: Bound | None = None) -> Finding | None:
    ours = run.rounds(throughput.NAME, side, concurrency=concurrency)
    bare = run.rounds(throughput.NAME, "bare", concurrency=concurrency)
    return _ratio(f"{side} / bare engine, tokens/s, C={concurrency}", ours, bare, bound)


def _batching_gain(run: Run, side: str, bound: Bound) -> Finding | None:
    """Eight at a time against one at a time."""
    many, one = (run.rounds(throughput.NAME, side, concurrency=c) for c in (8, 1))
    return _ratio(f"{side}: tokens/s of C=8 / one request at a time", many, one, bound)


def _ratio(title: str, above: Rounds, below: Rounds, bound: Bound | None) -> Finding | None:
    both = sorted(above.keys() & below.keys())
    if not both:
        return None
    values = ratio([_mean(above[n]) for n in both], [_mean(below[n]) for n in both])
    return Finding(title, "ratio", values, bound)


def _added_first_token(
    run: Run, title: str, side: str, share: float, bound: Bound | None = None
) -> Finding | None:
    """This side's quantile minus the bare engine's."""
    ours, bare = run.rounds(first_token.NAME, side), run.rounds(first_token.NAME, "bare")
    both = sorted(ours.keys() & bare.keys())
    if not both:
        return None
    return Finding(title, "s", shift([ours[n] for n in both], [bare[n] for n in both], share), bound)


def _prompt_by_prompt(run: Run, title: str, side: str) -> Finding | None:
    """Of one prompt's times, a few seconds apart: what the machine did meanwhile is in it."""
    ours, bare = run.rounds(first_token.NAME, side), run.rounds(first_token.NAME, "bare")
    added = {n: [a - b for a, b in zip(ours[n], bare[n], strict=True)] for n in ours.keys() & bare.keys()}
    return _of(title, "s", added, _p95)


def _of(
    title: str, unit: str, rounds: Rounds, statistic: Callable[[Values], float], bound: Bound | None = None
) -> Finding | None:
    return Finding(title, unit, _estimate(rounds, statistic), bound) if rounds else None


def _worst(title: str, unit: str, rounds: Rounds, bound: Bound) -> Finding | None:
    """The worst value that was seen, with how many were looked at: resampling cannot tell of a worse one."""
    if not rounds:
        return None
    values = [value for found in rounds.values() for value in found]
    return Finding(f"{title}, worst of {len(values)}", unit, Estimate.exact(max(values), len(rounds)), bound)


def _estimate(rounds: Rounds, statistic: Callable[[Values], float]) -> Estimate:
    return bootstrap([rounds[number] for number in sorted(rounds)], pooled(statistic))


def _each_alone(rounds: Rounds) -> Rounds:
    """For values that share nothing with others of their round."""
    return dict(enumerate([value] for values in rounds.values() for value in values))


def _mean(values: Values) -> float:
    return sum(values) / len(values)


def _median(values: Values) -> float:
    return quantile(values, 0.5)


def _p95(values: Values) -> float:
    return quantile(values, 0.95)


def _p95_wait(steps: Values) -> float:
    """From a moment drawn evenly to the end of the step that it falls into. Of a step of length s, the moments
    that wait longer than w are s - w: so w is where these add up to 5 % of all."""
    low, high, share = 0.0, max(steps), 0.05 * sum(steps)
    for _ in range(40):
        middle = (low + high) / 2
        longer = sum(step - middle for step in steps if step > middle)
        low, high = (middle, high) if longer > share else (low, middle)
    return high
