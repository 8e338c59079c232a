"""Whatever was sent: the gateway goes on, nothing is left behind, and its log tells of no defect."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.gateway.hazards.dialects import DIALECTS, HOST
from tests.gateway_stack import GatewayStack
from tests.triton.http_port import call

SECONDS = 30.0


@pytest.fixture(autouse=True)
def _goes_on(gateway_stack: GatewayStack) -> Iterator[None]:
    log = gateway_stack.folder.log_file
    before = log.read_bytes().rfind(b"\n") + 1
    yield
    for dialect in DIALECTS[::4]:
        assert dialect.ask(gateway_stack, {"text_input": "Good morning", "max_tokens": 4}).status == 200
    assert call(gateway_stack.gateway_port, "GET", "/health/ready", None, HOST)[0] == 200
    until_free(gateway_stack)
    whole, _, _ = log.read_bytes()[before:].rpartition(b"\n")
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [line for line in lines if line["level"] in {"error", "critical"}] == []


def until_free(stack: GatewayStack) -> None:
    """Every place is free again, in the gateway and in the engine."""
    began = time.monotonic()
    while in_flight(stack):
        assert time.monotonic() - began < SECONDS, "a place in Triton is held by nobody"
        time.sleep(0.02)
    stack.until(lambda stats: stats.live == 0, SECONDS, "the engine is free")


def in_flight(stack: GatewayStack) -> float:
    _, page = call(stack.gateway_port, "GET", "/metrics", None, HOST)
    return next(
        float(line.rpartition(" ")[2])
        for line in page.decode().splitlines()
        if line.startswith("headrace_gateway_in_flight ")
    )
