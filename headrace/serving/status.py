"""What `status.json` says of a stack: its own state and that of its parts."""

from __future__ import annotations

from typing import Literal

import msgspec

from headrace import __version__
from headrace.config import Config
from headrace.serving import listen
from headrace.serving.keeper import Keeper
from headrace.serving.keeper import State as PartState

State = Literal["starting", "ready", "degraded", "draining"]


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    state: PartState
    pid: int | None
    started_at: float | None
    """Seconds since the epoch."""
    restarts: int
    last_end: str | None
    """How it ended the last time."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    state: State
    pid: int
    """The supervisor's."""
    started_at: float
    start_seconds: float | None
    """From the start to the first answer."""
    version: str = __version__
    engine: str
    model: str
    http: str
    grpc: str
    metrics: str
    gateway: str | None = None
    gateway_grpc: str | None = None
    parts: dict[str, PartStatus]

    @property
    def addresses(self) -> dict[str, str]:
        """As `addresses` has them."""
        names = ("http", "grpc", "metrics", "gateway", "gateway_grpc")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def part_status(keeper: Keeper) -> PartStatus:
    alive = keeper.process is not None and keeper.process.returncode is None
    return PartStatus(
        state=keeper.state,
        pid=keeper.process.pid if keeper.process is not None and alive else None,
        started_at=keeper.process.started_at if keeper.process is not None and alive else None,
        restarts=keeper.restarts,
        last_end=keeper.last_end,
    )


def addresses(config: Config) -> dict[str, str]:
    """As a client of this machine writes them: Triton's three, and the gateway's."""
    server, gateway = config.server, config.gateway
    host = listen.own(server.host)
    found = {
        "http": f"http://{host}:{server.http_port}",
        "grpc": f"{host}:{server.grpc_port}",
        "metrics": f"http://{host}:{server.metrics_port}/metrics",
    }
    if gateway.enabled:
        found["gateway"] = f"http://{listen.own(gateway.host)}:{gateway.port}"
        found["gateway_grpc"] = f"{listen.own(gateway.host)}:{gateway.grpc_port}"
    return found
