"""What kills Triton 2.51 in one request. Nothing at its own door can refuse it: a gateway must.

The stack outlives each of them: the server is started again, the engine stays warm, nothing is left behind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import RemoteDisconnected
from typing import Any

import grpc
import pytest

from tests.serving.drill_stack import DrillStack
from tests.triton.doors import UNARY, Stub
from tests.triton.http_port import http_post
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import Tensor, grpc_request, infer_body

GOOD: dict[str, Any] = {"text_input": "Good morning", "max_tokens": 12}
DEPTH = 100_000
RECOVERY_SECONDS = 30.0
INFER = "/v2/models/assistant/infer"


@pytest.fixture(scope="module")
def drill_stack() -> Iterator[DrillStack]:
    stack = DrillStack(HEADRACE_SERVER__SETTLED_SECONDS="0")
    stack.up()
    yield stack
    stack.down()


def large_form(stack: DrillStack) -> None:
    body = infer_body({"text_input": "a" * 2**22})
    http_post(stack, INFER, body, {"Content-Type": "application/x-www-form-urlencoded"})


def deep_json(stack: DrillStack) -> None:
    body = b'{"text_input": %s%s}' % (b"[" * DEPTH, b"]" * DEPTH)
    http_post(stack, "/v2/models/assistant/generate", body)


def more_than_memory_by_shape(stack: DrillStack) -> None:
    http_post(stack, INFER, infer_body({**GOOD, "max_tokens": Tensor([5], (2**60, 1), "INT32")}))


def classes_of_text(stack: DrillStack) -> None:
    output = {"name": "text_output", "parameters": {"classification": 3}}
    http_post(stack, INFER, json.dumps({**json.loads(infer_body(GOOD)), "outputs": [output]}).encode())


def classes_of_text_by_grpc(stack: DrillStack) -> None:
    request = grpc_request("assistant", GOOD)
    request.outputs.add(name="text_output").parameters["classification"].int64_param = 3
    with Stub(stack) as stub:
        stub.ModelInfer(request, timeout=60)


@pytest.mark.parametrize(
    "deadly", [large_form, deep_json, more_than_memory_by_shape, classes_of_text, classes_of_text_by_grpc]
)
async def test_the_stack_outlives_it(drill_stack: DrillStack, deadly: Callable[[DrillStack], None]) -> None:
    before = drill_stack.status().parts
    with pytest.raises((RemoteDisconnected, ConnectionResetError, BrokenPipeError, grpc.RpcError)):
        deadly(drill_stack)
    await drill_stack.until_ready(None, RECOVERY_SECONDS)
    await drill_stack.until_ready(200, RECOVERY_SECONDS)
    assert UNARY.infer(drill_stack, GOOD).text == mock_answer("Good morning", 12)
    await drill_stack.until_state("ready")
    after = drill_stack.status().parts
    assert after["tritonserver"].restarts == before["tritonserver"].restarts + 1
    assert after["engine_worker"].pid == before["engine_worker"].pid
    assert drill_stack.stats().live == 0
