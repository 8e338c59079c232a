"""How limits refuse. To a client they are the errors of the platform's one tree."""

from __future__ import annotations

from headrace.errors import BudgetSpent, RateLimited, Unavailable
from headrace.limits.standing import Standing

NEVER_SECONDS = 86_400.0
"""`retry_after` of what no waiting helps with: somebody has to change the limit or the request."""


class LimitReached(RateLimited):
    """A rate or the number of running requests is at its limit."""

    def __init__(self, message: str, retry_after: float, standing: Standing) -> None:
        super().__init__(message, retry_after)
        self.standing = standing


class BudgetReached(BudgetSpent):
    """A budget has less left than the request may cost."""

    def __init__(self, message: str, retry_after: float, standing: Standing) -> None:
        super().__init__(message, retry_after)
        self.standing = standing


class LimitsUnavailable(Unavailable):
    """The store of the limits does not answer; the same request may work after `retry_after` seconds."""

    public = "limits cannot be checked now; send the request again in a moment"

    def __init__(self, problem: str, retry_after: float = 1.0) -> None:
        super().__init__(f"limits cannot be checked: {problem}", retry_after=retry_after)
        self.problem = problem


class Unanswered(LimitsUnavailable):
    """Nobody knows whether the store did what it was asked for."""


class StoreRefused(LimitsUnavailable):
    """The store answers, but not with what it should: somebody has to mend it. Nothing was done."""


class TenantRefused(StoreRefused):
    """What the store holds for one tenant is not what was written there; others are not concerned."""
