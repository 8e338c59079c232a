"""`make bench-gateway`: what the gateway adds to Triton, in interleaved rounds; writes docs/gateway.md."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvloop
from rich.console import Console

from headrace import config as configuration
from headrace import paths
from headrace.config import Config
from headrace.errors import HeadraceError
from perf import machine, records, report
from perf.gateway import added, capacity, engine, findings, hits, leaving, open_streams, overload
from perf.gateway.alone import gateway_alone
from perf.gateway.chat import ChatClient
from perf.gateway.ways import Way, doors_of, ways_to
from perf.load import LoadClient
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import bare_engine
from perf.stack import Stack, config_file, end_on_sigterm, running, without_guards

PAGE = paths.PROJECT / "docs" / "gateway.md"
TRIAL = records.GATEWAY_RESULTS.with_name("gateway-trial.jsonl")
_ROUNDS, _OVERLOAD_ROUNDS, _ENGINE_ROUNDS, _MEMORY_ROUNDS = 10, 6, 12, 6
_PLACES = 1200
"""More than any part has in flight: it is not admission that is measured."""
console = Console(highlight=False)


async def before_a_mock(record: Recorder, config: Config, prompts: PromptMaker, rounds: int) -> None:
    async with _stack(_mock(config, added.STEP_MS, 1)) as (_, ways):
        for _ in _rounds(record, rounds, "what the gateway adds"):
            await added.measure(record, ways, prompts, count=160)


async def full_process(record: Recorder, config: Config, prompts: PromptMaker, rounds: int) -> None:
    with gateway_alone(config, capacity.PIECES, capacity.TOKENS_EACH) as alone:
        async with AsyncExitStack() as parts:
            doors = await doors_of(alone, parts)
            for _ in _rounds(record, rounds, "pieces of streams"):
                await capacity.measure(record, doors, prompts, count=400)


async def kept_answers(record: Recorder, config: Config, prompts: PromptMaker, rounds: int) -> None:
    async with _stack(_mock(config, 1.0, 1)) as (stack, _), ChatClient(stack.gateway) as client:
        for _ in _rounds(record, rounds, "cache hits"):
            await hits.measure(record, client, prompts, count=3000)


async def many_streams(record: Recorder, config: Config, prompts: PromptMaker, rounds: int) -> None:
    for _ in _rounds(record, min(rounds, _MEMORY_ROUNDS), f"{open_streams.STREAMS} open streams"):  # a start each
        mock = _mock(config, open_streams.STEP_MS, 1)
        async with _stack(mock) as (stack, _), ChatClient(stack.gateway) as client:
            await open_streams.measure(record, client, stack.gateway_process(), prompts)


async def too_many(record: Recorder, config: Config, prompts: PromptMaker, rounds: int) -> None:
    async with _stack(overload.small_engine(config)) as (stack, _), ChatClient(stack.gateway) as client:
        for _ in _rounds(record, rounds, "more than the engine can serve"):
            await overload.measure(record, client, prompts)


async def clients_that_leave(record: Recorder, config: Config, prompts: PromptMaker, rounds: int) -> None:
    mock = _mock(config, added.STEP_MS, 1)
    async with (
        _stack(mock) as (stack, _),
        ChatClient(stack.gateway) as chat,
        LoadClient(stack.gateway_grpc) as grpc,
    ):
        for _ in _rounds(record, rounds, "clients that leave"):
            await leaving.measure(record, grpc, chat, stack.engine_socket, prompts, count=20)


async def with_the_engine(record: Recorder, config: Config, prompts: PromptMaker, rounds: int) -> None:
    with config_file(config) as file, bare_engine("loop", engine.BARE, file) as bare:
        async with _stack(config) as (_, ways):
            await engine.warm_up(ways, bare, prompts)
            for _ in _rounds(record, rounds, "with the real engine"):
                await engine.measure(record, ways, bare, prompts, batches=2)


_Part = Callable[[Recorder, Config, PromptMaker, int], Awaitable[None]]
_PARTS: dict[str, tuple[_Part, int]] = {
    "added": (before_a_mock, _ROUNDS),
    "streams": (full_process, _ROUNDS),
    "hits": (kept_answers, _ROUNDS),
    "memory": (many_streams, _MEMORY_ROUNDS),
    "overload": (too_many, _OVERLOAD_ROUNDS),
    "leaving": (clients_that_leave, _ROUNDS),
    "engine": (with_the_engine, _ENGINE_ROUNDS),
}


async def run(rounds: int | None, parts: list[str]) -> None:
    config = _open(without_guards(configuration.load()))
    record = Recorder(TRIAL, machine.facts(config, rounds=rounds, parts=parts))
    prompts = PromptMaker(config.engine.model, random.SystemRandom().getrandbits(32))
    for name in parts:
        part, usual = _PARTS[name]
        await part(record, config, prompts, rounds or usual)


def _rounds(record: Recorder, rounds: int, what: str) -> Iterator[int]:
    for number in range(rounds):
        console.print(f"[dim]round {number + 1} of {rounds}: {what}[/dim]")
        record.start_round(number)
        yield number


@asynccontextmanager
async def _stack(config: Config) -> AsyncIterator[tuple[Stack, list[Way]]]:
    with running(config, gateway=True) as stack:
        async with AsyncExitStack() as parts:
            yield stack, await ways_to(stack, parts)


def _open(config: Config) -> Config:
    """Nothing is refused."""
    admission = {"initial_limit": _PLACES, "min_limit": _PLACES, "max_limit": _PLACES}
    return config.model_copy(update={"admission": config.admission.model_copy(update=admission)})


def _mock(config: Config, step_ms: float, tokens_per_step: int) -> Config:
    mock = config.engine.mock.model_copy(update={"step_ms": step_ms, "tokens_per_step": tokens_per_step})
    engine_of = {"name": "mock", "mock": mock, "max_running": _PLACES}
    return config.model_copy(update={"engine": config.engine.model_copy(update=engine_of)})


def main() -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="perf.bench_gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, help="of every part; fewer than 6 give no verdict")
    parser.add_argument("--only", choices=_PARTS, action="append", help="one part; may be given again")
    parser.add_argument("--report", action="store_true", help="measure nothing: write the page from the last run")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    whole = options.rounds is None and not options.only
    try:
        if not options.report:
            uvloop.run(run(options.rounds, options.only or list(_PARTS)))
            if whole:
                TRIAL.replace(records.GATEWAY_RESULTS)
        finished = records.read_last_run(records.GATEWAY_RESULTS if whole else TRIAL)
        found = findings.required(finished)
        if whole:
            text = report.filled(PAGE, PAGE.read_text(encoding="utf-8"), report.required_rows(found))
            PAGE.write_text(text, encoding="utf-8")
    except HeadraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report.print_rows(console, report.required_rows(found))
    return 1 if any(finding.verdict == "fail" for finding in found) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
