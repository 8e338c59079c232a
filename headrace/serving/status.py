"""What `status.json` says of a stack: its own state and that of its parts."""

from __future__ import annotations

from typing import Literal

import msgspec

from headrace import __version__
from headrace.config import Config
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
    parts: dict[str, PartStatus]


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
    """The three addresses, as a client of this machine writes them."""
    server = config.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    if ":" in host:
        host = f"[{host}]"
    return {
        "http": f"http://{host}:{server.http_port}",
        "grpc": f"{host}:{server.grpc_port}",
        "metrics": f"http://{host}:{server.metrics_port}/metrics",
    }
