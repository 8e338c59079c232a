"""The engine's own metrics, on the port of Triton's: they say what the worker says, a second later."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.conftest import MOCK_RUNNING
from tests.stack import Stack
from tests.triton.answers import Refused
from tests.triton.doors import STREAM, Stub, stop, unary
from tests.triton.http_port import metrics
from tests.triton.tensors import Inputs, grpc_request

# They are a second behind; the rest is this machine's.
SOON = 10.0
INTERVAL = 1.0
LONG: Inputs = {"text_input": "Count to a thousand.", "max_tokens": 4000, "min_tokens": 4000}
NO_TOKEN = 10**6


def metric(stack: Stack, name: str) -> float:
    return metrics(stack, f'headrace_engine_{name}{{engine="mock"}}')


def until(stack: Stack, name: str, true: Callable[[float], bool]) -> None:
    began = time.monotonic()
    while not true(value := metric(stack, name)):
        if time.monotonic() - began > SOON:
            pytest.fail(f"not within {SOON:g} s: {name} is {value:g}; the worker says {stack.stats()}")
        time.sleep(0.02)


def settled(stack: Stack, name: str) -> int:
    """The counter, once nothing of the tests before is still on its way to it."""
    began = time.monotonic()
    before, value = -1.0, metric(stack, name)
    while value != before:
        assert time.monotonic() - began < 3 * SOON, f"{name} never comes to rest"
        time.sleep(2 * INTERVAL)
        before, value = value, metric(stack, name)
    return int(value)


def test_up_is_1(mock_stack: Stack) -> None:
    until(mock_stack, "up", lambda value: value == 1)


def test_gauges_rise_with_the_load_and_fall_to_0_with_its_end(mock_stack: Stack) -> None:
    waiting = 3
    requests = [grpc_request("assistant_stream", LONG, "gauges")] * (MOCK_RUNNING + waiting)
    with Stub(mock_stack) as stub:
        streams = stub.ModelStreamInfer(iter(requests), timeout=60)
        until(mock_stack, "running_requests", lambda value: value == MOCK_RUNNING)
        # The supervisor's own probe may wait too.
        until(mock_stack, "waiting_requests", lambda value: value in {waiting, waiting + 1})
        assert metric(mock_stack, "kv_cache_usage_ratio") == 1
        stop(mock_stack, "gauges")
        assert {response.error_message for response in streams} == {""}
    for name in ("running_requests", "waiting_requests", "kv_cache_usage_ratio"):
        until(mock_stack, name, lambda value: value == 0)


def test_generated_tokens_are_counted(mock_stack: Stack) -> None:
    before = settled(mock_stack, "generated_tokens_total")
    STREAM.infer(mock_stack, {"text_input": "Good morning", "max_tokens": 500})
    # The supervisor's probes make some too.
    until(mock_stack, "generated_tokens_total", lambda value: value >= before + 500)


def test_refused_requests_are_counted(mock_stack: Stack) -> None:
    before = settled(mock_stack, "refused_requests_total")
    for _ in range(3):
        with pytest.raises(Refused, match=f"input_ids: holds {NO_TOKEN}"):
            unary(mock_stack, "tensorrt_llm", {"input_ids": [NO_TOKEN], "max_tokens": 1})
    until(mock_stack, "refused_requests_total", lambda value: value == before + 3)


def test_cancelled_requests_are_counted(mock_stack: Stack) -> None:
    before = settled(mock_stack, "cancelled_requests_total")
    with Stub(mock_stack) as stub:
        streams = stub.ModelStreamInfer(
            iter([grpc_request("assistant_stream", LONG, "cancelled")] * 3), timeout=60
        )
        mock_stack.until(lambda stats: stats.engine.running >= 3, SOON, "three run")
        stop(mock_stack, "cancelled")
        assert {response.error_message for response in streams} == {""}
    until(mock_stack, "cancelled_requests_total", lambda value: value == before + 3)
