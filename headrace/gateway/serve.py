"""A whole gateway in this process: put together, served until it is told to stop, drained."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import uvloop

from headrace import __version__, paths
from headrace.admission.admission import Admission
from headrace.audit.writer import AuditLog
from headrace.client import Client
from headrace.config import Config
from headrace.cost.prices import price
from headrace.gateway.app import app
from headrace.gateway.cache.store import AnswerCache
from headrace.gateway.choice import Choices
from headrace.gateway.circuit import Circuit
from headrace.gateway.door import Door
from headrace.gateway.exchange import Exchanges
from headrace.gateway.grpc_server import start_grpc
from headrace.gateway.http_server import http_server
from headrace.gateway.ledger import Ledger
from headrace.gateway.policies import LivePolicies
from headrace.gateway.readiness import Readiness
from headrace.gateway.rules import PUBLIC, Rules
from headrace.gateway.upstream import Upstream
from headrace.gateway.v2.about import About
from headrace.gateway.v2.service import Service
from headrace.guard.record import KEY_ENV
from headrace.limits.stores import build as limit_store
from headrace.serving import listen
from headrace.tenants.identity import Authenticator
from headrace.tenants.live import LiveTenants

log = structlog.get_logger()


def serve(config: Config, triton: str, audit_folder: Path) -> None:
    """Until SIGINT or SIGTERM. `triton` is its gRPC address. Raises `StartupError`."""
    uvloop.run(_serve(config, triton, audit_folder))


async def _serve(config: Config, triton: str, audit_folder: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(triton))
        audit = await AuditLog.open(config.audit, config.audit.folder or audit_folder, config.audit.key())
        stack.push_async_callback(audit.close)
        limits = limit_store(config.limit_store)
        stack.push_async_callback(limits.close)
        admission = Admission(config.admission)
        authenticator = Authenticator(LiveTenants(config.gateway.tenants or paths.PROJECT / "tenants.yaml"))
        stack.callback(authenticator.close)
        authenticator.start()
        version = model_version(config)
        hash_key = os.environ.get(KEY_ENV, "").encode() or None
        ledger = Ledger(
            limits,
            audit,
            price(config.cost, PUBLIC, config.profile),
            config.cost.currency,
            version,
            hash_key,
            config.audit.on_error == "serve",
            lambda entry: None,
        )
        choices = Choices(
            Upstream(client, admission, Circuit()),
            AnswerCache(config.gateway.cache_mb * 2**20, config.gateway.cache_seconds),
        )
        rules = Rules(config, LivePolicies(config.guard.policy))
        exchanges = Exchanges(rules, ledger, choices, version, config.gateway.request_seconds)
        loopback = listen.resolve(config.gateway.host).is_loopback
        door = Door(
            config.gateway, authenticator, exchanges, version, config.cost.currency, loopback, Readiness(client)
        )
        about = About(client)
        server = http_server(app(door, about), config.gateway)
        grpc_server = await start_grpc(Service(door, about), config.gateway)
        serving = asyncio.create_task(server.serve())
        await stop.wait()
        admission.close()
        server.should_exit = True
        await grpc_server.stop(config.gateway.drain_seconds)
        await serving
        await ledger.drained()


def model_version(config: Config) -> str:
    """Which answers are of the same making."""
    return f"{__version__}-{config.engine.name}-{config.engine.model.name}"
