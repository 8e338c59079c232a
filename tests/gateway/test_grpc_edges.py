"""What a gRPC client may send, hold and hear."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2

from headrace.errors import InvalidRequest
from headrace.gateway import http_server
from headrace.gateway.ask import Ask
from headrace.gateway.config import GatewayConfig
from perf.stack import free_ports
from tests.gateway import doors as both
from tests.gateway.bench import ACME, CALL, Bench, who
from tests.gateway.doors import SECONDS, Doors
from tests.triton.tensors import grpc_request

GOOD: dict[str, Any] = {"text_input": "Hi", "max_tokens": 4}
LONG_ID = "x" * 257


@pytest.fixture
async def doors(bench: Bench, tmp_path: Path) -> AsyncIterator[Doors]:
    async with both.opened(bench, tmp_path, "{priority: 4}", max_body_bytes=2**20) as found:
        yield found


async def test_an_id_that_is_too_long_is_refused_and_not_repeated(doors: Doors) -> None:
    message = grpc_request("assistant", GOOD)
    message.id = LONG_ID
    with pytest.raises(grpc.aio.AioRpcError, match="id: at most 256 bytes") as caught:
        await doors.stub.ModelInfer(message, timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    message.model_name = "assistant_stream"
    (response,) = [one async for one in doors.stub.ModelStreamInfer(iter([message]), timeout=SECONDS)]
    assert response.error_message.startswith("id: at most 256 bytes")
    assert response.ByteSize() < len(LONG_ID)
    async with httpx.AsyncClient(base_url=f"http://localhost:{doors.http_port}", timeout=SECONDS) as client:
        for way, inputs in (("infer", {"inputs": []}), ("generate", {"text_input": "Hi"})):
            answer = await client.post(f"/v2/models/assistant/{way}", json=inputs | {"id": LONG_ID})
            assert (answer.status_code, LONG_ID in answer.text) == (400, False)


async def test_a_name_of_an_input_is_not_repeated_without_end(doors: Doors) -> None:
    message = service_pb2.ModelInferRequest(model_name="assistant")
    message.inputs.add(name="y" * 10**5, datatype="X", shape=[1, 1])
    with pytest.raises(grpc.aio.AioRpcError, match="there is no input") as caught:
        await doors.stub.ModelInfer(message, timeout=SECONDS)
    assert len(caught.value.details() or "") < 300


async def test_a_stream_is_not_read_on_while_much_of_it_is_held(doors: Doors) -> None:
    doors.bench.triton.ends = False
    doors.bench.triton.pieces = ("Hi",)
    good = grpc_request("assistant_stream", GOOD | {"temperature": 1.0}).SerializeToString()
    padded = good + b"\xba\x3e" + b"\xe0\xa7\x12" + bytes(300_000)  # a field that nobody knows
    given, much = 0, asyncio.Event()

    async def requests() -> AsyncIterator[Any]:
        nonlocal given
        for given in range(1, 101):
            if given == 7:
                much.set()
            yield service_pb2.ModelInferRequest.FromString(padded)

    call = doors.stub.ModelStreamInfer(requests(), timeout=SECONDS)
    reading = asyncio.ensure_future(call.read())
    await asyncio.wait_for(much.wait(), SECONDS)
    await asyncio.sleep(0.5)
    assert given < 20
    call.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_what_a_refused_request_sent_is_freed_without_the_garbage_collector(bench: Bench) -> None:
    """Which counts objects, not their bytes: it would leave a hundred bodies lying."""
    gc.disable()
    try:
        sent = await _refused(bench)
        assert sent() is None
    finally:
        gc.enable()


async def _refused(bench: Bench) -> weakref.ref[Any]:
    body = {1}  # of a kind that can be watched

    async def what() -> Ask:
        assert body
        raise InvalidRequest("body", "wrong")

    with contextlib.suppress(InvalidRequest):
        async with bench.exchanges.open(CALL, lambda: who(ACME), what):
            pass
    bench.seen.clear()
    return weakref.ref(body)


async def test_idle_connections_have_an_end_and_leave_http_alone(bench: Bench, tmp_path: Path) -> None:
    async with both.opened(bench, tmp_path, max_grpc_connections=4, read_seconds=1.0) as doors:
        host, port = doors.grpc_address.split(":")
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        refused, ended = 0, asyncio.get_running_loop().time() + 0.8
        for reader, _ in opened:
            try:
                async with asyncio.timeout_at(ended):
                    refused += await reader.read() == b""
            except TimeoutError:
                pass
        assert refused == 16
        for reader, writer in opened:
            await asyncio.wait_for(reader.read(), SECONDS)
            writer.close()
        assert (await doors.stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=SECONDS)).live


def test_files_are_allowed_for_the_connections_of_both_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: allowed.append(limits))
    port = free_ports(1)[0]
    config = GatewayConfig(port=port, max_connections=5000, max_grpc_connections=3000)
    with http_server.listening(config):
        assert allowed[0][0] > 8000


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
async def test_loopback_of_ipv6_is_listened_on(bench: Bench, tmp_path: Path) -> None:
    async with both.opened(bench, tmp_path, host="::1") as doors:
        assert (await doors.stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=SECONDS)).live


async def test_a_defect_is_told_without_its_words(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("what is inside")

    monkeypatch.setattr(doors.bench.exchanges, "open", broken)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await doors.stub.ModelInfer(grpc_request("assistant", GOOD), timeout=SECONDS)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "inside" not in (caught.value.details() or "")


async def test_what_an_answer_cost_and_where_it_came_from_is_told(doors: Doors) -> None:
    doors.bench.triton.pieces = ("Hi", " there")
    told = []
    for _ in range(2):
        call = doors.stub.ModelInfer(
            grpc_request("assistant", GOOD), metadata=(("x-request-id", "mine"),), timeout=SECONDS
        )
        await call
        told.append(dict(await call.trailing_metadata()))
    assert [one["x-request-id"] for one in told] == ["mine", "mine"]
    assert [one["x-headrace-cache"] for one in told] == ["miss", "hit"]
    records = await doors.bench.records()
    costs = [f"{record.cost / 1e9:.9f}".rstrip("0") for record in records]
    assert float(costs[0]) > 0
    assert [one["x-headrace-cost"] for one in told] == [f"{costs[0]} USD", "0.00 USD"]
    async with httpx.AsyncClient(base_url=f"http://localhost:{doors.http_port}", timeout=SECONDS) as client:
        for path, asked in (
            ("/v2/models/assistant/generate", {"text_input": "Hi you"}),
            ("/v1/completions", {"model": "assistant", "prompt": "Hi me"}),
        ):
            answer = await client.post(path, json=asked)
            assert answer.headers["x-headrace-cost"].endswith(" USD")
            assert float(answer.headers["x-headrace-cost"].split()[0]) > 0


async def test_limits_are_told_as_over_http(bench: Bench, tmp_path: Path) -> None:
    bench.triton.pieces = ("Hi",)
    async with both.opened(bench, tmp_path, acme={"requests_per_minute": 1}) as doors:
        metadata = (*doors.metadata, ("x-request-id", "mine"))
        call = doors.stub.ModelInfer(grpc_request("assistant", GOOD), metadata=metadata, timeout=SECONDS)
        assert dict(await call.trailing_metadata())["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await doors.stub.ModelInfer(grpc_request("assistant", GOOD), metadata=metadata, timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        told = dict(caught.value.trailing_metadata())
        assert (told["x-request-id"], told["x-ratelimit-limit-requests"]) == ("mine", "1")
        assert int(told["retry-after"]) > 0


async def test_all_of_several_cache_controls_are_heard(doors: Doors) -> None:
    doors.bench.triton.pieces = ("Hi",)
    for values in (("no-store", "max-age=5"), ("max-age=5", "no-store")):
        said = tuple(("cache-control", value) for value in values)
        call = doors.stub.ModelInfer(grpc_request("assistant", GOOD), metadata=said, timeout=SECONDS)
        assert dict(await call.trailing_metadata())["x-headrace-cache"] == "bypass"
        async with httpx.AsyncClient(base_url=f"http://localhost:{doors.http_port}") as client:
            answer = await client.post("/v2/models/assistant/generate", json={"text_input": "Ho"}, headers=said)
            assert answer.headers["x-headrace-cache"] == "bypass"


async def test_a_trace_s_state_goes_on_to_triton(doors: Doors) -> None:
    doors.bench.triton.pieces = ("Hi",)
    parent = f"00-{'1' * 32}-{'2' * 16}-01"
    for model in ("assistant", "assistant_stream"):
        metadata = (("traceparent", parent), ("tracestate", "a=1"), ("tracestate", "b@c=2"))
        message = grpc_request(model, GOOD)
        if model == "assistant":
            await doors.stub.ModelInfer(message, metadata=metadata, timeout=SECONDS)
        else:
            _ = [one async for one in doors.stub.ModelStreamInfer(iter([message]), metadata=metadata)]
    assert doors.bench.triton.trace_states == ["a=1,b@c=2"] * 2
