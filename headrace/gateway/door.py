"""What all dialects have in common: who lets in, the way of a request, and what they tell of the platform."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from headrace.gateway import connection
from headrace.gateway.config import GatewayConfig
from headrace.gateway.exchange import Exchanges
from headrace.gateway.metrics import Metrics
from headrace.gateway.overview import Overview
from headrace.gateway.readiness import Readiness
from headrace.tenants.identity import Authenticator, Identity


@dataclass(frozen=True, slots=True)
class Door:
    config: GatewayConfig
    authenticator: Authenticator
    exchanges: Exchanges
    model_version: str
    currency: str
    listens_on_loopback: bool
    readiness: Readiness
    metrics: Metrics
    overview: Overview

    async def ready(self) -> bool:
        return await self.readiness.ready()

    async def identity(self, request: Request) -> Identity:
        return await connection.identity(request, self.authenticator, self.listens_on_loopback)
