"""What the documentation says of our metrics, Triton's page shows, and the other way round."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

from headrace import paths
from tests.gateway_stack import GatewayStack
from tests.guarded_stack import GuardedStack
from tests.stack import Stack
from tests.triton.http_port import call, http_post


def test_the_engine_s_are_on_the_page_of_the_architecture(mock_stack: Stack) -> None:
    assert shown(mock_stack, "engine") == told("architecture.md", "engine") != {}


def test_the_guards_are_on_their_page(guarded_stack: GuardedStack) -> None:
    # What was never decided is on no page.
    body = json.dumps({"text_input": "A papaya", "max_tokens": 60, "guard_policy": "windowed"}).encode()
    assert http_post(guarded_stack, "/v2/models/assistant/generate", body)[0] == 200
    wait_for(lambda: "headrace_guard_decisions_total" in shown(guarded_stack, "guard"))
    assert shown(guarded_stack, "guard") == told("guardrails.md", "guard") != {}


def test_the_gateway_s_are_on_its_page(gateway_stack: GatewayStack) -> None:
    assert shown(gateway_stack, "gateway", gateway_stack.gateway_port) == told("gateway.md", "gateway") != {}


def wait_for(true: Callable[[], bool]) -> None:
    """Triton writes its page now and then."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def shown(stack: Stack, prefix: str, port: int | None = None) -> dict[str, str]:
    """Name → type."""
    _, text = call(port or stack.metrics_port, "GET", "/metrics")
    return dict(re.findall(rf"^# TYPE (headrace_{prefix}_\w+) (\w+)$", text.decode(), re.MULTILINE))


def told(page: str, prefix: str) -> dict[str, str]:
    text = (paths.PROJECT / "docs" / page).read_text("utf-8")
    return dict(re.findall(rf"^\| `(headrace_{prefix}_\w+)` \| (\w+) \|", text, re.MULTILINE))
