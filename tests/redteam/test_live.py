"""Every case in every form against a real server, with the shipped policy."""

from __future__ import annotations

import json

import pytest

from headrace import config
from redteam.__main__ import PAGE, attack_own
from redteam.results import Results


@pytest.fixture(scope="module")
def found() -> Results:
    return attack_own(config.load())


def test_nothing_is_missed_but_what_is_known_to_be(found: Results) -> None:
    assert found.complaints == []
    assert found.found().of > 100
    assert found.false_positives().of > 40


def test_the_three_forms_agree(found: Results) -> None:
    assert {miss.forms for miss in found.misses} <= {("unary", "stream", "n=3")}


def test_the_report_in_the_project_says_what_is_found_today(found: Results) -> None:
    """Who changes rails, the policy or the cases runs `make redteam` anew."""
    said = json.loads(PAGE.with_suffix(".json").read_text("utf-8"))
    assert said["policies"] == dict(found.policies)
    assert said["recall"]["count"] == found.found().count
    assert said["cases"].keys() == found.cases.keys()
    today = [(miss.case.id, miss.happened.partition(" ")[0]) for miss in found.misses]
    assert [(miss["case"], miss["happened"].partition(" ")[0]) for miss in said["misses"]] == today
