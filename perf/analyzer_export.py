"""What perf_analyzer writes with `--profile-export-file`: every request with its times and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from headrace.errors import HeadraceError
from perf.statistics import quantile


class AnalyzerFailed(HeadraceError):
    """perf_analyzer failed, or a request of its load did."""


class _Output(msgspec.Struct, frozen=True):
    finish_reason: str = ""
    completion_tokens: int = 0


class _Request(msgspec.Struct, frozen=True):
    timestamp: int
    """Sent, nanoseconds."""
    response_timestamps: list[int]
    response_outputs: list[_Output]


class _Experiment(msgspec.Struct, frozen=True):
    requests: list[_Request]


class _Export(msgspec.Struct, frozen=True):
    experiments: list[_Experiment]


@dataclass(frozen=True)
class Summary:
    """One run of perf_analyzer. Times in milliseconds."""

    profile: str
    concurrency: int
    requests: int
    requests_per_second: float
    tokens_per_second: float
    first_p50_ms: float
    """Until the first response."""
    first_p95_ms: float
    answer_p50_ms: float
    """Until the last response."""
    answer_p95_ms: float


def summarise(export: Path, profile: str, concurrency: int, expected: int, tokens: int) -> Summary:
    """Raises `AnalyzerFailed` unless `expected` requests were each answered with `tokens` tokens."""
    try:
        experiments = msgspec.json.decode(export.read_bytes(), type=_Export).experiments
    except (OSError, msgspec.MsgspecError) as error:
        raise AnalyzerFailed(f"{profile}: perf_analyzer wrote no usable export: {error}") from None
    requests = [request for experiment in experiments for request in experiment.requests]
    if len(requests) < expected:
        raise AnalyzerFailed(f"{profile}: {len(requests)} of {expected} requests were answered")
    for request in requests:
        _check(request, profile, tokens)
    first = [(r.response_timestamps[0] - r.timestamp) / 1e6 for r in requests]
    answer = [(r.response_timestamps[-1] - r.timestamp) / 1e6 for r in requests]
    seconds = (max(r.response_timestamps[-1] for r in requests) - min(r.timestamp for r in requests)) / 1e9
    return Summary(
        profile=profile,
        concurrency=concurrency,
        requests=len(requests),
        requests_per_second=len(requests) / seconds,
        tokens_per_second=sum(r.response_outputs[-1].completion_tokens for r in requests) / seconds,
        first_p50_ms=quantile(first, 0.5),
        first_p95_ms=quantile(first, 0.95),
        answer_p50_ms=quantile(answer, 0.5),
        answer_p95_ms=quantile(answer, 0.95),
    )


def _check(request: _Request, profile: str, tokens: int) -> None:
    if not request.response_timestamps or not request.response_outputs:
        raise AnalyzerFailed(f"{profile}: a request got no response")
    last = request.response_outputs[-1]
    if (last.finish_reason, last.completion_tokens) != ("length", tokens):
        found = f"{last.completion_tokens} tokens and finish_reason {last.finish_reason!r}"
        raise AnalyzerFailed(f"{profile}: expected {tokens} tokens and 'length', an answer had {found}")
