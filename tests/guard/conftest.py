from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.guard.live import LivePolicy
from tests.guard.rails import Silent
from tests.guard.step_inputs import POLICY


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def live(policy_file: Path) -> Iterator[LivePolicy]:
    live = LivePolicy(policy_file, Silent())
    yield live
    live.close()


@pytest.fixture
def with_terms(policy_file: Path) -> Iterator[LivePolicy]:
    """Lists of terms of which one begins like an opening, and one is a phrase."""
    policy_file.write_text(POLICY.replace("[please]", "[theodora, acme secret project]"))
    live = LivePolicy(policy_file, Silent())
    yield live
    live.close()
