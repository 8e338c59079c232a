"""Memory stays flat over thousands of requests, in every process and in shared memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psutil

from tests.stack import Stack
from tests.triton.answers import Refused, grpc_piece
from tests.triton.doors import STREAM, UNARY, Stub, stop, stream
from tests.triton.tensors import grpc_request

CLIENTS = 8
MIB = 2**20


def resident(stack: Stack) -> dict[str, int]:
    """Bytes by process, those of the same kind together."""
    found: dict[str, int] = {}
    for process in stack.processes():
        try:
            name, size = process.name(), process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        found[name] = found.get(name, 0) + size
    return found


def shared_memory(stack: Stack) -> int:
    """Bytes that are really taken, not those that could be."""
    return sum(segment.stat().st_blocks * 512 for segment in stack.segments())


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, float]:
    """MiB by process."""
    return {name: (size - before[name]) / MIB for name, size in after.items()}


def run(stack: Stack, ask: Callable[[Stack, int], None], numbers: range) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in pool.map(lambda number: ask(stack, number), numbers):
            pass
    stack.until(lambda stats: stats.live == 0, 20, "the engine is empty again")


def some_of_everything(stack: Stack, number: int) -> None:
    inputs: dict[str, Any] = {
        "text_input": f"{number} " + "of some length " * (number % 30),
        "max_tokens": 8,
    }
    match number % 8:
        case 0 | 1:
            STREAM.infer(stack, inputs | {"stop_words": ["never seen"]})
        case 2:
            pieces = STREAM.infer(stack, inputs | {"max_tokens": 20, "min_tokens": 20, "return_log_probs": True})
            assert len(pieces.log_probs) == 20
        case 3:
            try:
                STREAM.infer(stack, inputs | {"top_p": 7.0})
            except Refused:
                return
            raise AssertionError("top_p 7 was accepted")
        case 4:
            stopped(stack, inputs | {"max_tokens": 1000, "min_tokens": 1000}, f"memory-{number}")
        case _:
            UNARY.infer(stack, inputs)


def stopped(stack: Stack, inputs: dict[str, Any], request_id: str) -> None:
    """A stream that is stopped as it should be: by a request of its own, and then read to its end."""
    with Stub(stack) as stub:
        call = stub.ModelStreamInfer(iter([grpc_request("assistant_stream", inputs, request_id)]), timeout=60)
        grpc_piece(next(call).infer_response)
        stop(stack, request_id)
        assert [response.error_message for response in call if response.error_message] == []


def test_memory_is_flat_over_2000_requests(mock_stack: Stack) -> None:
    warm_up = 1000
    run(mock_stack, some_of_everything, range(warm_up))
    before, segments = resident(mock_stack), shared_memory(mock_stack)
    run(mock_stack, some_of_everything, range(warm_up, warm_up + 2000))
    assert segments > 0
    assert shared_memory(mock_stack) <= segments
    # A leak of 2 KB a request would be 4 MiB.
    more = grown(before, resident(mock_stack))
    print(more)
    assert max(more.values()) < 4, more


def test_the_real_engines_memory_is_flat_once_its_kv_cache_is_full(stack: Stack) -> None:
    """It takes the memory of its KV cache block by block, up to `kv_cache_gb`, and nothing beyond."""

    def short(stack: Stack, number: int) -> None:
        # No answer comes from Triton's cache: the scope is another each time.
        UNARY.infer(stack, {"text_input": f"Fill {number}", "max_tokens": 1, "cache_scope": f"fill-{number}"})

    def mixed(stack: Stack, number: int) -> None:
        inputs = {"text_input": f"{number % 8} of some length", "max_tokens": 8, "cache_scope": f"{number}"}
        match number % 3:
            case 0:
                stopped(stack, inputs | {"max_tokens": 500, "min_tokens": 500}, f"memory-{number}")
            case 1:
                STREAM.infer(stack, inputs)
            case _:
                UNARY.infer(stack, inputs)

    run(stack, mixed, range(24))
    for first in range(0, 3000, 100):
        before = resident(stack)
        run(stack, short, range(first, first + 100))
        # Before it is full, each request takes about 1 MiB.
        if max(grown(before, resident(stack)).values()) < 4:
            break
    before, segments = resident(stack), shared_memory(stack)
    run(stack, mixed, range(24, 144))
    assert shared_memory(stack) <= segments
    # A leak of 70 KB a request would be 8 MiB.
    more = grown(before, resident(stack))
    print(first, more)
    assert max(more.values()) < 8, more


def test_what_a_hang_up_leaves_in_triton_is_bounded(mock_stack: Stack) -> None:
    """Triton 2.51 never frees the responses that come after a client has hung up, about 3 KB each.

    Whoever stops the request and reads to the end, as our own client does, leaves nothing.
    """
    # Few, since each of them can crash Triton 2.51 (once in some thousands).
    clients, tokens = 40, 500
    inputs = {"text_input": "Bye", "max_tokens": tokens}

    def hang_up(stack: Stack, number: int) -> None:
        with closing(stream(stack, "assistant_stream", inputs)) as pieces:
            next(pieces)

    def stop_first(stack: Stack, number: int) -> None:
        stopped(stack, inputs, f"bye-{number}")

    cost = {}
    for leave in (stop_first, hang_up):
        run(mock_stack, leave, range(clients))
        before = resident(mock_stack)
        run(mock_stack, leave, range(clients))
        cost[leave.__name__] = grown(before, resident(mock_stack))["tritonserver"]
    responses = clients * tokens / 8
    print(cost)
    assert cost["hang_up"] * MIB / responses < 8192, cost
    assert cost["stop_first"] < 2, cost
