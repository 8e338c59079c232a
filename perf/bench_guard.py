"""`make bench-guard`: what the guards cost, with guards off in interleaved rounds; writes docs/guardrails.md."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from headrace import config as configuration
from headrace import paths
from headrace.errors import HeadraceError
from headrace.guard import policy
from perf import machine, records, report
from perf.guard import beside_off, findings, rails_alone, stopped
from perf.load import LoadClient
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.stack import end_on_sigterm, running, under

PAGE = paths.PROJECT / "docs" / "guardrails.md"
TRIAL = records.GUARD_RESULTS.with_name("guard-trial.jsonl")
_SHIPPED = paths.PROJECT / "policy.yaml"
_ROUNDS = 12
console = Console(highlight=False)


async def run(file: Path, rounds: int) -> None:
    config = configuration.load()
    shipped = policy.read(_SHIPPED)
    record = Recorder(file, machine.facts(config, rounds=rounds))
    rails = rails_alone.built_in(shipped)
    for number in range(rounds):
        console.print(f"[dim]round {number + 1} of {rounds}: the rails alone[/dim]")
        record.start_round(number)
        rails_alone.measure(record, rails, singles=60, batches=4, seed=number * 2 + 1)
    prompts = PromptMaker(config.engine.model, random.SystemRandom().getrandbits(32))
    with (
        TemporaryDirectory() as folder,
        running(under(config, stopped.with_policy(shipped, Path(folder)))) as stack,
    ):
        async with LoadClient(stack.grpc) as client:
            await beside_off.warm_up(client, prompts)
            for number in range(rounds):
                console.print(f"[dim]round {number + 1} of {rounds}: the stack, guards on and off[/dim]")
                record.start_round(number)
                await beside_off.measure_rate(record, client, prompts, batches=2)
                await beside_off.measure_first(record, client, prompts, count=15)
                await stopped.measure(record, client, stack.engine_socket, prompts, count=5)


def main() -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="perf.bench_guard", description=__doc__)
    parser.add_argument("--rounds", type=int, help="fewer than 6 give no verdict; the page is then left as it is")
    parser.add_argument("--report", action="store_true", help="measure nothing: write the page from the last run")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    whole = options.rounds is None
    try:
        if not options.report:
            asyncio.run(run(TRIAL, options.rounds or _ROUNDS))
            if whole:
                TRIAL.replace(records.GUARD_RESULTS)
        finished = records.read_last_run(records.GUARD_RESULTS if whole else TRIAL)
        rows = report.required_rows(findings.required(finished))
        if whole:
            text = report.filled(PAGE, PAGE.read_text(encoding="utf-8"), rows)
            PAGE.write_text(text, encoding="utf-8")
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report.print_rows(console, rows)
    return 1 if any(finding.verdict == "fail" for finding in findings.required(finished)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
