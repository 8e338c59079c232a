"""What is taken of a tenant's limits at one moment, and what follows: whether more fits, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.limits.budget import Budget, Period, money, seconds_left
from headrace.limits.errors import NEVER_SECONDS, BudgetReached, LimitReached
from headrace.limits.model import Limits, Wanted
from headrace.limits.standing import BudgetLeft, Rate, Standing

SOON_SECONDS = 1.0
"""`retry_after` where a running request is in the way: nobody knows when it ends."""


@dataclass(frozen=True, slots=True)
class Taken:
    requests: int
    """In the window."""
    requests_reset: float
    """Seconds until the window holds none."""
    tokens: int
    tokens_reset: float
    running: int
    """Places that running requests take."""
    held: int
    """Nano units reserved by running requests."""
    spent: Mapping[Period, int]
    periods: Mapping[Period, int]
    """Number of the current day and month."""
    wall: float
    """Unix seconds."""

    def left(self, budget: Budget) -> int:
        return budget.amount - self.spent[budget.period] - self.held

    def fits(self, limits: Limits, wanted: Wanted) -> bool:
        return (
            (limits.requests_per_minute is None or self.requests < limits.requests_per_minute)
            and (limits.tokens_per_minute is None or self.tokens + wanted.tokens <= limits.tokens_per_minute)
            and (limits.concurrent_requests is None or self.running + wanted.places <= limits.concurrent_requests)
            and all(wanted.cost <= self.left(budget) for budget in limits.budgets)
        )

    def standing(self, limits: Limits) -> Standing:
        return Standing(
            _rate(limits.requests_per_minute, self.requests, self.requests_reset),
            _rate(limits.tokens_per_minute, self.tokens, self.tokens_reset),
            tuple(
                BudgetLeft(budget, max(0, left := self.left(budget)), overdrawn=left < 0)
                for budget in limits.budgets
            ),
        )

    def refusal(
        self, limits: Limits, wanted: Wanted, requests_wait: float, tokens_wait: float
    ) -> LimitReached | BudgetReached:
        """Of a request that does not fit. Names the limit that is in the way for longest.

        Waits: seconds until enough of the window has passed; of no meaning where there is enough left.
        """
        reasons = [*self._reasons(limits, wanted, requests_wait, tokens_wait)]
        seconds, problem, kind = max(reasons, key=lambda reason: reason[0])
        return kind(problem, seconds, self.standing(limits))

    def _reasons(
        self, limits: Limits, wanted: Wanted, requests_wait: float, tokens_wait: float
    ) -> Iterator[tuple[float, str, type[LimitReached | BudgetReached]]]:
        limit = limits.requests_per_minute
        if limit is not None and self.requests >= limit:
            said = f"requests_per_minute: asked for 1, 0 of {limit} are left"
            yield *_waiting(said, 1, limit, requests_wait), LimitReached
        limit = limits.tokens_per_minute
        if limit is not None and self.tokens + wanted.tokens > limit:
            left = max(0, limit - self.tokens)
            said = (
                f"tokens_per_minute: asked for {wanted.tokens} (prompt and max_tokens), {left} of {limit} are left"
            )
            yield *_waiting(said, wanted.tokens, limit, tokens_wait), LimitReached
        limit = limits.concurrent_requests
        if limit is not None and self.running + wanted.places > limit:
            said = f"concurrent_requests: asked for {wanted.places}, {self.running} run and the limit is {limit}"
            yield *_waiting(said, wanted.places, limit, SOON_SECONDS), LimitReached
        for budget in limits.budgets:
            if wanted.cost > self.left(budget):
                yield *self._budget_reason(budget, wanted.cost), BudgetReached

    def _budget_reason(self, budget: Budget, cost: int) -> tuple[float, str]:
        left = max(0, self.left(budget))
        said = (
            f"budgets.{budget.period}: the request may cost {money(cost)}, "
            f"{money(left)} of {money(budget.amount)} are left"
        )
        if cost > budget.amount:
            return _waiting(said, cost, budget.amount, NEVER_SECONDS)
        if cost <= budget.amount - self.spent[budget.period]:
            return SOON_SECONDS, f"{said}, {money(self.held)} are held by running requests"
        if budget.period == "total":
            return NEVER_SECONDS, f"{said}; it never resets, ask for a higher one"
        seconds = seconds_left(budget.period, self.periods[budget.period], self.wall)
        return seconds, f"{said}; the {budget.period} ends in {_duration(seconds)}"


def _rate(limit: int | None, taken: int, reset: float) -> Rate | None:
    return None if limit is None else Rate(limit, max(0, limit - taken), reset)


def _waiting(said: str, asked: int, limit: int, wait: float) -> tuple[float, str]:
    if asked > limit:
        return NEVER_SECONDS, f"{said}; it can never fit, ask for less or for a higher limit"
    return wait, f"{said}; try again in {_duration(wait)}"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
