"""The policy in force while its file changes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.errors import ConfigError
from headrace.guard import policy, rails
from headrace.guard.judge import Asked, Judge
from headrace.guard.live import LivePolicy
from headrace.guard.policy import PolicyFile
from headrace.guard.rail import Rail
from headrace.guard.windows import Window
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


def problems(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [entry["problem"] for entry in logs if "problem" in entry]


def test_a_change_of_policies_holds_at_once_and_keeps_the_rails(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before, runners = version(live.judge()), live.judge()._runners
    write(file, FIRST.replace("0.5", "0.9"))
    assert version(live.judge()) != before
    assert live.judge()._runners is runners
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
        until(lambda: len(problems(logs)) == 3, live)
    assert version(live.judge()) == before
    bad, missing, blind = problems(logs)
    assert "policy.yaml:4: policies.one.prompt.fruit.block" in bad
    assert "no such file" in missing
    assert "no rail finds music" in blind
    live.close()


def test_new_rails_are_built_on_the_side(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before = version(live.judge())
    write(file, FIRST.replace("apple", "pear").replace("0.5", "0.6"))
    until(lambda: version(live.judge()) != before, live)
    (found,) = live.judge().judge([Asked("one", "prompt", Window("", "a pear"))])
    assert found.verdict.action == "block"
    live.close()


def test_a_change_during_the_building_of_rails_is_not_undone_by_what_was_built(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LivePolicy(file, Silent())
    may_end, build = threading.Event(), rails.build

    def slowly(said: PolicyFile) -> list[Rail]:
        may_end.wait(SECONDS)
        return build(said)

    monkeypatch.setattr("headrace.guard.live.rails.build", slowly)
    write(file, FIRST.replace("apple", "pear"))
    live.judge()
    building = live._building
    assert building is not None

    def just_ended() -> bool:
        may_end.set()
        building.join(SECONDS)
        return False

    # It ends at the worst moment: while it is looked at whether it has.
    monkeypatch.setattr(building, "is_alive", just_ended)
    write(file, FIRST.replace("0.5", "0.7"))
    expected = policy.read(file).policies["one"].version
    until(lambda: version(live.judge()) == expected, live)
    for _ in range(3):
        assert version(live.judge()) == expected
    live.close()


def test_bad_files_leave_no_threads(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before = set(threading.enumerate())
    with structlog.testing.capture_logs() as logs:
        for number in range(5):
            write(file, FIRST.replace("{fruit: {block: 0.5}}", f"{{canary: {{redact: 0.{number + 1}}}}}"))
            until(lambda: len(problems(logs)) == number + 1, live)  # noqa: B023
            until(lambda: live._building is None or not live._building.is_alive(), live)
    until(lambda: not rails_running(before), live)
    live.close()


def test_rails_that_cannot_do_what_the_policy_says_leave_the_old_policy(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before = version(live.judge())
    with structlog.testing.capture_logs() as logs:
        write(file, FIRST.replace("{fruit: {block: 0.5}}", "{canary: {redact: 0.5}}"))
        until(lambda: len(problems(logs)) == 1, live)
    assert version(live.judge()) == before
    assert "canary cannot be redacted" in problems(logs)[0]
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


def test_a_file_that_is_written_in_place_is_read_anew(file: Path) -> None:
    live = LivePolicy(file, Silent())
    before, was = version(live.judge()), file.stat()
    file.write_text(FIRST.replace("0.5", "0.9"))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns + 1000))
    assert (file.stat().st_ino, file.stat().st_size) == (was.st_ino, was.st_size)
    assert version(live.judge()) != before
    live.close()


def rails_running(others: set[threading.Thread]) -> list[str]:
    """Names of the rails' threads, and of those that build rails, without `others`."""
    return [one.name for one in set(threading.enumerate()) - others if one.name.startswith("rail")]


def until_read(live: LivePolicy, file: Path) -> None:
    expected = policy.read(file).policies["one"].version
    until(lambda: version(live.judge()) == expected, live)


def test_rails_that_are_replaced_come_to_their_end(file: Path) -> None:
    others = set(threading.enumerate())
    live = LivePolicy(file, Silent())
    for number in range(3):
        write(file, FIRST.replace("apple", f"pear{number}").replace("0.5", f"0.{number + 6}"))
        until_read(live, file)
    until(lambda: rails_running(others) == ["rail-fruit"], live)
    assert live.judge().judge([Asked("one", "prompt", Window("", "pear2"))])[0].verdict.action == "block"
    live.close()
