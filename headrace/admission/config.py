"""The section `admission` of the configuration: how much is let in at once, and who may wait for how long."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from headrace.yaml_file import Section

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PRIORITIES = 5
"""Classes, from 1, the most urgent, on."""


class AdmissionConfig(Section):
    """The defaults hold P95 < 400 ms to the first text of a stream."""

    initial_limit: int = Field(16, ge=1)
    """Requests in the engine at once, before anything is measured."""
    min_limit: int = Field(4, ge=1)
    """Where it stays when even that does not meet the objective: what the engine should have in any case."""
    max_limit: int = Field(144, ge=1)
    """As many as the engine takes: its `max_running` + `max_waiting`."""

    max_waiting: int = Field(512, ge=0)
    """Requests that wait here, of all tenants together."""
    max_waiting_per_tenant: int = Field(128, ge=0)
    max_wait_ms: float = Field(200.0, gt=0, allow_inf_nan=False)
    """What of `ttft_target_ms` may be spent waiting here; who would have to wait longer is refused at once."""
    priority_weights: tuple[Weight, Weight, Weight, Weight, Weight] = (16.0, 8.0, 4.0, 2.0, 1.0)
    """How the priorities 1 to 5 share the engine when all of them wait."""

    ttft_target_ms: float = Field(400.0, gt=0, allow_inf_nan=False)
    """From arrival to the first text."""
    token_target_ms: float = Field(50.0, gt=0, allow_inf_nan=False)
    """What each token adds to the target of an answer that comes as a whole."""

    window_samples: int = Field(20, ge=1)
    """The limit moves once so many requests are measured …"""
    window_ms: float = Field(500.0, gt=0, allow_inf_nan=False)
    """… but not sooner than this: what the last move did must show first."""
    max_window_ms: float = Field(2000.0, gt=0, allow_inf_nan=False)
    """… and with fewer samples after this."""
    smoothing: float = Field(0.4, gt=0, le=1)
    """How far the limit goes towards where one window points."""

    @model_validator(mode="after")
    def _ordered(self) -> AdmissionConfig:
        names = (
            ("min_limit", "initial_limit", "max_limit"),
            ("max_wait_ms", "ttft_target_ms"),
            ("window_ms", "max_window_ms"),
            ("max_waiting_per_tenant", "max_waiting"),
        )
        for lower, higher in (pair for row in names for pair in pairwise(row)):
            if getattr(self, lower) > getattr(self, higher):
                raise ValueError(f"{lower} must not be above {higher}")
        if self.max_wait_ms == self.ttft_target_ms:
            raise ValueError("max_wait_ms must be below ttft_target_ms: the engine needs the rest")
        return self

    @property
    def first_seconds(self) -> float:
        """What the engine has of the time to the first text."""
        return (self.ttft_target_ms - self.max_wait_ms) / 1000

    def whole_seconds(self, tokens: int) -> float:
        """What the engine has for an answer of so many tokens that comes as a whole."""
        return self.first_seconds + tokens * self.token_target_ms / 1000
