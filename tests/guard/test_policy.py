from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.guard.policy import PolicyFile, Thresholds, read

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
