"""Who shows no key, or a wrong one, takes no memory and hears nothing of the models or of the tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.gateway import doors as both
from tests.gateway.bench import Bench
from tests.gateway.doors import SECONDS, Doors

ABOUT = ("/v2/models/assistant", "/v2/models/assistant/config", "/v2/models/assistant/stats", "/v2/models/stats")
WRONG = (("authorization", f"Bearer hr_no_{'x' * 43}"),)


@pytest.fixture
async def doors(bench: Bench, tmp_path: Path) -> AsyncIterator[Doors]:
    """Nobody is served without a key."""
    async with both.opened(bench, tmp_path) as found:
        yield found


async def get(doors: Doors, path: str, **headers: str) -> int:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{doors.http_port}", timeout=SECONDS) as client:
        return (await client.get(path, headers={"host": "localhost"} | headers)).status_code


def frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    """Of HTTP/2."""
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def call_without_message(method: str) -> bytes:
    """Its headers, and the length of a message that does not come."""
    said = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": f"/inference.GRPCInferenceService/{method}".encode(),
        b":authority": b"localhost",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
    }
    block = b"".join(bytes([0, len(name)]) + name + bytes([len(value)]) + value for name, value in said.items())
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    return preface + frame(1, 4, 1, block) + frame(0, 0, 1, b"\0" + (2**22 - 1).to_bytes(4, "big"))


async def ends(reader: asyncio.StreamReader) -> None:
    """Once the server's headers have ended the first stream."""
    while True:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == 1 and head[4] & 1:
            return


async def test_a_message_of_a_stranger_is_not_waited_for(doors: Doors) -> None:
    host, port = doors.grpc_address.split(":")
    for method in ("ModelInfer", "ModelStreamInfer", "ModelReady", "ModelConfig", "ServerLive"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(call_without_message(method))
        await asyncio.wait_for(ends(reader), SECONDS)
        writer.close()


async def test_a_stream_of_a_stranger_is_not_read(doors: Doors) -> None:
    given = 0

    def requests() -> Iterator[Any]:
        nonlocal given
        for given in range(400):  # noqa: B007
            yield service_pb2.ModelInferRequest(model_name="assistant_stream", id="x" * 10**6)

    def ask() -> grpc.StatusCode:
        with grpc.insecure_channel(doors.grpc_address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                list(stub.ModelStreamInfer(requests(), metadata=WRONG, timeout=SECONDS))
            return caught.value.code()

    assert await asyncio.to_thread(ask) is grpc.StatusCode.UNAUTHENTICATED
    assert given < 40
    (record,) = await doors.bench.records()
    assert (record.operation, record.outcome, record.status) == ("ModelStreamInfer", "refused", 401)


async def test_a_call_of_a_stranger_is_refused_and_recorded(doors: Doors) -> None:
    for metadata, says in ((WRONG, "key"), ((), "no API key")):
        with pytest.raises(grpc.aio.AioRpcError, match=says) as caught:
            await doors.stub.ModelInfer(service_pb2.ModelInferRequest(), metadata=metadata, timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "x-request-id" in dict(caught.value.trailing_metadata())
    assert [record.status for record in await doors.bench.records()] == [401, 401]


async def test_what_is_said_of_models_is_for_those_with_a_key(doors: Doors) -> None:
    asks = (
        (doors.stub.ModelMetadata, service_pb2.ModelMetadataRequest),
        (doors.stub.ModelConfig, service_pb2.ModelConfigRequest),
        (doors.stub.ModelStatistics, service_pb2.ModelStatisticsRequest),
    )
    for ask, kind in asks:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(kind(name="assistant"), timeout=SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as caught:  # this Triton does not know them
            await ask(kind(name="assistant"), metadata=doors.metadata, timeout=SECONDS)
        assert caught.value.code() is not grpc.StatusCode.UNAUTHENTICATED
    assert [await get(doors, path) for path in ABOUT] == [401] * len(ABOUT)
    assert 401 not in [await get(doors, path, **doors.header) for path in ABOUT]


async def test_whether_it_lives_and_is_ready_is_for_all(doors: Doors) -> None:
    doors.bench.triton.pieces = ("Hi",)
    assert (await doors.stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=SECONDS)).live
    assert (await doors.stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=SECONDS)).ready
    assert [await get(doors, f"/v2/{path}") for path in ("health/live", "models/assistant/ready")] == [200, 200]


async def test_metrics_are_for_this_machine_and_for_the_operator_s_key(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRAPE", "a-key")
    async with both.opened(bench, tmp_path, metrics_key_env="SCRAPE") as doors:
        assert await get(doors, "/metrics") == 200
        passed_on = {"x-forwarded-for": "203.0.113.7"}
        for shown, status in (("", 401), (doors.key, 401), ("a-key", 200)):
            key = {"authorization": f"Bearer {shown}"} if shown else {}
            assert await get(doors, "/metrics", **passed_on, **key) == status
    async with both.opened(bench, tmp_path) as doors:
        assert await get(doors, "/metrics", **passed_on, **{"api-key": ""}) == 401
