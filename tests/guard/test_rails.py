from __future__ import annotations

import pytest
import structlog

from headrace import paths
from headrace.errors import ConfigError
from headrace.guard import policy, rails
from headrace.guard.policy import PolicyFile


def file(**categories: float) -> PolicyFile:
    prompt = {category: {"block": level} for category, level in categories.items()}
    return PolicyFile.model_validate({"default": "one", "policies": {"one": {"prompt": prompt}}})


def test_only_what_is_needed_is_built() -> None:
    assert [rail.name for rail in rails.build(file(secret=0.5, canary=0.5), {})] == ["secrets", "canary"]
    assert rails.build(file(), {}) == []


def test_a_category_that_nobody_finds_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"policy one: no rail finds sarcasm; there are canary, credit_card, .*toxicity"
    ):
        rails.build(file(sarcasm=0.5), {})


def test_a_region_that_does_not_exist_is_refused() -> None:
    said = file(phone_number=0.5)
    regions = said.rails.pii.model_copy(update={"phone_regions": ("US", "XX")})
    with pytest.raises(ConfigError, match=r"^rails\.pii\.phone_regions: no region XX"):
        rails.build(said.model_copy(update={"rails": said.rails.model_copy(update={"pii": regions})}), {})


def test_without_a_canary_the_log_says_so() -> None:
    with structlog.testing.capture_logs() as logs:
        rails.build(file(canary=0.5), {})
    assert [entry["empty_variable"] for entry in logs] == ["HEADRACE_CANARY"]


def test_the_canary_comes_from_the_environment() -> None:
    (rail,) = rails.build(file(canary=0.5), {"HEADRACE_CANARY": "blue-heron-77 other"})
    (scores,) = rail.score_batch(["The secret is BLUE-HERON-77."])
    assert scores.by_category == {"canary": 1.0}


def test_every_category_of_the_shipped_policy_has_its_rail() -> None:
    shipped = policy.read(paths.PROJECT / "policy.yaml")
    built = rails.build(shipped, {})
    assert set(shipped.categories) <= {category for rail in built for category in rail.categories}


def test_every_word_of_the_environments_canary_is_looked_for() -> None:
    (rail,) = rails.build(file(canary=0.5), {"HEADRACE_CANARY": "blue-heron-77 red-fox-12\nold-mill-9"})
    for word in ("blue-heron-77", "red-fox-12", "old-mill-9"):
        assert rail.score_batch([f"It is {word}."])[0].by_category == {"canary": 1.0}
