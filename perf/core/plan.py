"""How much is measured. Every load is bounded in count here and in time where it runs."""

from __future__ import annotations

from dataclasses import dataclass

PROMPT_TOKENS = 241
NEW_TOKENS = 64
CONCURRENCIES = (1, 8, 16)
POLICIES = (1, 2, 4, 8, 16)
"""Tokens in one response, at most."""
STEP_SIZES = (64, 128, 256, 512)
"""Tokens that a step of the engine may compute."""


@dataclass(frozen=True)
class Plan:
    """Counts of one round."""

    rounds: int = 7
    throughput_rounds: int = 16
    """Two rates of one round differ by some 10 %: for a ratio to 2 % it takes many."""
    batches: int = 2
    """Requests for each place of a closed loop."""
    single_requests: int = 4
    """At concurrency 1."""
    first_tokens: int = 40
    cache_hits: int = 1000
    cancels: int = 10
    mock_streams: int = 64
    mock_requests: int = 400
    policy_rounds: int = 3
    """Each policy needs a start of the stack, so these are fewer."""


QUICK = Plan(
    rounds=2,
    throughput_rounds=2,
    batches=1,
    single_requests=2,
    first_tokens=5,
    cache_hits=200,
    cancels=3,
    mock_streams=16,
    mock_requests=100,
    policy_rounds=1,
)
