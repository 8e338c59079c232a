"""Whether a stream may go on: its tenant can be changed while it runs."""

from __future__ import annotations

from headrace.errors import BudgetSpent
from headrace.limits.errors import NEVER_SECONDS, LimitsUnavailable
from headrace.limits.model import Limits, LimitStore
from headrace.tenants.identity import Authenticator, Identity


class Tenure:
    """Of one request. Look at `changed` with every piece of its answer: that costs next to nothing."""

    def __init__(self, authenticator: Authenticator, limits: LimitStore, identity: Identity) -> None:
        self._authenticator = authenticator
        self._limits = limits
        self._identity = identity
        self._seen = authenticator.current()

    @property
    def changed(self) -> bool:
        return self._authenticator.current() is not self._seen

    async def check(self) -> None:
        """Raises `Unauthenticated` when the key is gone, `Forbidden` when the tenant is, `BudgetSpent` when a
        budget is below what its requests have spent and may still spend."""
        self._seen = self._authenticator.current()
        settings = self._authenticator.still(self._identity)
        if settings.budgets == self._identity.settings.budgets:
            return
        try:
            standing = await self._limits.standing(settings.tenant, Limits(budgets=settings.budgets))
        except LimitsUnavailable:
            return  # what it may take was reserved while the store was there
        if any(budget.overdrawn for budget in standing.budgets):
            problem = "budgets: cut below what this tenant has spent and reserved, so the answer ends here"
            raise BudgetSpent(problem, NEVER_SECONDS)
