"""What a tenant may do."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.limits.budget import Budget

ANONYMOUS = "anonymous"
"""The tenant of those who show neither key nor token. No other tenant has this name."""
OWN_SCOPE = "own"


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one tenant. None: there is no such limit."""

    tenant: str
    display_name: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Of prompts and answers together."""
    concurrent_requests: int | None = None
    """Each of the answers that a request asks for (`n`) counts as one."""
    budgets: tuple[Budget, ...] = ()
    """All of them hold; no two of one period."""
    models: frozenset[str] | None = None
    """None: every public one."""
    guard_policy: str | None = None
    """The only one of its requests; None: the default policy, or the one that a request names."""
    cache_scope: str = ""
    """Who shares its cached answers: `tenant:<name>`, or `shared:<name>` for all that name the same."""
    priority: int = 3
    """1 comes first, 5 last."""
    max_prompt_tokens: int | None = None
    max_output_tokens: int | None = None
    """Of one request."""
    store_text: bool = False
    """The audit log may hold its texts."""

    def allows_model(self, name: str) -> bool:
        return self.models is None or name in self.models
