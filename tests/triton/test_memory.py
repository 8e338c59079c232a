"""Memory stays flat over thousands of requests, in every process and in shared memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from tests.stack import Stack
from tests.triton.doors import STREAM, UNARY, Refused, Stub, grpc_piece, grpc_request, stop

REQUESTS = 2000
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


def some_of_everything(stack: Stack, number: int) -> None:
    inputs: dict[str, Any] = {
        "text_input": f"{number} " + "of some length " * (number % 30),
        "max_tokens": 8,
    }
    match number % 8:
        case 0 | 1:
            STREAM.infer(stack, inputs | {"stop_words": ["never seen"]})
        case 2:
            pieces = STREAM.infer(stack, inputs | {"max_tokens": 20, "return_log_probs": True})
            assert len(pieces.log_probs) == 20
        case 3:
            try:
                STREAM.infer(stack, inputs | {"top_p": 7.0})
            except Refused:
                return
            raise AssertionError("top_p 7 was accepted")
        case 4:
            with Stub(stack) as stub:
                request = grpc_request("assistant_stream", inputs | {"max_tokens": 1000}, f"memory-{number}")
                call = stub.ModelStreamInfer(iter([request]), timeout=60)
                grpc_piece(next(call).infer_response)
                stop(stack, f"memory-{number}")
                for response in call:
                    assert response.error_message == ""
        case _:
            UNARY.infer(stack, inputs)


def test_memory_is_flat_over_2000_requests(mock_stack: Stack) -> None:
    def run(first: int, last: int) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in pool.map(lambda number: some_of_everything(mock_stack, number), range(first, last)):
                pass

    run(0, REQUESTS // 2)
    before, segments = resident(mock_stack), shared_memory(mock_stack)
    run(REQUESTS // 2, REQUESTS)
    after = resident(mock_stack)
    assert segments > 0
    assert shared_memory(mock_stack) <= segments
    grown = {name: (size - before[name]) / MIB for name, size in after.items()}
    # A leak of 4 KB a request would be 4 MiB.
    assert max(grown.values()) < 4, grown
    mock_stack.until(lambda stats: stats.live == 0, 5, "the engine is empty again")
