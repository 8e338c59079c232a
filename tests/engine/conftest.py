"""Engines and the stand-in for tensorrt_llm."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace import paths
from headrace.engine.interface import Engine
from headrace.text.tokenizer import Tokenizer
from tests.engine.engines import END_IDS, ENGINES, importable, started


@pytest.fixture(scope="module", params=ENGINES)
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """An engine's name, with its package importable."""
    with importable(request.param):
        yield request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(name: str) -> AsyncIterator[Engine]:
    """One started engine for all tests that leave it whole."""
    engine = await started(name)
    yield engine
    await engine.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def own_engine(name: str) -> AsyncIterator[Engine]:
    """A started engine that the test may break."""
    engine = await started(name)
    yield engine
    await engine.stop()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(paths.default_model())


@pytest.fixture
def fake() -> Iterator[Any]:
    """The stand-in for the package, importable."""
    with importable("trtllm"):
        yield import_module("tensorrt_llm")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that the stand-in can "load"."""
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": list(END_IDS)}))
    return tmp_path
