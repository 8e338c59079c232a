"""The section `gateway` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from headrace.yaml_file import Section


class GatewayConfig(Section):
    """The front door."""

    enabled: bool = True
    """Whether the stack starts one."""
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    """OpenAI, Triton's HTTP, /metrics, /health, the page."""
    grpc_port: int = Field(8081, ge=1, le=65535)
    tenants: Path | None = None
    """`tenants.yaml`; None: the project's."""
    request_seconds: float = Field(300.0, gt=0, le=86_400)
    """For one request at most, whatever it asks for."""
    max_body_bytes: int = Field(4 * 2**20, ge=1024)
    read_seconds: float = Field(30.0, gt=0)
    """For the headers of a request, and again for its body."""
    write_seconds: float = Field(30.0, gt=0)
    """How long a client may leave what is sent to it unread."""
    max_header_bytes: int = Field(65_536, ge=1024)
    max_headers: int = Field(100, ge=8)
    max_connections: int = Field(4096, ge=1)
    """Over HTTP, idle ones among them."""
    max_grpc_connections: int = Field(1024, ge=1)
    """Each may have 1024 calls at once."""
    metrics_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Variable with the key by which Prometheus reads /metrics from another machine; None: nobody does."""
    cors_origins: tuple[Annotated[str, Field(pattern=r"^https?://[^/\s*]+$")], ...] = ()
    """Sites whose pages may ask, such as `https://chat.example.org`."""
    cache_mb: int = Field(64, ge=0)
    """Answers that are kept; 0 keeps none."""
    cache_seconds: float = Field(3600.0, gt=0)
    cache_redis_url_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Variable with the address of a Redis in which gateways share their answers; None: each has its own."""
    cache_redis_ms: float = Field(50.0, gt=0, le=10_000)
    """For one call of it; what takes longer counts as not there."""
    unready_seconds: float = Field(2.0, ge=0)
    """At the end: how long to go on serving once readiness is withdrawn."""
    drain_seconds: float = Field(30.0, ge=0)
    """At the end: how long running requests may take."""

    @model_validator(mode="after")
    def _distinct_ports(self) -> GatewayConfig:
        if self.port == self.grpc_port:
            raise ValueError(f"port and grpc_port must differ, got {self.port}")
        return self
