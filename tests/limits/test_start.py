"""A gateway starts: is the store of its limits there?"""

from __future__ import annotations

from typing import Literal

import pytest
import structlog

from headrace.errors import StartupError
from headrace.limits.config import LimitStoreConfig
from headrace.limits.stores import build, check
from tests.limits.redis_server import RedisServer

AWAY = "redis://127.0.0.1:1/0"


async def tried(url: str, on_error: Literal["open", "closed"]) -> list[str]:
    """What the log says."""
    config = LimitStoreConfig(store="redis", on_error=on_error, time_limit_ms=20_000)
    store = build(config, environment={config.redis_url_env: url})
    try:
        with structlog.testing.capture_logs() as logs:
            await check(store, config)
    finally:
        await store.close()
    return [line["problem"] for line in logs if line["log_level"] == "warning"]


async def test_one_that_answers_is_not_talked_about(empty_redis: RedisServer) -> None:
    assert await tried(empty_redis.url, "closed") == []


@pytest.mark.parametrize("on_error", ["open", "closed"])
async def test_one_that_may_come_yet_is_told_of(on_error: Literal["open", "closed"]) -> None:
    (problem,) = await tried(AWAY, on_error)
    assert "cannot be reached" in problem


async def test_one_that_lets_nobody_in_ends_the_start(empty_redis: RedisServer) -> None:
    url = empty_redis.url.replace("//", "//nobody:sesame@")
    with pytest.raises(StartupError, match=r"\$HEADRACE_REDIS_URL: .* check user and password") as caught:
        await tried(url, "closed")
    assert "sesame" not in str(caught.value)
    (problem,) = await tried(url, "open")
    assert "does not let us in" in problem


async def test_memory_is_always_there() -> None:
    config = LimitStoreConfig()
    await check(build(config), config)
