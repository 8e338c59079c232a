"""The store that the configuration asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from headrace.errors import ConfigError, StartupError
from headrace.limits.budget import Period
from headrace.limits.config import LimitStoreConfig
from headrace.limits.errors import LimitsUnavailable, StoreRefused
from headrace.limits.memory import MemoryStore
from headrace.limits.model import LimitStore

if TYPE_CHECKING:
    from headrace.limits.redis_store import Observer

log = structlog.get_logger()


def build(
    config: LimitStoreConfig,
    observer: Observer | None = None,
    spent: Mapping[Period, Mapping[str, int]] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> LimitStore:
    """`spent`: what the audit log says; Redis knows it itself. Raises `ConfigError`."""
    if config.store == "memory":
        return MemoryStore(config.lease_seconds, spent)
    url = environment.get(config.redis_url_env)
    if not url:
        raise ConfigError(
            f"${config.redis_url_env}: give Redis' address, such as redis://127.0.0.1:6379/0, or set store: memory"
        )
    from headrace.limits.redis_store import RedisStore  # 7 MB, which who has no Redis does not need

    try:
        return RedisStore(
            url, config.time_limit_ms / 1000, config.on_error, config.lease_seconds, config.prefix, observer
        )
    except ConfigError as error:
        raise ConfigError(f"${config.redis_url_env}: {error}") from None


async def check(store: LimitStore, config: LimitStoreConfig) -> None:
    """At the start. Raises `StartupError` when every request would be refused until somebody mends it.

    A store that only does not answer may be starting too: that is told in the log, and `on_error` decides.
    """
    try:
        await store.check()
    except LimitsUnavailable as error:
        if isinstance(error, StoreRefused) and config.on_error == "closed":
            raise StartupError(f"${config.redis_url_env}: {error.problem}") from None
        log.warning("the limit store is not there at the start", problem=error.problem, on_error=config.on_error)
