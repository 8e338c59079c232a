"""NVIDIA's real perf_analyzer through the gateway, with and without a key."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace import paths
from headrace.audit.query import Filter, query
from perf.analyzer_export import AnalyzerFailed
from perf.analyzer_profile import GATEWAY_PROFILES, Profile, load_profiles
from perf.perf_analyzer import Analyzer
from perf.prompts import PromptMaker
from tests.gateway_stack import GatewayStack

PROFILES = load_profiles(GATEWAY_PROFILES)
_PLACES = 2
pytestmark = pytest.mark.usefixtures("perf_analyzer")


def _analyzer(stack: GatewayStack, results: Path, key: str | None) -> Analyzer:
    http = f"127.0.0.1:{stack.gateway_port}"
    return Analyzer(http, stack.grpc, paths.default_model(), results, key)


def _short(name: str) -> Profile:
    profile = PROFILES[name]
    changes = {"requests": 12 if profile.prompts == "distinct" else 40, "prompt_tokens": 60, "new_tokens": 6}
    return profile.model_copy(update=changes)


def _outcomes(stack: GatewayStack, since: datetime, count: int) -> Counter[tuple[str, str, str]]:
    """Of acme's requests since then, once so many are recorded: dialect, outcome, cache."""
    deadline = time.monotonic() + 30
    while True:
        lines = query(stack.audit_folder, Filter(tenant="acme", since=since))
        found: Counter[tuple[str, str, str]] = Counter((line.dialect, line.outcome, line.cache) for line in lines)
        if found.total() >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@pytest.mark.parametrize("name", PROFILES)
def test_every_request_of_a_profile_succeeds_as_its_tenant(
    gateway_stack: GatewayStack, tmp_path: Path, name: str
) -> None:
    profile, began = _short(name), datetime.now(UTC)
    summary = _analyzer(gateway_stack, tmp_path, gateway_stack.keys["acme"]).run(name, profile, _PLACES)
    assert summary.requests == profile.requests
    assert 0 < summary.first_p50_ms <= summary.answer_p50_ms
    dialect = "triton-http" if profile.protocol == "http" else "triton-grpc"
    found = _outcomes(gateway_stack, began, profile.requests)
    assert {(where, outcome) for where, outcome, _ in found} == {(dialect, "ok")}
    assert found.total() >= profile.requests
    missed = found[dialect, "ok", "miss"]
    assert missed == (found.total() if profile.prompts == "distinct" else 1)


def test_a_run_of_answers_from_the_cache_alone_is_a_run(gateway_stack: GatewayStack, tmp_path: Path) -> None:
    """perf_analyzer gives up on a model whose statistics stand still."""
    analyzer, profile = _analyzer(gateway_stack, tmp_path, gateway_stack.keys["acme"]), _short("gateway-hits-grpc")
    for _ in range(2):
        analyzer._prompts = PromptMaker(paths.default_model(), seed=7)
        began = datetime.now(UTC)
        assert analyzer.run("again", profile, _PLACES).requests == profile.requests
    assert not [what for what in _outcomes(gateway_stack, began, profile.requests) if what[2] != "hit"]


@pytest.mark.parametrize("name", ["gateway-grpc", "gateway-http"])
def test_who_has_no_key_is_served_on_loopback(gateway_stack: GatewayStack, tmp_path: Path, name: str) -> None:
    profile = _short(name)
    assert _analyzer(gateway_stack, tmp_path, None).run(name, profile, _PLACES).requests == profile.requests


@pytest.mark.parametrize("name", ["gateway-grpc", "gateway-http", "gateway-stream-grpc"])
def test_a_wrong_key_fails_the_run_and_says_so(gateway_stack: GatewayStack, tmp_path: Path, name: str) -> None:
    with pytest.raises(AnalyzerFailed, match="the API key is not valid"):
        _analyzer(gateway_stack, tmp_path, "hr_no_" + "x" * 43).run(name, _short(name), _PLACES)
