"""A stack whose policies tests may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from headrace import paths
from tests.stack import Stack

CANARY = "zebra-lighthouse-42"
ANSWERS = {
    "response": {
        "toxicity": {"block": 0.9},
        "canary": {"block": 0.5},
        "weapon": {"block": 0.5},
        "fruit": {"flag": 0.5},
        "credit_card": {"redact": 0.8},
        "iban_code": {"redact": 0.8},
        "us_ssn": {"redact": 0.4},
    }
}
"""Judges answers alone, so that a prompt which the engine repeats gets to it."""


class GuardedStack(Stack):
    """Its policies are the shipped ones and `windowed`, `buffered`, `async`, which judge answers alone."""

    def __init__(self, policy: Path, **settings: str) -> None:
        self._policy = policy
        self._shipped = yaml.safe_load((paths.PROJECT / "policy.yaml").read_text("utf-8"))
        super().__init__(
            **settings
            | {"HEADRACE_GUARD__POLICY": str(policy), "HEADRACE_CANARY": CANARY, "HEADRACE_GUARD_KEY": "a key"},
        )
        self.write_policy()

    def write_policy(self, **changes: object) -> None:
        """`changes` replace whole policies by name. Atomic, as an editor or a mounted ConfigMap does it."""
        marked = {"canary": {"block": 0.5}, "weapon": {"block": 0.5}}
        policies = self._shipped["policies"] | {
            "windowed": ANSWERS | {"stream": "windowed"},
            "buffered": ANSWERS | {"stream": "buffered"},
            "async": {"response": marked, "stream": "async"},
        }
        rails = {"terms": {"weapon": {"terms": ["flamethrower"]}, "fruit": {"terms": ["papaya"]}}}
        said = self._shipped | {"policies": policies | changes, "rails": rails}
        draft = self._policy.with_suffix(".new")
        draft.write_text(yaml.safe_dump(said), "utf-8")
        draft.replace(self._policy)

    @contextmanager
    def policy(self, **changes: object) -> Iterator[None]:
        """In force from the next request on, until the end of the block."""
        self.write_policy(**changes)
        try:
            yield
        finally:
            self.write_policy()
