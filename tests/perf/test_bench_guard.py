"""The figures of the guards: from measurements to the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import config, paths
from headrace.guard import policy
from headrace.guard.rail import Rail
from perf import bench_guard, machine, records, report
from perf.guard import beside_off, findings, rails_alone, stopped
from perf.records import Recorder, read_last_run
from tests.guard.test_recent import Rail as Words


def test_the_page_shows_the_last_run() -> None:
    text = bench_guard.PAGE.read_text("utf-8")
    run = read_last_run(records.GUARD_RESULTS)
    assert text == report.filled(bench_guard.PAGE, text, report.required_rows(findings.required(run)))
    assert run.machine.settings["guard"] == {"policy": "policy.yaml"}


def test_what_the_guards_add_is_told_against_off(tmp_path: Path) -> None:
    record = Recorder(tmp_path / "run.jsonl", machine.facts(config.load()))
    for number in range(6):
        record.start_round(number)
        record.add(rails_alone.ALONE, "rails", "s", [0.004, 0.030])
        record.add(rails_alone.BATCHES, "rails", "texts/s", [600])
        for side, rate, first in (("off", 400, 0.1), ("windowed", 380, 0.11), ("buffered", 300, 1.0)):
            record.add(beside_off.RATE, side, "tokens/s", [rate])
            for concurrency in (1, 16):
                record.add(beside_off.FIRST, side, "s", [first, first], concurrency=concurrency)
        for beside, seconds in ((0, -0.002), (8, 0.09)):
            record.add(stopped.NAME, stopped.SIDE, "s", [seconds, seconds], background=beside)
    found = findings.required(read_last_run(tmp_path / "run.jsonl"))
    assert [finding.verdict for finding in found] == ["fail", "pass", "pass", "fail", *["pass"] * 4, "fail"]
    values = [finding.estimate.value for finding in found]
    assert values == pytest.approx([0.03, 600, 0.95, 0.75, 0.01, 0.01, 0.01, -0.002, 0.09], rel=0.02)


def test_texts_are_of_one_length_and_differ() -> None:
    texts = rails_alone.texts(40, seed=3)
    assert {len(text) for text in texts} == {rails_alone.CHARACTERS}
    assert len(set(texts)) == 40
    assert texts == rails_alone.texts(40, seed=3)


def test_the_rails_alone_are_timed_text_by_text_and_in_batches(tmp_path: Path) -> None:
    rail = Words()
    rails: list[Rail] = [rail]
    record = Recorder(tmp_path / "run.jsonl", machine.facts(config.load()))
    rails_alone.measure(record, rails, singles=3, batches=2, seed=1)
    run = read_last_run(tmp_path / "run.jsonl")
    assert len(run.rounds(rails_alone.ALONE, "rails")[0]) == 3
    assert len(rail.texts) == 3 + 2 * rails_alone.BATCH
    assert run.rounds(rails_alone.BATCHES, "rails")[0][0] > 0


def test_the_policy_that_ends_streams_leaves_the_shipped_ones_as_they_are(tmp_path: Path) -> None:
    shipped = policy.read(paths.PROJECT / "policy.yaml")
    more = policy.read(stopped.with_policy(shipped, tmp_path))
    assert more.policies.keys() - shipped.policies.keys() == {"ends-soon"}
    for name, one in shipped.policies.items():
        assert more.policies[name].model_dump() == one.model_dump()
    assert more.rails.pii == shipped.rails.pii


def test_the_sides_are_policies_that_are_shipped() -> None:
    shipped = policy.read(paths.PROJECT / "policy.yaml").policies
    modes = {side: shipped[name].stream for side, name in beside_off.POLICIES.items()}
    assert modes == {"windowed": "windowed", "buffered": "buffered", "off": "async"}
    assert (shipped["off"].prompt, shipped["off"].response) == ({}, {})
