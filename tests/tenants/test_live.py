"""The tenants in force while their file changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.errors import ConfigError
from headrace.file_stamp import stamp
from headrace.tenants import live as live_module
from headrace.tenants.file import Tenants, read
from headrace.tenants.live import LOOK_SECONDS, LiveTenants
from tests.tenants.made_up import GOOD, written


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(tmp_path: Path, clock: Clock) -> Iterator[LiveTenants]:
    live = LiveTenants(written(tmp_path), clock)
    yield live
    live.close()


def later(live: LiveTenants, clock: Clock) -> Tenants:
    """What holds after the next look, and the reading that it led to."""
    clock.seconds += LOOK_SECONDS
    live.current()
    live.close()
    return live.current()


def problems(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [entry["problem"] for entry in logs if "problem" in entry]


def test_a_change_holds_after_the_next_look(live: LiveTenants, clock: Clock, tmp_path: Path) -> None:
    before = live.current()
    written(tmp_path, GOOD.replace("per_minute: 60", "per_minute: 61"))
    assert live.current() is before
    assert later(live, clock).settings["acme"].requests_per_minute == 61
    assert before.settings["acme"].requests_per_minute == 60


def test_a_bad_file_or_none_leaves_the_old_one_and_says_so_once(
    live: LiveTenants, clock: Clock, tmp_path: Path
) -> None:
    before = live.current()
    with structlog.testing.capture_logs() as logs:
        written(tmp_path, GOOD.replace("per_minute: 60", "per_minute: -1"))
        for _ in range(3):
            assert later(live, clock) is before
        (tmp_path / "tenants.yaml").unlink()
        for _ in range(3):
            assert later(live, clock) is before
        written(tmp_path, "")
        assert later(live, clock) is before
    bad, missing, empty = problems(logs)
    assert "tenants.yaml:10: tenants.acme.requests_per_minute" in bad
    assert "no such file" in missing
    assert "tenants: Field required" in empty
    written(tmp_path)
    assert later(live, clock).settings == before.settings
    assert later(live, clock) is not before


def test_many_requests_cost_one_look(live: LiveTenants, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []

    def counted(file: Path) -> Any:
        looks.append(file)
        return stamp(file)

    monkeypatch.setattr("headrace.tenants.live.stamp", counted)
    for _ in range(100):
        live.current()
        clock.seconds += LOOK_SECONDS / 50
    assert len(looks) == 1


def test_requests_go_on_while_a_file_is_read_and_a_change_meanwhile_is_seen(
    live: LiveTenants, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, may_end, threads = live.current(), threading.Event(), []

    def slowly(file: Path) -> Tenants:
        threads.append(threading.current_thread())
        found = read(file)
        may_end.wait(20)
        return found

    monkeypatch.setattr(live_module, "read", slowly)
    written(tmp_path, GOOD.replace("per_minute: 60", "per_minute: 61"))
    clock.seconds += LOOK_SECONDS
    for _ in range(3):
        assert live.current() is before
        clock.seconds += LOOK_SECONDS
    written(tmp_path, GOOD.replace("per_minute: 60", "per_minute: 62"))
    assert live.current() is before
    assert len(threads) == 1
    may_end.set()
    live.close()
    assert later(live, clock).settings["acme"].requests_per_minute == 62
    assert len(threads) == 2
    assert threading.main_thread() not in threads


def test_what_goes_wrong_in_an_unforeseen_way_leaves_the_old_one(
    live: LiveTenants, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> Tenants:
        raise RuntimeError("boom")

    before = live.current()
    monkeypatch.setattr(live_module, "read", broken)
    written(tmp_path, GOOD + "\n")
    with structlog.testing.capture_logs() as logs:
        assert later(live, clock) is before
    assert [entry["event"] for entry in logs] == ["the new tenants were not read; the old ones go on"]


def test_nothing_starts_without_tenants(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        LiveTenants(tmp_path / "tenants.yaml")
