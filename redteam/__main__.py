"""`make redteam`: every case in every form against a live server; exit code 1 for a miss that is not known."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from headrace import config as configuration
from headrace import paths
from headrace.config import Config
from headrace.errors import HeadraceError
from perf import machine, records
from perf.stack import end_on_sigterm
from redteam import case, report, results, stack
from redteam.case import Case
from redteam.door import Door
from redteam.drive import Driver, Target
from redteam.results import Results

PAGE = records.RESULTS.with_name("redteam.md")
"""Of the project's own stack, at this revision: the JSON lies beside it."""
console = Console(highlight=False)


def attack_own(config: Config) -> Results:
    """A stack that is started for it, with the shipped policy."""
    cases = case.load()
    known = results.known_misses(cases)
    with stack.started(config) as target:
        return asyncio.run(_attack(config, target, cases, known, f"started for this; engine {stack.ENGINE}"))


async def attack_running(config: Config) -> Results:
    cases = case.load()
    known = results.known_misses(cases)
    target = await stack.already_running(config)
    return await _attack(config, target, cases, known, f"the one that ran at {target.address}, with its policies")


async def _attack(
    config: Config, target: Target, cases: Sequence[Case], known: Mapping[str, str], server: str
) -> Results:
    facts = machine.facts(config)
    async with Door(target.address) as door:
        outcomes = await Driver(door, target).run(cases)
    left_out = tuple(one for one in cases if one.direction not in target.policies)
    return Results(facts.run, facts.revision, server, tuple(outcomes), left_out, known)


def main() -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="redteam", description=__doc__)
    parser.add_argument("--running", action="store_true", help="attack the stack that `make up` started")
    parser.add_argument("--report", type=Path, metavar="PAGE.md", help=f"instead of {PAGE.name} in perf/results")
    options = parser.parse_args()
    # What is found at somebody's own stack says nothing of this revision.
    file = options.report or (paths.home() / "redteam" / "running.md" if options.running else PAGE)
    try:
        config = configuration.load()
        found = asyncio.run(attack_running(config)) if options.running else attack_own(config)
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report.write(found, file)
    report.show(found, console)
    console.print(str(file))
    return 1 if found.complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
