"""A gateway's two servers in the test's own process, before a server that does as Triton does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2_grpc

from headrace.admission import Admission, AdmissionConfig
from headrace.client import Client
from headrace.gateway.app import app
from headrace.gateway.cache.store import AnswerCache
from headrace.gateway.circuit import Circuit
from headrace.gateway.config import GatewayConfig
from headrace.gateway.door import Door
from headrace.gateway.grpc_server import start_grpc
from headrace.gateway.http_server import http_server, listening
from headrace.gateway.metrics import Metrics
from headrace.gateway.overview import Overview
from headrace.gateway.policies import LivePolicies
from headrace.gateway.readiness import Readiness
from headrace.gateway.v2.about import About
from headrace.tenants import change
from headrace.tenants.identity import Authenticator
from headrace.tenants.live import LiveTenants
from perf.stack import free_ports
from tests.fake_triton import serving
from tests.gateway.bench import Bench

SECONDS = 30.0


@dataclass
class Doors:
    bench: Bench
    door: Door
    http_port: int
    grpc_address: str
    key: str
    """Of the tenant acme."""
    stub: Any
    """gRPC's, which shows no key."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    @property
    def header(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}", "host": "localhost"}


@asynccontextmanager
async def opened(
    bench: Bench, folder: Path, anonymous: str = "false", acme: Mapping[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Doors]:
    """`anonymous`, `acme`: as in `tenants.yaml`. `settings`: of the gateway."""
    tenants = folder / "doors.yaml"
    tenants.write_text(f"anonymous: {anonymous}\ntenants: {{}}\n", encoding="utf-8")
    key = change.add_tenant(tenants, "acme", acme or {}, datetime.now(UTC), None)
    port, grpc_port = free_ports(2)
    config = GatewayConfig(**({"port": port, "grpc_port": grpc_port, "drain_seconds": 0} | settings))
    async with AsyncExitStack() as parts:
        client = await parts.enter_async_context(Client(await parts.enter_async_context(serving(bench.triton))))
        metrics = Metrics("USD")
        overview = Overview(
            "v1",
            LivePolicies(bench.policy),
            Admission(AdmissionConfig()),
            AnswerCache(0, 1.0),
            Circuit(),
            metrics.recent,
        )
        authenticator = Authenticator(LiveTenants(tenants))
        parts.callback(authenticator.close)
        door = Door(
            config, authenticator, bench.exchanges, "v1", "USD", True, Readiness(client), metrics, overview
        )
        about = About(client, metrics.hits)
        server = await start_grpc(door, about)
        parts.push_async_callback(server.stop, None)
        http = http_server(app(door, about), config)
        socket = parts.enter_context(listening(config))
        serve = asyncio.create_task(http.serve([socket]))
        host = f"[{config.host}]" if ":" in config.host else config.host
        address = f"{host}:{grpc_port}"
        channel = await parts.enter_async_context(grpc.aio.insecure_channel(address))
        yield Doors(bench, door, port, address, key, service_pb2_grpc.GRPCInferenceServiceStub(channel))
        http.should_exit = True
        await serve
