"""The policy in force while its file changes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.errors import ConfigError
from headrace.guard.judge import Judge
from headrace.guard.live import LivePolicy
from tests.guard.rails import Silent

FIRST = """\
default: one
rails: {terms: {fruit: {terms: [apple]}}}
policies:
  one: {prompt: {fruit: {block: 0.5}}}
"""
SECONDS = 20.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(FIRST)
    return file


def write(file: Path, text: str) -> None:
    """As an editor does it: whole, at once."""
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)


def version(judge: Judge) -> str:
    return judge.policy(None)[1].version


def test_a_change_of_policies_holds_at_once_and_keeps_the_rails(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before, rails = version(live.judge()), live._rails
    write(file, FIRST.replace("0.5", "0.9"))
    assert version(live.judge()) != before
    assert live._rails is rails
    live.close()


def test_a_bad_file_or_none_leaves_the_old_policy(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live = LivePolicy(file, Silent())
    before = version(live.judge())
    with structlog.testing.capture_logs() as logs:
        write(file, FIRST.replace("block: 0.5", "block: 5"))
        assert version(live.judge()) == before
        file.unlink()
        assert version(live.judge()) == before
        write(file, FIRST.replace("fruit: {block", "music: {block"))
        until(lambda: len(logs) == 3, live)
    assert version(live.judge()) == before
    problems = [str(entry["problem"]) for entry in logs]
    assert "policy.yaml:4: policies.one.prompt.fruit.block" in problems[0]
    assert "no such file" in problems[1]
    assert "no rail finds music" in problems[2]
    live.close()


def test_new_rails_are_built_on_the_side(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before = version(live.judge())
    write(file, FIRST.replace("apple", "pear").replace("0.5", "0.6"))
    until(lambda: version(live.judge()) != before, live)
    live.close()


def test_rails_that_cannot_do_what_the_policy_says_leave_the_old_policy(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before = version(live.judge())
    with structlog.testing.capture_logs() as logs:
        write(file, FIRST.replace("{fruit: {block: 0.5}}", "{canary: {redact: 0.5}}"))
        until(lambda: len(logs) == 1, live)
    assert version(live.judge()) == before
    assert "canary cannot be redacted" in str(logs[0]["problem"])
    live.close()


def test_nothing_starts_without_a_policy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        LivePolicy(tmp_path / "policy.yaml", Silent())


def until(true: Any, live: LivePolicy) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        live.judge()
        time.sleep(0.01)
