from __future__ import annotations

from pathlib import Path

import pytest

from headrace import paths
from headrace.errors import ConfigError
from headrace.guard import policy
from headrace.guard.policy import Policy, PolicyFile, Thresholds, read

GOOD = """\
default: usual
policies:
  usual:
    prompt:
      injection: {flag: 0.5, block: 0.9}
    response:
      toxicity: {block: 0.8}
      email_address: {redact: 0.5}
    stream: windowed
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def load(tmp_path: Path, text: str) -> PolicyFile:
    return read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("block: 0.9", "block: 1.9", 5, "block: Input should be less than or equal to 1"),
        ("{flag: 0.5, block: 0.9}", "{flag: 0.9, block: 0.5}", 5, "must rise"),
        ("{flag: 0.5, block: 0.9}", "{}", 5, "at least one of flag"),
        ("block: 0.9", "blok: 0.9", 5, "blok"),
        ("stream: windowed", "stream: fast", 9, "stream"),
        ("stream: windowed", "stream: async", 3, "would redact (email_address)"),
        ("default: usual", "default: other", 1, "no policy other; there are usual"),
        ("stream: windowed", "refusal: ''", 9, "refusal"),
        ("stream: windowed", "stream: windowed\n    stream: async", 10, "twice"),
        ("stream: windowed", "refusal: ' '", 9, "refusal"),
        ("stream: windowed", "time_limit_ms: .inf", 9, "time_limit_ms"),
        ("stream: windowed", "time_limit_ms: .nan", 9, "time_limit_ms"),
        ("policies:", "policy:", 2, "policy"),
        (
            "policies:",
            'rails: {terms: {names: {terms: [Ada, "  "]}}}\npolicies:',
            2,
            "entry 2, '  ', shows nothing",
        ),
        (
            "policies:",
            'rails: {terms: {names: {terms: ["\\u200b"]}}}\npolicies:',
            2,
            "shows nothing that could be",
        ),
        ("policies:", "rails: {pii: {phone_regions: [Utopia]}}\npolicies:", 2, "phone_regions"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    message = str(caught.value)
    assert says in message
    assert f"policy.yaml:{line}" in message or f"line {line}" in message, message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no-such\.yaml: no such file"):
        read(tmp_path / "no-such.yaml")


def test_the_version_is_of_what_it_says_not_of_how(tmp_path: Path) -> None:
    version = load(tmp_path, GOOD).policies["usual"].version
    same = GOOD.replace("{flag: 0.5, block: 0.9}", "{block: 0.90, flag: 0.5} # as before")
    assert load(tmp_path, same).policies["usual"].version == version
    for old, new in (
        ("block: 0.9", "block: 0.91"),
        ("policies:", "rails: {terms: {names: {terms: [Ada]}}}\npolicies:"),
        ("policies:", "rails: {pii: {phone_regions: [GB]}}\npolicies:"),
    ):
        assert load(tmp_path, GOOD.replace(old, new)).policies["usual"].version != version


def test_the_most_severe_threshold_that_is_reached_counts() -> None:
    levels = Thresholds(flag=0.2, redact=0.5, block=0.8)
    assert [levels.action(score) for score in (0.1, 0.2, 0.5, 0.79, 0.8, 1.0)] == [
        "allow", "flag", "redact", "redact", "block", "block",
    ]  # fmt: skip
    assert Thresholds(block=0.8).action(0.5) == "allow"


CHANGES = {
    "prompt": ("block: 0.9", "block: 0.91"),
    "response": ("block: 0.8", "block: 0.81"),
    "stream": ("stream: windowed", "stream: buffered"),
    "detect_only": ("stream: windowed", "stream: windowed\n    detect_only: true"),
    "on_error": ("stream: windowed", "stream: windowed\n    on_error: allow"),
    "time_limit_ms": ("stream: windowed", "stream: windowed\n    time_limit_ms: 100"),
    "refusal": ("stream: windowed", "stream: windowed\n    refusal: No."),
    "trust_system": ("stream: windowed", "stream: windowed\n    trust_system: false"),
}


def test_all_that_a_policy_says_is_in_its_version(tmp_path: Path) -> None:
    assert CHANGES.keys() == Policy.model_fields.keys()
    versions = {load(tmp_path, GOOD.replace(*change)).policies["usual"].version for change in CHANGES.values()}
    assert len(versions | {load(tmp_path, GOOD).policies["usual"].version}) == len(CHANGES) + 1


def test_a_default_that_is_written_out_says_the_same(tmp_path: Path) -> None:
    written = GOOD + "    on_error: block\n    trust_system: true\n"
    assert load(tmp_path, written).policies["usual"].version == load(tmp_path, GOOD).policies["usual"].version


def test_a_threshold_of_nothing_is_refused(tmp_path: Path) -> None:
    for level in ("flag", "redact", "block"):
        with pytest.raises(ConfigError, match=rf"policy\.yaml:5: .*{level}: Input should be greater than 0"):
            load(tmp_path, GOOD.replace("{flag: 0.5, block: 0.9}", f"{{{level}: 0}}"))


SHIPPED = policy.read(paths.PROJECT / "policy.yaml").policies


def test_the_shipped_policies_let_nothing_out_that_they_find() -> None:
    for name in ("standard", "buffered"):
        one = SHIPPED[name]
        assert (one.on_error, one.detect_only, one.trust_system) == ("block", False, True)
        assert one.stream == ("windowed" if name == "standard" else "buffered")
        levels = one.response
        assert {category for category in levels if levels[category].block} == {"toxicity", "canary"}
        assert {category for category in levels if levels[category].redact} == {
            "secret", "credit_card", "iban_code", "us_ssn",
        }  # fmt: skip
        assert {category for category in one.prompt if one.prompt[category].block} == {"injection", "toxicity"}
        assert {category for category in one.prompt if one.prompt[category].redact} == {
            "secret", "credit_card", "iban_code", "us_ssn",
        }  # fmt: skip
    assert (SHIPPED["detect"].detect_only, SHIPPED["detect"].prompt) == (True, SHIPPED["standard"].prompt)
    assert not SHIPPED["off"].prompt
    assert not SHIPPED["off"].response
