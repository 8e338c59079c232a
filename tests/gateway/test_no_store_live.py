"""Who wants no cached answer gets none, from Triton's own cache neither."""

from __future__ import annotations

import time
import uuid

import pytest

from tests.gateway_stack import GatewayStack, body
from tests.triton.http_port import call, metrics

HITS, MISSES = (f'nv_cache_num_{what}_per_model{{model="completion",version="1"}}' for what in ("hits", "misses"))
SECONDS = 30.0


@pytest.mark.parametrize("wish", ["no-store", "no-cache"])
def test_every_answer_is_a_new_one(gateway_stack: GatewayStack, wish: str) -> None:
    asked = body(messages=[{"role": "user", "content": f"A question of {uuid.uuid4()}"}])
    headers = {"content-type": "application/json", "host": "localhost", "cache-control": wish}
    hits, misses = metrics(gateway_stack, HITS), metrics(gateway_stack, MISSES)
    for _ in range(3):
        assert call(gateway_stack.gateway_port, "POST", "/v1/chat/completions", asked, headers)[0] == 200
    deadline = time.monotonic() + SECONDS
    while metrics(gateway_stack, MISSES) < misses + 3:  # Triton writes its page now and then
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert metrics(gateway_stack, HITS) == hits
