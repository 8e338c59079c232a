"""A run's figures on the terminal and as pages: `python -m perf.report` writes docs and README."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from headrace import paths
from headrace.errors import HeadraceError, StartupError
from perf import findings, records
from perf.chart import bar_chart
from perf.core.plan import CONCURRENCIES, NEW_TOKENS, PROMPT_TOKENS
from perf.findings import Finding, PolicyFinding, StepFinding
from perf.records import Run
from perf.statistics import FEWEST_ROUNDS, Bound, Estimate

PAGE = paths.PROJECT / "docs" / "benchmarks.md"
README = paths.PROJECT / "README.md"
TABLE_BEGIN = "<!-- written by a benchmark -->"
TABLE_END = "<!-- end -->"
_COLOURS = {"pass": "green", "below target": "yellow", "inconclusive": "yellow", "fail": "red"}
_ENGINES = {"mock": "a mock engine of 1 000 steps a second", "engine": "the real engine"}

_METHOD = f"""\
- Every round runs all sides one after the other, in an order that is drawn anew, on the same new prompts:
  {PROMPT_TOKENS} tokens each with the chat template, different from the first user token on, so that the
  prefix cache helps nobody; {NEW_TOKENS} new tokens each (`min_tokens` = `max_tokens`), greedy, closed loop.
- *Bare* is a plain loop over OpenVINO's `ContinuousBatchingPipeline.step()` with the worker's settings, in a
  process of its own. It gets token ids and gives token ids. The platform gets text and gives text over gRPC:
  chat template, tokenizing, detokenizing and the load generator, which shares the cores, all count against it.
- *Engine class* is `OpenVinoEngine` alone, without worker, sockets and Triton.
- The sides that do not run wait; the CPU they used meanwhile was measured and is in the table.
- TTFT added: the platform's p95 minus the bare engine's, over the same prompts: how much later its slow
  answers begin. The difference prompt by prompt is given too: most of it is how the engine's own times vary from
  one run to the next, as the engine class shows, which adds nothing and differs about as much.
- A cancel ends when the worker lets the request go, by the worker's own clock, the machine's monotonic one; the
  pipeline leaves the request out from its next step on. The worker is asked over its own socket.
- The eight streams beside a cancelled request are eight closed loops of such prompts that began apart: a cancel
  that meets a prompt's prefill waits for a step of up to `max_batch_tokens` tokens.
- Memory is the sum of the proportional set sizes of the supervisor and all processes below it.
- Intervals: 95 %, bootstrap over rounds. *pass*: all of the interval is on the good side of the bound; *fail*:
  all of it is beyond the limit; *below target*: between the two; *inconclusive*: it reaches over a bound, or
  comes from fewer than {FEWEST_ROUNDS} rounds. A worst value is what it is: it has no interval.
"""


def failed(run: Run) -> list[Finding]:
    return [finding for finding in findings.required(run) if finding.verdict == "fail"]


def show(run: Run, console: Console) -> None:
    """Tables on the terminal."""
    for shown in _tables(run):
        table = Table(title=shown.title, title_justify="left")
        for number, name in enumerate(shown.rows[0]):
            table.add_column(name, justify="left" if number == 0 else "right")
        for row in shown.rows[1:]:
            table.add_row(*(_coloured(cell) for cell in row))
        console.print(table)


def page(run: Run, charts: Sequence[str]) -> str:
    """The whole of docs/benchmarks.md; `charts` are names of files beside it."""
    facts = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in sorted(facts.versions.items()))
    parts = [
        "# Benchmarks",
        "",
        "Written by `python -m perf.report` from `perf/results/core.jsonl`; `make bench-core` measures anew. The",
        "machine is small: compare figures of this page with each other, not with another machine's.",
        "",
        f"- Run: {facts.run}, revision `{facts.revision}`",
        f"- Machine: {facts.cpu}, {facts.cores} cores, {facts.memory_gb:g} GB",
        f"- Load average before the run: {facts.load_average:.2f}",
        f"- Versions: {versions}",
        "",
        "## How it was measured",
        "",
        _METHOD,
    ]
    for table in _tables(run):
        parts += [f"## {table.title}", "", *markdown(table.rows), ""]
        parts += [f"![{table.title}]({chart})\n" for chart in charts if Path(chart).name == table.chart]
    return "\n".join(parts).rstrip() + "\n"


def readme(run: Run, text: str) -> str:
    """README's text with every required number between its two marks."""
    return filled(README, text, required_rows(findings.required(run)))


def filled(file: Path, text: str, rows: Rows) -> str:
    """A page's text with a table between its two marks."""
    before, _, rest = text.partition(TABLE_BEGIN + "\n")
    _, mark, after = rest.partition(TABLE_END)
    if not mark:
        raise StartupError(f"{file}: expected the marks {TABLE_BEGIN} and {TABLE_END}")
    table = "\n".join(markdown(rows))
    return f"{before}{TABLE_BEGIN}\n{table}\n{TABLE_END}{after}"


def charts(run: Run) -> dict[str, str]:
    """SVG by file name. Only of what was measured."""
    drawn = {}
    rates = {side: found for side, found in findings.rates(run).items() if len(found) == len(CONCURRENCIES)}
    if rates:
        groups = [f"C={c}" for c in CONCURRENCIES]
        series = {side: [found[c] for c in CONCURRENCIES] for side, found in rates.items()}
        drawn[_RATES_CHART] = bar_chart("Throughput of a closed loop", "tokens/s", groups, series)
    for engine, meaning in _ENGINES.items():
        if found := findings.policies(run, engine):
            groups = [str(entry.most_tokens) for entry in found]
            name = f"Tokens per second by tokens in a response, at most: {meaning}"
            drawn[_policy_chart(engine)] = bar_chart(
                name, "tokens/s", groups, {"tokens/s": [entry.rate for entry in found]}
            )
    return drawn


