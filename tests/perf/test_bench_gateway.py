"""What `make bench-gateway` measures with, and its figures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from headrace import config
from perf import bench_gateway, machine, records, report
from perf.gateway import added, capacity, engine, findings, hits, leaving, open_streams, overload
from perf.gateway.chat import ChatClient, chat_request
from perf.gateway.replay import Replay, answer
from perf.gateway.ways import DOORS, TRITON
from perf.load import LoadClient, LoadFailed, question
from perf.prompts import Prompt
from perf.records import Recorder, read_last_run
from tests.gateway_stack import GatewayStack

PROMPT = Prompt("What is the capital of France?", ())


def test_the_page_shows_the_last_run() -> None:
    text = bench_gateway.PAGE.read_text("utf-8")
    run = read_last_run(records.GATEWAY_RESULTS)
    assert text == report.filled(bench_gateway.PAGE, text, report.required_rows(findings.required(run)))
    triton = [f"{one.estimate.value:.2f}" for one in findings.informative(run) if one.title.startswith("Triton /")]
    assert f"keeps {triton[0]} at C=8 and {triton[1]} at C=16" in text


async def test_a_replayed_answer_is_read_as_triton_s() -> None:
    messages = answer(pieces=5, tokens_each=8)
    server = await asyncio.get_running_loop().create_server(lambda: Replay(messages), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, LoadClient(f"127.0.0.1:{port}") as client:
        asked = question("assistant_stream", PROMPT, 40)
        samples = await asyncio.gather(*(client.send(asked) for _ in range(50)))
    assert {(one.responses, one.tokens, one.finish_reason) for one in samples} == {(5, 40, "length")}


async def test_a_long_replay_waits_for_the_client_s_window() -> None:
    messages = answer(pieces=2000, tokens_each=1)  # far more than the first window takes
    server = await asyncio.get_running_loop().create_server(lambda: Replay(messages), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, LoadClient(f"127.0.0.1:{port}") as client, asyncio.timeout(60):
        samples = await asyncio.gather(*(client.send(question("assistant_stream", PROMPT, 1)) for _ in range(4)))
    assert {one.responses for one in samples} == {2000}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_chat_client_reads_what_the_gateway_answers(gateway_stack: GatewayStack, stream: bool) -> None:
    async with ChatClient(f"127.0.0.1:{gateway_stack.gateway_port}") as client:
        for _ in range(2):  # the second one on the same connection
            sample = await client.send(chat_request(PROMPT, 12, stream))
            assert (sample.tokens, sample.finish_reason) == (12, "length")
            assert sample.sent < sample.first <= sample.ended
            assert (sample.responses > 1) == stream
        with pytest.raises(LoadFailed, match="400 Bad Request"):
            await client.send(chat_request(Prompt("", ()), 12, stream))


def test_the_figures_come_from_the_measurements(tmp_path: Path) -> None:
    record = Recorder(tmp_path / "run.jsonl", machine.facts(config.load()))
    ways = (TRITON, *DOORS)
    for number in range(6):
        record.start_round(number)
        for way, seconds in zip(ways, (0.100, 0.101, 0.106), strict=True):
            record.add(added.WHOLE, way, "s", [seconds, seconds])
            record.add(added.FIRST, way, "s", [seconds, seconds])
            for concurrency in engine.CONCURRENCIES:
                record.add(engine.NAME, way, "tokens/s", [9 / seconds], concurrency=concurrency)
        for concurrency in engine.CONCURRENCIES:
            record.add(engine.NAME, engine.BARE, "tokens/s", [100], concurrency=concurrency)
        for door, chunks in zip(DOORS, (9000, 12000), strict=True):
            record.add(capacity.CHUNKS, door, "chunks/s", [chunks])
            record.add(capacity.TOKENS, door, "tokens/s", [8 * chunks])
        record.add(hits.TIME, "gateway", "s", [0.001, 0.003], concurrency=hits.SOME)
        record.add(hits.RATE, "gateway", "requests/s", [3500], concurrency=hits.MANY)
        record.add(open_streams.FULL, "gateway", "bytes", [190e6])
        for load, good in zip(overload.LOADS, (16, 19, 19.5, 18), strict=True):
            record.add(overload.GOOD, "gateway", "answers/s", [good], load=load)
        for door in DOORS:
            record.add(leaving.NAME, door, "s", [0.01, 0.06])
    found = {one.title: one for one in findings.required(read_last_run(tmp_path / "run.jsonl"))}
    values: dict[str, tuple[Any, str | None]] = {
        title: (one.estimate.value, one.verdict) for title, one in found.items()
    }
    assert values["added to a whole answer, gateway, gRPC, C=8, median"] == (pytest.approx(0.001), "pass")
    assert values["TTFT added, gateway, OpenAI, C=8, p95"] == (pytest.approx(0.006), "fail")
    assert values["gateway, gRPC: chunks/s of one process"] == (9000, "fail")
    assert values["gateway, OpenAI: tokens/s of one process"] == (96_000, "pass")
    assert values["cache hit, C=4, p95"][1] == "fail"
    assert values["cache hits a second, C=8"] == (3500, "pass")
    assert values["memory with 1000 open streams, worst of 6"] == (190e6, "pass")
    assert values["gateway, gRPC / bare engine, tokens/s, C=16"] == (pytest.approx(0.891, abs=1e-3), "fail")
    assert values["goodput at 3 times capacity / at its peak (2)"] == (pytest.approx(18 / 19.5), "pass")
    assert values["gateway, gRPC: client left until the engine is free, p95"][1] == "fail"
    assert len(values) == 22


def test_what_was_not_measured_has_no_figure(tmp_path: Path) -> None:
    record = Recorder(tmp_path / "run.jsonl", machine.facts(config.load()))
    record.add(hits.RATE, "gateway", "requests/s", [3500], concurrency=hits.MANY)
    run = read_last_run(tmp_path / "run.jsonl")
    assert [one.title for one in findings.required(run)] == ["cache hits a second, C=8"]
    assert findings.informative(run) == []
