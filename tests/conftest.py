"""The running stacks that live tests share: started on first use, once a session, on ports of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.stack import Stack

# f32: a greedy answer must not depend on what else is in the batch, or on what the prefix cache holds.
OPENVINO = {"engine": {"name": "openvino", "openvino": {"precision": "f32"}}}

# Slow enough to be caught at work: 4000 tokens take 8 s. Small limits and a small cache, so that tests reach them.
MOCK_RUNNING, MOCK_WAITING = 16, 56
MOCK = {
    "engine": {
        "name": "mock",
        "max_running": MOCK_RUNNING,
        "max_waiting": MOCK_WAITING,
        "mock": {"step_ms": 2.0, "tokens_per_step": 1},
    },
    "limits": {"max_output_tokens": 4000},
    "server": {"response_cache_mb": 1},
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real model."""
    yield from _running("openvino", OPENVINO, tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="session")
def mock_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The engine without a model, behind the same Triton: fast, and its answers are known beforehand."""
    yield from _running("mock", MOCK, tmp_path_factory.mktemp("mock-stack"))


def _running(name: str, settings: Mapping[str, object], folder: Path) -> Iterator[Stack]:
    stack = Stack(name, settings, folder)
    stack.up()
    yield stack
    stack.down()
