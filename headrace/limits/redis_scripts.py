"""Runs the Lua scripts in Redis: within a time limit, and with whatever goes wrong as one of our errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from headrace.errors import ConfigError
from headrace.limits.errors import LimitsUnavailable, StoreRefused, TenantRefused, Unanswered
from headrace.limits.redis_clock import RedisClock

FOLDER = Path(__file__).parent / "scripts"
KEYS = ("rate", "leases", "held", "late", "done", "spent")
NEEDED = (
    "+hello +eval +evalsha +time +pexpire +hget +hmget +hset +hincrby +hdel +hexists "
    "+zadd +zcard +zscore +zrem +zrangebyscore +zremrangebyscore"
)
"""What an ACL has to allow, for a user that may do nothing else."""
MOST_CONNECTIONS = 32
_MICROSECONDS = 1_000_000


class RedisScripts:
    """One connection pool."""

    def __init__(
        self,
        url: str,
        time_limit: float,
        prefix: str,
        keep_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`time_limit`: seconds. Nothing connects yet. Raises `ConfigError`."""
        try:
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                url,
                max_connections=MOST_CONNECTIONS,
                timeout=None,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
            )
        except ValueError as error:
            raise ConfigError(f"Redis' address: {error}") from None  # its message does not hold the address
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self._time_limit = time_limit
        self._prefix = prefix
        self._keep_ms = int(keep_seconds * 1000)
        self._monotonic = monotonic
        self._clock = RedisClock()
        self._sources = {file.stem: _source(file.stem) for file in FOLDER.glob("*.lua") if file.stem != "state"}
        self._shas = {name: sha1(text.encode()).hexdigest() for name, text in self._sources.items()}  # noqa: S324

    async def run(self, name: str, tenant: str, *arguments: str | int) -> list[Any]:
        """The script's reply. Raises `LimitsUnavailable`."""
        tag = f"{self._prefix}{{{tenant}}}:"
        asked = self._now()
        header = (self._keep_ms, self._clock.latest(asked), self._clock.jumps)
        values = (*(tag + key for key in KEYS), *header, *arguments)
        try:
            async with asyncio.timeout(self._time_limit):
                try:
                    reply = await self._eval(name, values)
                except AuthenticationError:
                    raise
                except RedisConnectionError:
                    # A pooled connection that Redis has closed since. Scripts may come twice.
                    reply = await self._eval(name, values)
        except TimeoutError:
            raise Unanswered(f"Redis did not answer within {self._time_limit * 1000:.0f} ms") from None
        except (RedisError, OSError) as error:
            raise _problem(error, tag) from None
        self._clock.saw(_reading(reply), asked, self._now())
        return reply

    async def _eval(self, name: str, values: Sequence[str | int]) -> list[Any]:
        try:
            reply: list[Any] = await self._redis.evalsha(self._shas[name], len(KEYS), *values)
        except NoScriptError:
            reply = await self._redis.eval(self._sources[name], len(KEYS), *values)
        return reply

    async def check(self) -> None:
        """Whether Redis answers and may be written to. Raises `LimitsUnavailable`."""
        await self.run("look", "-")

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _now(self) -> int:
        return int(self._monotonic() * _MICROSECONDS)


def _source(name: str) -> str:
    return "\n".join((FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in ("state", name))


def _reading(reply: list[Any]) -> int:
    """Redis' clock is the last of each reply, or of the list that is the last of it."""
    last = reply[-1]
    return int(last[-1] if isinstance(last, list) else last)


def _problem(error: Exception, tag: str) -> LimitsUnavailable:
    said = " ".join(str(error).split())
    match error:
        case AuthenticationError() | AuthorizationError():
            return StoreRefused(f"Redis does not let us in ({said}); check user and password in its address")
        case NoPermissionError():
            return StoreRefused(f"Redis does not allow it ({said}); its user needs {NEEDED} on {tag}*")
        case ReadOnlyError():
            return StoreRefused(f"Redis is a read-only replica ({said}); give the address of the primary")
        case OutOfMemoryError():
            return StoreRefused(f"Redis is out of memory ({said}); raise its maxmemory")
        case BusyLoadingError() | MasterDownError() | ClusterDownError() | TryAgainError():
            return LimitsUnavailable(f"Redis is not ready ({said})")
        case RedisConnectionError() | RedisTimeoutError() | OSError():
            return Unanswered(f"Redis cannot be reached ({said})")
        case ResponseError() if said.startswith("MISCONF"):
            return StoreRefused(f"Redis does not write ({said})")
        case ResponseError() if said.startswith(("NOAUTH", "WRONGPASS")):
            return StoreRefused(f"Redis does not let us in ({said}); check user and password in its address")
        case ResponseError():
            return TenantRefused(f"Redis refuses the keys {tag}* ({said}); delete them if they are not ours")
        case _:
            return StoreRefused(f"Redis answers in a way that is not understood ({said})")
