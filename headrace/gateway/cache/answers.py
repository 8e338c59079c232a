"""Answers that were given before: those of this process, and behind them those that all gateways share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.client import Chunk
from headrace.config import Config
from headrace.errors import ConfigError
from headrace.gateway.cache.store import AnswerCache

_PREFIX = "headrace:answers:"

if TYPE_CHECKING:
    from headrace.gateway.cache.shared import SharedAnswers


class Answers:
    def __init__(self, own: AnswerCache, shared: SharedAnswers | None = None) -> None:
        self.own = own
        self._shared = shared

    async def get(self, key: bytes) -> tuple[Chunk, ...] | None:
        found = self.own.get(key)
        if found is None and self._shared is not None:
            found = await self._shared.get(key)
            if found is not None:
                self.own.put(key, found)
        return found

    def put(self, key: bytes, chunks: Sequence[Chunk]) -> None:
        self.own.put(key, chunks)
        if self._shared is not None:
            self._shared.put(key, chunks)

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.close()


def shared_answers(config: Config, environment: Mapping[str, str] = os.environ) -> SharedAnswers | None:
    """If the configuration wants any. Raises `ConfigError`."""
    gateway = config.gateway
    name = gateway.cache_redis_url_env
    if name is None:
        return None
    if not (url := environment.get(name)):
        example = "redis://127.0.0.1:6379/0"
        raise ConfigError(f"${name}: give Redis' address, such as {example}, or set cache_redis_url_env: null")
    from headrace.gateway.cache.shared import SharedAnswers  # 7 MB, which who has no Redis does not need

    most = gateway.cache_mb * 2**20 // 8
    try:
        return SharedAnswers(url, gateway.cache_seconds, gateway.cache_redis_ms / 1000, _PREFIX, most)
    except ConfigError as error:
        raise ConfigError(f"${name}: {error}") from None
