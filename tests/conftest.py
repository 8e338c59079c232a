"""The running stacks that live tests share: started on first use, once a session, on ports of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import hypothesis
import pytest
import structlog

from perf.stack import NO_GUARDS
from tests.gateway_stack import GatewayStack
from tests.guarded_stack import GuardedStack
from tests.stack import Stack

AnyStack = TypeVar("AnyStack", bound=Stack)

# The machine is shared: how long an example takes says nothing of the code.
# The same examples for everybody: who wants new ones says HYPOTHESIS_PROFILE=explore.
hypothesis.settings.register_profile("shared", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "shared"))

# f32: a greedy answer must not depend on what else is in the batch, or on what the prefix cache holds.
# With a gateway, as a user has it.
OPENVINO = {
    "HEADRACE_ENGINE__NAME": "openvino",
    "HEADRACE_ENGINE__OPENVINO__PRECISION": "f32",
    "HEADRACE_GATEWAY__ENABLED": "true",
}

# Slow enough to be caught at work: 4000 tokens take 8 s. Small limits and a small cache, so that tests reach them.
MOCK_RUNNING, MOCK_WAITING = 16, 56
MOCK = {
    "HEADRACE_ENGINE__NAME": "mock",
    "HEADRACE_ENGINE__MAX_RUNNING": str(MOCK_RUNNING),
    "HEADRACE_ENGINE__MAX_WAITING": str(MOCK_WAITING),
    "HEADRACE_ENGINE__MOCK__STEP_MS": "2",
    "HEADRACE_ENGINE__MOCK__TOKENS_PER_STEP": "1",
    "HEADRACE_LIMITS__MAX_OUTPUT_TOKENS": "4000",
    "HEADRACE_SERVER__RESPONSE_CACHE_MB": "1",
    "HEADRACE_GUARD__POLICY": str(NO_GUARDS),
}


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that a test calls sets up the logs of the whole process."""
    yield
    structlog.reset_defaults()


def pytest_configure() -> None:
    """What tests start has a terminal's signals: shells that run a suite in the background, or under nohup, ignore
    some, and children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The real model."""
    yield from _running(Stack(**OPENVINO))


@pytest.fixture(scope="session")
def mock_stack() -> Iterator[Stack]:
    """The engine without a model, behind the same Triton: fast, and its answers are known beforehand."""
    yield from _running(Stack(**MOCK))


@pytest.fixture(scope="session")
def gateway_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayStack]:
    """The same engine, the shipped guards, and the gateway before them."""
    tenants = tmp_path_factory.mktemp("gateway") / "tenants.yaml"
    settings = {name: value for name, value in MOCK.items() if name != "HEADRACE_GUARD__POLICY"}
    yield from _running(GatewayStack(tenants, **settings))


@pytest.fixture(scope="session")
def guarded_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedStack]:
    """All rails, policies that tests may change, and an engine that answers with the words of its prompt."""
    yield from _running(GuardedStack(tmp_path_factory.mktemp("guarded") / "policy.yaml", **MOCK))


def _running(stack: AnyStack) -> Iterator[AnyStack]:
    stack.up()
    yield stack
    stack.down()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the ends of the logs of the stacks that the test used."""
    report = yield
    if report.failed:
        arguments: dict[str, Any] = getattr(item, "funcargs", {})
        for name, stack in arguments.items():
            if isinstance(stack, Stack):
                report.sections.append((f"log of {name}", stack.last_words()))
    return report
