"""`make bench-core`: the stack beside the bare engine, in interleaved rounds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from headrace import config as configuration
from headrace.config import Config
from headrace.errors import HeadraceError
from perf import machine, records, report
from perf.core import cache_hits, cancel, coalescing, first_token, footprint, path, step_size, throughput
from perf.core.plan import QUICK, Plan
from perf.load import LoadClient
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import Platform, bare_engine
from perf.stack import config_file, end_on_sigterm, running, without_guards

_PARTS = ("engine", "steps", "policies", "path")
console = Console(highlight=False)


async def against_the_bare_engine(record: Recorder, config: Config, prompts: PromptMaker, plan: Plan) -> None:
    """All that needs one stack with the real engine; the bare engines live beside it, idle in their turn."""
    with contextlib.ExitStack() as processes:
        file = processes.enter_context(config_file(config))
        stack = processes.enter_context(running(config))
        footprint.record_start(record, stack)
        loop = processes.enter_context(bare_engine("loop", "bare", file))
        engine_class = processes.enter_context(bare_engine("class", "engine class", file))
        async with LoadClient(stack.grpc) as client:
            platform = Platform(stack, client)
            sides = (platform, loop, engine_class)
            await throughput.warm_up(sides, prompts)
            for number in range(plan.throughput_rounds):
                _tell(f"round {number + 1} of {plan.throughput_rounds}: throughput beside the bare engine")
                record.start_round(number)
                await throughput.measure(record, sides, prompts, plan)
            for number in range(plan.rounds):
                _tell(f"round {number + 1} of {plan.rounds}: first token, cache, cancel, memory")
                record.start_round(number)
                await first_token.measure(record, sides, prompts, plan)
                await asyncio.to_thread(cache_hits.measure, record, stack.grpc, prompts, plan)
                await cancel.measure(record, client, stack.engine_socket, prompts, plan)
                await footprint.measure(record, platform, prompts, plan)


async def by_step_size(record: Recorder, config: Config, prompts: PromptMaker, plan: Plan) -> None:
    _tell("tokens a step: the bare engine")
    await step_size.measure(record, config, prompts, plan)


async def by_policy(record: Recorder, config: Config, prompts: PromptMaker, plan: Plan) -> None:
    for number in range(plan.policy_rounds):
        _tell(f"round {number + 1} of {plan.policy_rounds}: coalescing policies")
        record.start_round(number)
        await coalescing.measure_mock(record, config, prompts, plan)
        await coalescing.measure_real(record, config, prompts, plan)


async def path_alone(record: Recorder, config: Config, prompts: PromptMaker, plan: Plan) -> None:
    with running(coalescing.with_mock(config, step_ms=0)) as stack:
        for number in range(plan.rounds):
            _tell(f"round {number + 1} of {plan.rounds}: the path with a mock engine")
            record.start_round(number)
            await path.measure(record, stack, prompts, plan)


async def run(file: Path, plan: Plan, parts: tuple[str, ...]) -> None:
    config = without_guards(configuration.load())
    record = Recorder(file, machine.facts(config, parts=list(parts), **asdict(plan)))
    prompts = PromptMaker(config.engine.model, random.SystemRandom().getrandbits(32))
    experiments = dict(zip(_PARTS, (against_the_bare_engine, by_step_size, by_policy, path_alone), strict=True))
    for part in parts:
        await experiments[part](record, config, prompts, plan)


def _tell(what: str) -> None:
    console.print(f"[dim]{what}[/dim]")


def main() -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="perf.bench_core", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of every part; fewer than 6 give no verdict")
    parser.add_argument("--quick", action="store_true", help="a few minutes: to see that it works")
    parser.add_argument("--only", choices=_PARTS, action="append", help="one part; may be given again")
    parser.add_argument("--results", type=Path, help=f"JSON lines; a whole run goes to {records.RESULTS.name}")
    options = parser.parse_args()
    whole = not (options.quick or options.only or options.rounds)
    file = options.results or records.TRIAL
    plan = QUICK if options.quick else Plan()
    if options.rounds is not None:
        if options.rounds < 1:
            parser.error("--rounds: expected 1 or more")
        plan = replace(
            plan,
            rounds=options.rounds,
            throughput_rounds=options.rounds,
            policy_rounds=min(plan.policy_rounds, options.rounds),
        )
    try:
        asyncio.run(run(file, plan, tuple(options.only or _PARTS)))
        finished = records.read_last_run(file)
        if whole and options.results is None:
            file.replace(records.RESULTS)
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report.show(finished, console)
    return 1 if report.failed(finished) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
