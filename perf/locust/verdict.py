"""Whether a load went well: what `--max-error-ratio` and `--max-ttft-ms` say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a whole load."""

    ended: int
    """Requests that were let in, failed ones among them."""
    failed: int
    ttft_p95_ms: float | None
    """All tenants' together; None when no answer was made."""
    error: str
    """The most common one."""


@dataclass(frozen=True, slots=True)
class Limits:
    error_ratio: float
    """Of the requests that were let in."""
    ttft_ms: float
    """For P95."""


def problems(figures: Figures, limits: Limits) -> list[str]:
    """None when all went well."""
    if figures.ended == figures.failed:
        return [f"no answer came; {figures.error or 'every request was refused with 429, or none was sent'}"]
    found = []
    if figures.failed > limits.error_ratio * figures.ended:
        counts = f"{figures.failed} of {figures.ended} requests failed, at most {limits.error_ratio:.2%} may"
        found.append(f"{counts}; most often: {figures.error}")
    if figures.ttft_p95_ms is not None and figures.ttft_p95_ms > limits.ttft_ms:
        found.append(f"P95 of TTFT is {figures.ttft_p95_ms:.0f} ms, at most {limits.ttft_ms:g} ms are wanted")
    return found
