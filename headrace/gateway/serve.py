"""A whole gateway in this process: put together, served until it is told to stop, drained."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog
import uvloop

from headrace import __version__, paths
from headrace.admission import Admission
from headrace.audit.writer import AuditLog
from headrace.client import Client
from headrace.config import Config
from headrace.cost.prices import price
from headrace.gateway import memory
from headrace.gateway.app import app
from headrace.gateway.cache.answers import Answers, shared_answers
from headrace.gateway.cache.store import AnswerCache
from headrace.gateway.choice import Choices
from headrace.gateway.circuit import Circuit
from headrace.gateway.door import Door
from headrace.gateway.exchange import Exchanges
from headrace.gateway.grpc_server import start_grpc
from headrace.gateway.http_server import LAST_SECONDS, http_server, listening
from headrace.gateway.ledger import Ledger
from headrace.gateway.limit_metrics import LimitMetrics
from headrace.gateway.metrics import Metrics
from headrace.gateway.overview import Overview
from headrace.gateway.policies import LivePolicies
from headrace.gateway.readiness import Readiness
from headrace.gateway.rules import PUBLIC, Rules
from headrace.gateway.spent import spent
from headrace.gateway.tenure import Tenure
from headrace.gateway.upstream import Upstream
from headrace.gateway.v2.about import About
from headrace.guard.record import KEY_ENV
from headrace.limits.model import LimitStore
from headrace.limits.stores import build as limit_store
from headrace.limits.stores import check as check_limit_store
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
    async with AsyncExitStack() as parts:
        client = await parts.enter_async_context(Client(triton))
        admission = Admission(config.admission)
        metrics = Metrics(config.cost.currency)
        limits, ledger = await _ledger(config, audit_folder, metrics, parts)
        door = _door(config, client, admission, limits, ledger, metrics, parts)
        about = About(client, metrics.hits)
        http = http_server(app(door, about), config.gateway)
        with listening(config.gateway) as socket:
            grpc = await start_grpc(door, about)
            serving = asyncio.create_task(http.serve([socket]))
            memory.tidy()
            log.info("the gateway listens", port=config.gateway.port, grpc_port=config.gateway.grpc_port)
            await stop.wait()
            log.info("the gateway drains")
            door.readiness.withdrawn = True
            await asyncio.sleep(config.gateway.unready_seconds)
            admission.close()
            http.should_exit = True
            stopping = asyncio.gather(grpc.stop(config.gateway.drain_seconds + LAST_SECONDS), serving)
            await asyncio.wait({stopping}, timeout=config.gateway.drain_seconds)
            door.exchanges.end()
            await stopping
        await ledger.drained()


async def _ledger(
    config: Config, audit_folder: Path, metrics: Metrics, parts: AsyncExitStack
) -> tuple[LimitStore, Ledger]:
    folder = config.audit.folder or audit_folder
    audit = await AuditLog.open(config.audit, folder, config.audit.key())
    parts.push_async_callback(audit.close)
    metrics.watch_audit(audit)
    forgets = config.limit_store.store == "memory"
    limits = limit_store(config.limit_store, LimitMetrics(metrics.registry), spent(folder) if forgets else None)
    parts.push_async_callback(limits.close)
    await check_limit_store(limits, config.limit_store)
    return limits, Ledger(
        limits,
        audit,
        price(config.cost, PUBLIC, config.profile),
        config.cost.currency,
        model_version(config),
        os.environ.get(KEY_ENV, "").encode() or None,
        config.limit_store.lease_seconds,
        config.audit.on_error == "serve",
        metrics.observe,
    )


def _door(
    config: Config,
    client: Client,
    admission: Admission,
    limits: LimitStore,
    ledger: Ledger,
    metrics: Metrics,
    parts: AsyncExitStack,
) -> Door:
    gateway = config.gateway
    authenticator = Authenticator(LiveTenants(gateway.tenants or paths.PROJECT / "tenants.yaml"))
    parts.callback(authenticator.close)
    authenticator.start()
    circuit = Circuit()
    cache = AnswerCache(gateway.cache_mb * 2**20, gateway.cache_seconds)
    metrics.watch(admission, cache, circuit)
    answers = Answers(cache, shared_answers(config))
    parts.push_async_callback(answers.close)
    choices = Choices(Upstream(client, admission, circuit), answers)
    policies = LivePolicies(config.guard.policy)
    rules = Rules(config, policies)
    version = model_version(config)
    tenure = partial(Tenure, authenticator, limits)
    return Door(
        gateway,
        authenticator,
        Exchanges(rules, ledger, choices, tenure, version, gateway.request_seconds),
        version,
        config.cost.currency,
        listen.resolve(gateway.host).is_loopback,
        Readiness(client),
        metrics,
        Overview(version, policies, admission, cache, circuit, metrics.recent),
    )


def model_version(config: Config) -> str:
    """Which answers are of the same making."""
    return f"{__version__}-{config.engine.name}-{config.engine.model.name}"
