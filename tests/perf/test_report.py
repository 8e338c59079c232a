from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from headrace import config, paths
from headrace.errors import StartupError
from perf import findings, machine, report
from perf.records import RESULTS, Machine, Recorder, Run, read_last_run
from perf.statistics import FEWEST_ROUNDS, Bound, Estimate


def _machine(run: str) -> Machine:
    return Machine(
        run=run,
        cpu="a processor",
        cores=2,
        memory_gb=8.0,
        load_average=0.25,
        versions={"python": "3.11.7"},
        revision="0123456789ab",
        settings={"engine": {"name": "openvino"}},
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Six rounds whose figures are known: the platform makes 95, 94 and 96 of 100 tokens/s at C=8."""
    file = tmp_path / "core.jsonl"
    record = Recorder(file, _machine("second"))
    for number, rate in enumerate((95.0, 94.0, 96.0) * 2):
        record.start_round(number)
        record.add("throughput", "bare", "tokens/s", [30.0], concurrency=1)
        record.add("throughput", "bare", "tokens/s", [100.0], concurrency=8)
        record.add("throughput", "bare", "tokens/s", [200.0], concurrency=16)
        record.add("throughput", "platform", "tokens/s", [29.0], concurrency=1)
        record.add("throughput", "platform", "tokens/s", [rate], concurrency=8)
        record.add("throughput", "platform", "tokens/s", [160.0], concurrency=16)
        record.add("first_token", "bare", "s", [0.140, 0.200])
        record.add("first_token", "platform", "s", [0.145, 0.204])
        for policy, tokens_per_second in ((1, 1000.0), (8, 4000.0)):
            record.add("coalescing_rate", "mock", "tokens/s", [tokens_per_second], policy=policy)
            record.add("coalescing_responses", "mock", "responses/s", [900.0], policy=policy)
            record.add("coalescing_first_token", "mock", "s", [0.01], policy=policy)
    return file


@pytest.fixture
def run(results: Path) -> Run:
    return read_last_run(results)


def test_required_numbers_by_hand(run: Run) -> None:
    found = {finding.title: finding for finding in findings.required(run)}
    eight = found["platform / bare engine, tokens/s, C=8"]
    assert eight.estimate.value == pytest.approx((0.95 * 0.94 * 0.96) ** (1 / 3))
    assert eight.verdict == "pass"
    assert found["platform / bare engine, tokens/s, C=16"].verdict == "fail"
    assert found["platform / bare engine, tokens/s, C=16"].estimate.value == pytest.approx(0.8)
    gain = found["bare: tokens/s of C=8 / one request at a time"]
    assert gain.estimate.value == pytest.approx(100 / 30)


def test_added_time_is_how_far_the_quantile_moved(run: Run) -> None:
    """5 ms and 4 ms were added; the prompts' own times differ by far more."""
    added = next(f for f in findings.required(run) if f.title.startswith("TTFT added"))
    assert added.estimate.value == pytest.approx(0.004)
    assert added.verdict == "pass"


def test_what_was_not_measured_is_not_in_the_tables(run: Run) -> None:
    titles = [finding.title for finding in findings.required(run) + findings.informative(run)]
    assert not [title for title in titles if "cancel" in title or "cache" in title or "memory" in title]


def test_failed_numbers_are_named(run: Run) -> None:
    assert [f.title for f in report.failed(run)] == ["platform / bare engine, tokens/s, C=16"]


def test_the_page_shows_required_beside_measured(run: Run) -> None:
    page = report.page(run, ["benchmarks/throughput.svg"])
    row = next(line for line in page.splitlines() if line.startswith("| platform / bare engine, tokens/s, C=16"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "platform / bare engine, tokens/s, C=16",
        "≥ 0.920 (fail < 0.850)",
        "0.800",
        "0.800 to 0.800",
        "fail",
    ]
    assert "0123456789ab" in page
    assert "](benchmarks/throughput.svg)" in page


def test_the_readme_shows_every_required_number(run: Run) -> None:
    text = f"# Name\n\nBefore.\n\n{report.TABLE_BEGIN}\nold\n{report.TABLE_END}\n\nAfter.\n"
    filled = report.readme(run, text)
    assert filled.startswith(f"# Name\n\nBefore.\n\n{report.TABLE_BEGIN}\n| ")
    assert filled.endswith(f"|\n{report.TABLE_END}\n\nAfter.\n")
    for finding in findings.required(run):
        assert f"| {finding.title} | " in filled
    assert " | fail |" in filled
    assert report.readme(run, filled) == filled


def test_a_worst_value_is_judged_as_it_is(results: Path) -> None:
    record = Recorder(results, _machine("worst"))
    for number in range(FEWEST_ROUNDS):
        record.start_round(number)
        record.add("cancel", "stop request", "s", [0.01, 0.149 if number else 0.151], background=0)
    found = {finding.title: finding for finding in findings.required(read_last_run(results))}
    worst = found[f"cancel by stop request, alone, worst of {2 * FEWEST_ROUNDS}"]
    assert (worst.estimate.value, worst.verdict) == (0.151, "fail")
    assert "| 151 ms | - | fail |" in report.page(read_last_run(results), [])


def test_the_wait_for_a_step_by_hand(results: Path) -> None:
    """Steps of 10, 10 and 80 ms: 5 of their 100 ms are the moments that wait for more than 75 ms."""
    record = Recorder(results, _machine("steps"))
    for size, longest in ((128, 0.08), (256, 0.16)):
        record.add("step_size_rate", "bare", "tokens/s", [100.0], size=size)
        record.add("step_size_step", "bare", "s", [longest / 8, longest / 8, longest], size=size)
    small, large = findings.steps(read_last_run(results))
    assert (small.size, small.longest, large.size) == (128, 0.08, 256)
    assert small.wait.value == pytest.approx(0.075)
    assert large.wait.value == pytest.approx(0.150)
    assert "| 256 | 100 | - | 150 ms | 160 ms |" in report.page(read_last_run(results), [])


def test_the_committed_run_was_made_with_the_settings_of_today() -> None:
    """Who changes one of them measures anew."""
    measured: Any = read_last_run(RESULTS).machine.settings
    today: Any = machine.facts(config.load(paths.PROJECT / "headrace.yaml")).settings
    for settings in (measured, today):
        settings["engine"]["openvino"].pop("threads")  # the machine's
    assert measured["engine"] == today["engine"]
    assert measured["coalescing"] == today["coalescing"]


def test_the_committed_pages_are_what_the_report_writes() -> None:
    run = read_last_run(RESULTS)
    charts = [f"{report.PAGE.stem}/{name}" for name in report.charts(run)]
    assert report.PAGE.read_text(encoding="utf-8") == report.page(run, charts)
    text = report.README.read_text(encoding="utf-8")
    assert report.readme(run, text) == text


def test_few_rounds_give_no_verdict() -> None:
    few = Estimate(1.0, 0.9, 1.1, FEWEST_ROUNDS - 1)
    assert Bound(2.0).judge(few) == "inconclusive"
    assert Bound(2.0).judge(replace(few, rounds=FEWEST_ROUNDS)) == "pass"


def test_charts_are_drawn_to_scale(run: Run) -> None:
    drawn = report.charts(run)
    svg = ET.fromstring(drawn["coalescing-mock.svg"])
    bars = [r for r in svg.iter("{http://www.w3.org/2000/svg}rect") if r.find("{*}title") is not None]
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[1] == pytest.approx(4 * heights[0], rel=0.01)


def test_only_the_last_run_counts(results: Path) -> None:
    earlier = results.read_bytes().replace(b'"second"', b'"first"')
    results.write_bytes(earlier + results.read_bytes())
    assert read_last_run(results).machine.run == "second"
    assert list(read_last_run(results).rounds("throughput", "platform", concurrency=8)) == [0, 1, 2, 3, 4, 5]


def test_an_interrupted_run_leaves_what_it_has(results: Path) -> None:
    record = Recorder(results, _machine("third"))
    record.add("throughput", "platform", "tokens/s", [50.0], concurrency=8)
    run = read_last_run(results)
    assert run.rounds("throughput", "platform", concurrency=8) == {0: [50.0]}
    assert findings.required(run) == []


@pytest.mark.parametrize("content", ["", "{}\n", "no json\n"])
def test_no_results_are_one_clear_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "core.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(StartupError, match="make bench-core"):
        read_last_run(file)
