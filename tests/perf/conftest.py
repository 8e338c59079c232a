"""Load generators that are no part of the set-up that serving needs: fetched once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace import paths


@pytest.fixture(scope="session")
def perf_analyzer() -> None:
    subprocess.run([sys.executable, "-m", "headrace.build", "perf"], check=True, timeout=300)


@pytest.fixture(scope="session")
def aiperf() -> None:
    subprocess.run([str(paths.PROJECT / "build" / "aiperf.sh")], check=True, timeout=300)
