"""Answers that all gateways share, in Redis. What it does not give in time is asked of Triton: it only ever saves.

A key names everything that changes an answer (`headrace.gateway.cache.key`); an entry is its pieces, and has its
own time to live. Redis then holds texts of answers: it has to be as trusted as the gateways themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from headrace.client import Chunk
from headrace.errors import ConfigError
from headrace.limits.outage import Outage

_MOST_WRITES = 256
"""That wait for Redis; one more answer is not written."""
_CONNECTIONS = 32

_decoder = msgspec.msgpack.Decoder(tuple[Chunk, ...])


class SharedAnswers:
    def __init__(self, url: str, ttl_seconds: float, time_limit: float, prefix: str, most_bytes: int) -> None:
        """`time_limit`: seconds for one call. `most_bytes`: of one entry. Nothing connects yet.

        Raises `ConfigError`.
        """
        try:
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                url, max_connections=_CONNECTIONS, timeout=None, retry=Retry(NoBackoff(), 0)
            )
        except ValueError as error:
            raise ConfigError(f"Redis' address: {error}") from None
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self._ttl_ms = max(1, int(ttl_seconds * 1000))
        self._time_limit = time_limit
        self._prefix = prefix.encode()
        self._most_bytes = most_bytes
        self._outage = Outage(time.monotonic, "the shared cache")
        self._writes: set[asyncio.Task[None]] = set()

    async def get(self, key: bytes) -> tuple[Chunk, ...] | None:
        if not self._outage.may_ask():
            return None
        try:
            async with asyncio.timeout(self._time_limit):
                found = await self._redis.get(self._prefix + key)
        except (RedisError, OSError, TimeoutError) as error:
            self._outage.failed(_problem(error), "miss")
            return None
        self._outage.answered()
        return _read(found) if isinstance(found, bytes) else None

    def put(self, key: bytes, chunks: Sequence[Chunk]) -> None:
        """On the side: nobody waits for it."""
        data = msgspec.msgpack.encode(tuple(chunks))
        if len(data) > self._most_bytes or len(self._writes) >= _MOST_WRITES or not self._outage.may_ask():
            return
        task = asyncio.create_task(self._write(self._prefix + key, data))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, key: bytes, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._time_limit):
                await self._redis.set(key, data, px=self._ttl_ms)
        except (RedisError, OSError, TimeoutError) as error:
            self._outage.failed(_problem(error), "not kept")
        else:
            self._outage.answered()

    async def close(self) -> None:
        if self._writes:
            await asyncio.wait(set(self._writes))
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


def _read(data: bytes) -> tuple[Chunk, ...] | None:
    """None for what another release wrote, or nobody of us."""
    try:
        found = _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
    return found if found and found[-1].finish_reason is not None else None


def _problem(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
