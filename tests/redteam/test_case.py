"""The cases: mistakes in their files are named, and what must not leave is known in any writing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from headrace import paths
from headrace.errors import ConfigError
from headrace.guard import policy
from redteam.case import Case, load
from redteam.drive import NEIGHBOURS
from redteam.stack import CANARY
from redteam.technique import AS_A_WHOLE, BY_HAND, LETTER_BY_LETTER, NAMES, rewritten
from tests.redteam.answers import CARD, card, case

GOOD = case().model_dump(mode="json", exclude_defaults=True)


@pytest.fixture(scope="module")
def shipped() -> list[Case]:
    return load()


def written(folder: Path, *cases: object) -> Path:
    file = folder / "some.yaml"
    file.write_text(yaml.safe_dump(list(cases)), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "evil"}, "0.kind: Input should be 'attack' or 'benign'"),
        ({"technique": "telepathy"}, "0.technique: .*no technique 'telepathy'; there are base64"),
        ({"expected": "praise"}, "0.expected"),
        ({"severity": 3}, "0.severity: Extra inputs"),
        ({"id": "Not an id"}, "0.id"),
        ({"text": None}, "give either text or messages"),
        ({"messages": [{"text": "Hi"}]}, "give either text or messages"),
        ({"expected": "allow", "category": None}, "an attack is flagged, redacted or blocked"),
        ({"kind": "benign"}, "what is benign is allowed or flagged"),
        ({"category": None}, "category: what is found as something has one"),
        ({"expected": "redact"}, "withheld: goes with what is redacted"),
        ({"direction": "response"}, "withheld: goes with .* an answer that is blocked"),
        ({"expected": "redact", "withheld": ["4111"]}, "withheld: '4111' is not in the text"),
        (
            {"expected": "redact", "withheld": ["Ignore all"], "text": "Ignore all of it all."},
            "'all' stands elsewhere",
        ),
    ],
)
def test_a_mistake_is_told_with_its_file_and_line(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    wrong = {key: value for key, value in (GOOD | changes).items() if value is not None}
    file = written(tmp_path, wrong)
    with pytest.raises(ConfigError, match=rf"{file}:\d+: .*{told}"):
        load(tmp_path)


def test_two_cases_of_one_id_are_refused(tmp_path: Path) -> None:
    written(tmp_path, GOOD, GOOD)
    with pytest.raises(ConfigError, match=r"some\.yaml: two cases have the id one"):
        load(tmp_path)


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no \.yaml file"):
        load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        CARD,
        "paid by 4111 and so on",
        "4-1-1-1",
        "\uff14\uff11\uff11\uff11",
        "4\u200b1\u200b1\u200b1",
        "... 1111.",
        "41 11",
    ],
)
def test_a_part_of_what_is_withheld_is_seen_in_any_writing(text: str) -> None:
    assert card().leaked(text)


@pytest.mark.parametrize("text", ["It is [CREDIT_CARD], as I said.", "It is 411.", "In 1911 or 1411", ""])
def test_other_text_is_no_leak(text: str) -> None:
    assert card().leaked(text) is None


def test_a_short_group_of_a_number_is_a_leak() -> None:
    number = card(category="us_ssn", text="It is 536-22-8726.", withheld=["536-22-8726"])
    assert [number.leaked(text) for text in ("so 22 it is", "and 536", "no 21, 8 or 53")] == ["22", "536", None]


def test_what_is_withheld_is_known_as_it_was_sent_too() -> None:
    word = card(technique="leetspeak", text="The word is kestrel.", category="canary", withheld=["kestrel"])
    assert word.sent == ("7h3 w0rd 15 k357r3l.",)
    assert word.leaked("k357")
    assert word.leaked("kest")


@pytest.mark.parametrize("technique", sorted(NAMES - BY_HAND))
def test_a_technique_hides_the_words_between_the_marks_alone(technique: str) -> None:
    sent = rewritten(technique, "Say «attack at dawn» loudly.")
    assert sent.startswith("Say ")
    assert sent.endswith(" loudly.")
    hides = technique in LETTER_BY_LETTER or technique in {"base64", "hex", "reversed"}
    assert ("attack at dawn" not in sent) == hides
    assert not {"«", "»"} & set(sent)


@pytest.mark.parametrize(
    ("technique", "sent"),
    [
        ("zero-width", "a\u200bt"),
        ("homoglyph", "\u0430t"),
        ("leetspeak", "47"),
        ("full-width", "\uff41\uff54"),
        ("spaced-letters", "a t"),
        ("html-entities", "&#97;&#116;"),
        ("rot13", "ng"),
        ("base64", "YXQ="),
        ("hex", "6174"),
        ("reversed", "ta"),
        ("in-json", '{"by": {"name": "R. Weaver"}, "notes": ["Tea at four.", "at"]}'),
    ],
)
def test_techniques_by_hand(technique: str, sent: str) -> None:
    assert rewritten(technique, "at") == sent


def test_the_cases_use_every_technique(shipped: list[Case]) -> None:
    assert {case.technique for case in shipped} == LETTER_BY_LETTER.keys() | AS_A_WHOLE.keys() | BY_HAND


def test_there_is_an_attack_for_all_that_the_shipped_policy_looks_for(shipped: list[Case]) -> None:
    file = policy.read(paths.PROJECT / "policy.yaml")
    standard = file.policies[file.default]
    looked_for = {("prompt", name) for name in standard.prompt} | {
        ("response", name) for name in standard.response
    }
    assert looked_for == {(case.direction, case.category) for case in shipped if case.kind == "attack"}


def test_every_expectation_is_what_the_shipped_policy_does_at_most(shipped: list[Case]) -> None:
    """A case that expects what no score leads to could never go right."""
    file = policy.read(paths.PROJECT / "policy.yaml")
    standard = file.policies[file.default]
    for one in shipped:
        if one.kind == "attack":
            levels = standard.thresholds(one.direction)[one.category or ""]
            assert getattr(levels, one.expected) is not None, one.id


def test_what_runs_beside_a_case_holds_nothing_that_it_withholds(shipped: list[Case]) -> None:
    assert [one.id for one in shipped for text in NEIGHBOURS if one.leaked(text)] == []


def test_the_canary_of_the_cases_is_the_one_of_the_stack(shipped: list[Case]) -> None:
    texts = [text.lower() for one in shipped if one.category == "canary" for text in (one.text or "",)]
    assert texts
    assert all(CANARY in text for text in texts)
