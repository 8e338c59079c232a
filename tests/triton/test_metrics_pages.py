"""What the documentation says of our metrics, Triton's page shows, and the other way round."""

from __future__ import annotations

import re

from headrace import paths
from tests.guarded_stack import GuardedStack
from tests.stack import Stack
from tests.triton.http_port import call


def test_the_engine_s_are_on_the_page_of_the_architecture(mock_stack: Stack) -> None:
    assert shown(mock_stack, "engine") == told("architecture.md", "engine") != {}


def test_the_guards_are_on_their_page(guarded_stack: GuardedStack) -> None:
    assert shown(guarded_stack, "guard") == told("guardrails.md", "guard") != {}


def shown(stack: Stack, prefix: str) -> dict[str, str]:
    """Name → type."""
    _, text = call(stack.metrics_port, "GET", "/metrics")
    return dict(re.findall(rf"^# TYPE (headrace_{prefix}_\w+) (\w+)$", text.decode(), re.MULTILINE))


def told(page: str, prefix: str) -> dict[str, str]:
    text = (paths.PROJECT / "docs" / page).read_text("utf-8")
    return dict(re.findall(rf"^\| `(headrace_{prefix}_\w+)` \| (\w+) \|", text, re.MULTILINE))
