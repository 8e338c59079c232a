"""What clients hear of what goes wrong inside: no address, no path, no advice to operators, no words of others."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from headrace import errors
from headrace.audit import errors as audit_errors  # noqa: F401 - of which there are more errors
from headrace.errors import HeadraceError
from headrace.gateway.public_errors import public
from headrace.limits import errors as limit_errors  # noqa: F401
from headrace.tenants import fetch  # noqa: F401
from perf.stack import free_ports
from tests.fake_triton import FakeTriton, serving
from tests.gateway.drills.clients import Clients, Got
from tests.gateway.drills.lone_gateway import SECONDS, LoneGateway

INSIDE = "127.0.0.1:28001 /models/x headrace up Errno triton_python_backend_shm_region_7"
MARKS = ("127.0.0.1", "localhost:", "/", "headrace up", "Errno", "shm", "log", "Redis")
FOR_CLIENTS = {
    errors.InvalidRequest, errors.NotFound, errors.Unauthenticated, errors.Forbidden, errors.RateLimited,
    errors.DeadlineExceeded, errors.TryLater,
}  # fmt: skip
"""Their words are always our own, and say what to do to who asked."""
STREAMS = ("openai stream", "triton http stream", "triton grpc stream")
WAYS = ("openai", "triton http", "triton grpc", *STREAMS)
OF_TRITON = (
    f"Unable to open shared memory region: '{INSIDE}'",
    f"[request id: 7] in ensemble 'assistant', {INSIDE}",
    f"TritonModelException: {INSIDE}",
    f"the engine broke: {INSIDE} [INTERNAL]",
    f"{INSIDE} [CANCELLED]",
    f"{INSIDE} [SOMETHING_NEW]",
    f"the worker at {INSIDE} does not answer [UNAVAILABLE]",  # which opens the circuit
)


def tree(root: type[HeadraceError]) -> list[type[HeadraceError]]:
    return [root, *(error for child in root.__subclasses__() for error in tree(child))]


OURS = [kind for kind in tree(HeadraceError) if kind.__module__ != public.__module__]


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_only_words_for_clients_are_told(kind: type[HeadraceError]) -> None:
    error = kind.__new__(kind)
    error.args = (INSIDE,)
    error.retry_after = 7.0
    told = public(error, "this-one")
    if issubclass(kind, tuple(FOR_CLIENTS)):
        assert told is error
        return
    assert str(told).endswith(" (request this-one)")
    assert "this-one" not in str(public(error))
    assert not any(mark in str(told) for mark in MARKS)
    same = ("grpc_code", "http_status", "openai_type", "retry_after")
    assert [getattr(told, name) for name in same] == [getattr(error, name) for name in same]
    assert public(told, "another") is told


class Broken(FakeTriton):
    """A stream says `late`, if anything, after its pieces."""

    late = ""

    async def ModelStreamInfer(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for response in super().ModelStreamInfer(requests, context):
            yield response
        if self.late:
            yield service_pb2.ModelStreamInferResponse(error_message=self.late)


async def asked(gateway: LoneGateway, ways: Sequence[str] = WAYS, **headers: str) -> list[Got]:
    async with Clients(gateway.url, gateway.grpc, headers) as clients, asyncio.timeout(SECONDS):
        return [await clients.ways[way]("Hi", 9, temperature=1.0) for way in ways]


def check(found: list[Got]) -> None:
    for got in found:
        assert got.error, got.way
        assert not any(mark in got.error for mark in MARKS), (got.way, got.error)
        assert got.request_id in got.error or "again in a moment" in got.error, (got.way, got.error)


async def test_no_way_tells_what_is_inside(tmp_path: Path) -> None:
    triton = Broken()
    triton.pieces = ("a", "b")
    async with serving(triton) as address:
        with LoneGateway(tmp_path, address) as gateway:
            triton.ends, triton.breaks_off = False, True
            for triton.late in (OF_TRITON[0], ""):
                check(found := await asked(gateway, STREAMS))
                assert all(got.pieces for got in found)
            for triton.error in OF_TRITON:
                check(found := await asked(gateway))
                assert {got.status for got in found} <= {499, 500, 503}
            assert any(INSIDE in line["problem"] for line in gateway.said("what a client is not told"))


async def test_who_is_not_known_hears_nothing_of_the_audit_log(tmp_path: Path) -> None:
    triton = FakeTriton()
    triton.pieces = ("a",)
    settings = {"HEADRACE_AUDIT__FSYNC": "always"}
    async with serving(triton) as address:
        with LoneGateway(tmp_path, address, settings) as gateway:
            assert all(got.status == 200 for got in await asked(gateway))
            shutil.rmtree(gateway.audit_folder)
            async with asyncio.timeout(SECONDS):
                found = await asked(gateway)
                while any(got.status != 503 for got in found):  # the log finds out by one that it cannot write
                    found = await asked(gateway)
            check(found)
            assert all("recorded" in got.error for got in found)
            strangers = await asked(gateway, authorization="Bearer nobody")
            assert {got.status for got in strangers} == {401}


async def test_what_is_away_is_not_named(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with LoneGateway(tmp_path, f"127.0.0.1:{port}") as gateway:
        check(found := await asked(gateway))
        assert {got.status for got in found} == {503}


async def test_a_redis_that_is_away_is_not_named(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = {
        "HEADRACE_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "HEADRACE_LIMIT_STORE__STORE": "redis",
        "HEADRACE_LIMIT_STORE__ON_ERROR": "closed",
    }
    with LoneGateway(tmp_path, "127.0.0.1:1", settings) as gateway:
        check(found := await asked(gateway))
        assert all("limits cannot be checked" in got.error for got in found)
