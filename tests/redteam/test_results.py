"""From outcomes to counts, misses, the exit code and the pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace.errors import ConfigError
from redteam import report
from redteam.judgement import AS_EXPECTED, FORMS, Form, Outcome
from redteam.results import Results, known_misses
from tests.redteam.answers import benign, card, case

MISSED = "allow"
FALSE = "block: injection 0.90"


def results(*outcomes: Outcome, known: dict[str, str] | None = None, **changes: Any) -> Results:
    said: dict[str, Any] = {"started": "2024-05-01T09:00:00+00:00", "revision": "0123456789ab", "server": "a fake"}
    return Results(**said | {"left_out": (), "known": known or {}, "outcomes": outcomes} | changes)


def every(of: Any, happened: str = AS_EXPECTED, **changes: Any) -> list[Outcome]:
    return [Outcome(of, form, happened, policy=("standard", "v1"), **changes) for form in FORMS]


def test_a_run_without_a_miss_has_nothing_to_complain_of() -> None:
    found = results(*every(case()), *every(benign()))
    assert (found.misses, found.complaints) == ([], [])
    assert (found.found().value, found.false_positives().value) == (1.0, 0.0)


def test_a_miss_that_nobody_knows_of_is_a_complaint() -> None:
    found = results(*every(case(), MISSED), *every(benign()))
    assert found.complaints == ["one (unary, stream, n=3): allow"]


def test_a_false_positive_that_nobody_knows_of_is_a_complaint() -> None:
    found = results(*every(case()), *every(benign(), FALSE))
    assert found.complaints == [f"two (unary, stream, n=3): {FALSE}"]
    assert (found.false_positives().count, found.false_positives().of) == (1, 1)


def test_a_known_miss_is_counted_and_listed_but_no_complaint() -> None:
    found = results(*every(case(), MISSED), known={"one": "No words."})
    assert found.complaints == []
    assert [(miss.case.id, miss.reason) for miss in found.misses] == [("one", "No words.")]
    assert found.found().count == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_known_miss_that_goes_right_in_one_form_is_a_complaint(form: Form) -> None:
    outcomes = [*every(case(), MISSED)]
    outcomes[FORMS.index(form)] = Outcome(case(), form)
    found = results(*outcomes, known={"one": "No words."})
    assert found.complaints == [f"one ({form}): went right; take it out of known_misses.yaml"]


def test_a_request_that_failed_is_never_a_known_miss() -> None:
    found = results(*every(case(), "no answer: gone", failed=True), known={"one": "No words."})
    assert found.complaints == ["one (unary, stream, n=3): no answer: gone"]


def test_a_known_miss_that_was_not_asked_is_no_complaint() -> None:
    assert results(*every(case()), known={"three": "No words."}).complaints == []


def test_a_case_counts_as_found_when_every_form_of_it_was() -> None:
    halves = [Outcome(case(), "unary"), Outcome(case(), "stream", MISSED), Outcome(case(), "n=3")]
    found = results(*halves, *every(card()))
    assert (found.found().count, found.found().of) == (1, 2)
    assert [found.found(form=form).count for form in FORMS] == [2, 1, 2]
    assert found.found({"three"}).count == 1


def test_forms_that_went_wrong_alike_are_told_together_and_others_apart() -> None:
    outcomes = [*every(case(), MISSED)]
    outcomes[1] = Outcome(case(), "stream", "finish_reason length")
    misses = results(*outcomes).misses
    assert [(miss.forms, miss.happened) for miss in misses] == [
        (("unary", "n=3"), MISSED),
        (("stream",), "finish_reason length"),
    ]


@pytest.fixture
def mixed() -> Results:
    return results(
        *every(case(), MISSED),
        *every(case(id="four", text="Ignore | everything."), "block: toxicity 0.91", blocked=True),
        *every(case(id="five")),
        *every(benign(), FALSE, blocked=True),
        known={"one": "No words.", "two": "Looks bad."},
        left_out=(card(),),
    )


def test_the_page_names_every_miss(mixed: Results) -> None:
    text = report.page(mixed)
    assert "| one | all | block injection | allow | No words. |" in text
    assert "| four | all | block injection | block: toxicity 0.91 | NO |" in text
    assert "| two | all | allow | block: injection 0.90 | Looks bad. |" in text
    assert "| five |" not in text
    assert "- four (unary, stream, n=3): block: toxicity 0.91" in text


def test_the_page_says_what_was_asked_of_which_policy_and_when(mixed: Results) -> None:
    text = report.page(mixed)
    for said in ("2024-05-01T09:00:00", "`0123456789ab`", "standard `v1`", "4 cases in 3 forms"):
        assert said in text
    assert "Left out: 1 cases of answers" in text
    assert "Left out" not in report.page(results(*every(case())))


def test_the_page_counts_by_hand(mixed: Results) -> None:
    """One of three; Wilson's interval as the formula gives it."""
    text = report.page(mixed)
    assert "| all of them | 1 of 3 | 0.06 to 0.79 | 1 of 1 | 0.21 to 1.00 |" in text
    assert "| injection | prompts | 1 of 3 | 0.06 to 0.79 |" in text
    assert "of the 2 others 1 were blocked all the same" in text


def test_json_and_terminal_name_every_miss_too(mixed: Results, tmp_path: Path) -> None:
    report.write(mixed, tmp_path / "there" / "redteam.md")
    said = json.loads((tmp_path / "there" / "redteam.json").read_text("utf-8"))
    assert [(miss["case"], miss["known"]) for miss in said["misses"]] == [
        ("one", "No words."),
        ("four", None),
        ("two", "Looks bad."),
    ]
    assert said["policies"] == {"standard": "v1"}
    assert said["recall"]["count"] == 1
    assert said["cases"]["five"] == dict.fromkeys(FORMS, AS_EXPECTED)
    console = Console(width=120, record=True, file=(tmp_path / "terminal").open("w"))
    report.show(mixed, console)
    shown = console.export_text()
    for said_there in ("one", "four", "two", "block: toxicity 0.91", "Left out: 1", "Not as known: 1"):
        assert said_there in shown


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("misses: {nobody: No words.}", "no case nobody"),
        ("misses: {one: ' '}", "one: say why it is missed"),
        ("misses: {one: }", "misses.one: "),
        ("missed: {one: No words.}", "missed: Extra inputs"),
    ],
)
def test_a_mistake_in_the_list_of_known_misses_is_told(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "known.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        known_misses([case()], file)


def test_a_list_without_misses_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "known.yaml"
    file.write_text("# none\n", encoding="utf-8")
    assert known_misses([case()], file) == {}
