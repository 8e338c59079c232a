"""The store that the configuration asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping

from headrace.errors import ConfigError
from headrace.limits.budget import Period
from headrace.limits.config import LimitStoreConfig
from headrace.limits.memory import MemoryStore
from headrace.limits.model import LimitStore
from headrace.limits.redis_store import Observer, RedisStore


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
    try:
        return RedisStore(
            url, config.time_limit_ms / 1000, config.on_error, config.lease_seconds, config.prefix, observer
        )
    except ConfigError as error:
        raise ConfigError(f"${config.redis_url_env}: {error}") from None