Rows = list[list[str]]
_RATES_CHART = "throughput.svg"


@dataclass(frozen=True)
class _Table:
    title: str
    rows: Rows
    """The first one is the head."""
    chart: str | None = None
    """The name of the file that shows the same."""


def _tables(run: Run) -> list[_Table]:
    tables = [
        _Table("Required numbers", required_rows(findings.required(run))),
        _Table("Throughput", _throughput(findings.rates(run)), _RATES_CHART),
        _Table("To read them by", _informative(findings.informative(run))),
    ]
    tables.append(_Table("Tokens a step of the engine, eight prompts at a time", _steps(findings.steps(run))))
    for engine in _ENGINES:
        rows = _policies(findings.policies(run, engine))
        tables.append(_Table(_policy_title(engine), rows, _policy_chart(engine)))
    return [table for table in tables if len(table.rows) > 1]


def required_rows(found: list[Finding]) -> Rows:
    rows = [["", "required", "measured", "95 % interval", "verdict"]]
    for finding in found:
        bound = _bound(finding.bound, finding.unit) if finding.bound else ""
        measured = _number(finding.estimate.value, finding.unit)
        interval = _interval(finding.estimate, finding.unit)
        rows.append([finding.title, bound, measured, interval, str(finding.verdict)])
    return rows


def _informative(found: list[Finding]) -> Rows:
    rows = [["", "measured", "95 % interval"]]
    return rows + [[f.title, _number(f.estimate.value, f.unit), _interval(f.estimate, f.unit)] for f in found]


def _throughput(rates: dict[str, dict[int, Estimate]]) -> Rows:
    rows = [["tokens/s", *(f"C={c}" for c in CONCURRENCIES)]]
    for side, found in rates.items():
        if found:
            cells = [found.get(c) for c in CONCURRENCIES]
            rows.append([side, *(f"{c.value:.0f} ({_interval(c, 'tokens/s')})" if c else "" for c in cells)])
    return rows


def _policies(found: list[PolicyFinding]) -> Rows:
    rows = [["tokens in a response, at most", "tokens/s", "95 % interval", "responses/s", "TTFT median"]]
    for entry in found:
        rate, interval = _number(entry.rate.value, "tokens/s"), _interval(entry.rate, "tokens/s")
        responses, first = _number(entry.responses.value, "tokens/s"), _number(entry.first_token.value, "s")
        rows.append([str(entry.most_tokens), rate, interval, responses, first])
    return rows


def _steps(found: list[StepFinding]) -> Rows:
    rows = [["`max_batch_tokens`", "tokens/s", "95 % interval", "wait for a step's end, p95", "longest step"]]
    for entry in found:
        rate, interval = _number(entry.rate.value, "tokens/s"), _interval(entry.rate, "tokens/s")
        rows.append([str(entry.size), rate, interval, _number(entry.wait.value, "s"), _number(entry.longest, "s")])
    return rows


def _policy_chart(engine: str) -> str:
    return f"coalescing-{engine}.svg"


def _policy_title(engine: str) -> str:
    return f"Coalescing with {_ENGINES[engine]}, eight streams"


def _bound(bound: Bound, unit: str) -> str:
    target = f"{'≥' if bound.at_least else '≤'} {_number(bound.target, unit)}"
    if bound.limit is None:
        return target
    return f"{target} (fail {'<' if bound.at_least else '>'} {_number(bound.limit, unit)})"


def _number(value: float, unit: str) -> str:
    if math.isnan(value):
        return "-"
    match unit:
        case "ratio":
            return f"{value:.3g}" if value >= 2 else f"{value:.3f}"
        case "s":
            return f"{value:.1f} s" if abs(value) >= 1 else f"{value * 1000:.3g} ms"
        case "bytes":
            return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"
        case "share":
            return f"{value:.1%}"
    return f"{value:.0f}"


def _interval(estimate: Estimate, unit: str) -> str:
    if math.isnan(estimate.low):
        return "-"
    return f"{_number(estimate.low, unit)} to {_number(estimate.high, unit)}"


def _coloured(cell: str) -> str:
    return f"[{_COLOURS[cell]}]{cell}[/]" if cell in _COLOURS else cell


def print_rows(console: Console, rows: Rows) -> None:
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*(_coloured(cell) for cell in row))
    console.print(table)


def markdown(rows: Rows) -> list[str]:
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def main() -> int:
    parser = argparse.ArgumentParser(prog="perf.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=records.RESULTS, help="JSON lines; the last run counts")
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="where to write; charts go into a folder beside it"
    )
    options = parser.parse_args()
    try:
        run = records.read_last_run(options.results)
        if options.page == PAGE:
            README.write_text(readme(run, README.read_text(encoding="utf-8")), encoding="utf-8")
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    folder = options.page.parent / options.page.stem
    folder.mkdir(parents=True, exist_ok=True)
    drawn = charts(run)
    for name, drawing in drawn.items():
        (folder / name).write_text(drawing, encoding="utf-8")
    text = page(run, [f"{folder.name}/{name}" for name in drawn])
    options.page.write_text(text, encoding="utf-8")
    print(f"written: {options.page} and {len(drawn)} charts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
