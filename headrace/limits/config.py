"""Where the limits are counted: the section `limit_store` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headrace.yaml_file import Section


class LimitStoreConfig(Section):
    store: Literal["memory", "redis"] = "memory"
    """memory: for one gateway process. redis: for several, and for limits that outlive a restart."""
    redis_url_env: str = Field("HEADRACE_REDIS_URL", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Variable with Redis' address (`redis://`, `rediss://`, `unix://`), which may hold a password."""
    time_limit_ms: float = Field(250.0, gt=0, le=60_000)
    """For one call of Redis."""
    on_error: Literal["open", "closed"] = "closed"
    """When Redis does not answer: closed refuses requests with 503, open lets them in unlimited."""
    lease_seconds: float = Field(600.0, ge=1, le=86_400)
    """How long a running request keeps its place and its money unless it is renewed; those of a gateway that was
    killed are free again after this."""
    prefix: str = Field("headrace:limits:", pattern=r"^[^{}\s]*$")
    """Of all keys in Redis."""
