"""Answers in a real Redis: another gateway finds them, and nothing depends on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from headrace.client import Chunk
from headrace.config import Config
from headrace.errors import ConfigError
from headrace.gateway.cache.answers import Answers, shared_answers
from headrace.gateway.cache.shared import SharedAnswers
from headrace.gateway.cache.store import AnswerCache
from tests.limits.redis_server import RedisServer

KEY = b"\x00" * 31 + b"k"
ANSWER = (Chunk(text="The "), Chunk(text="river.", finish_reason="stop", completion_tokens=2, guard="{}"))
SECONDS = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


def shared(server: RedisServer, ttl: float = 60.0, limit: float = SECONDS, most: int = 10**6) -> SharedAnswers:
    return SharedAnswers(server.url, ttl, limit, "test:", most)


@pytest.fixture
async def one(server: RedisServer) -> AsyncIterator[SharedAnswers]:
    with server.client() as client:
        client.flushall()
    found = shared(server)
    yield found
    await found.close()


async def until_written(answers: SharedAnswers, key: bytes = KEY) -> tuple[Chunk, ...]:
    async with asyncio.timeout(SECONDS):
        while (found := await answers.get(key)) is None:  # noqa: ASYNC110 another process has no event
            await asyncio.sleep(0.01)
    return found


async def test_another_gateway_finds_what_one_has_answered(server: RedisServer, one: SharedAnswers) -> None:
    gateway, other = (Answers(AnswerCache(10**6, 60.0), shared(server)) for _ in range(2))
    assert await other.get(KEY) is None
    gateway.put(KEY, ANSWER)
    assert await until_written(one) == ANSWER
    assert await other.get(KEY) == ANSWER
    assert len(other.own) == 1, "from now on it has it itself"
    await gateway.close()
    await other.close()


async def test_an_entry_ends_with_its_time(server: RedisServer, one: SharedAnswers) -> None:
    short = shared(server, ttl=0.001)
    short.put(KEY, ANSWER)
    await short.close()
    await asyncio.sleep(0.05)
    assert await one.get(KEY) is None


async def test_what_is_too_big_is_not_written(server: RedisServer, one: SharedAnswers) -> None:
    small = shared(server, most=20)
    small.put(KEY, ANSWER)
    await small.close()
    assert await one.get(KEY) is None


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x90", b"not ours", b"\x91\x81\xa4text\xa1x"])
async def test_what_is_no_answer_is_none(server: RedisServer, one: SharedAnswers, data: bytes) -> None:
    with server.client() as client:
        client.set(b"test:" + KEY, data)
    assert await one.get(KEY) is None


async def test_a_redis_that_is_silent_away_or_back_only_costs_hits(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    answers = shared(server, limit=0.2)
    try:
        answers.put(KEY, ANSWER)
        assert await until_written(answers) == ANSWER
        server.freeze()
        assert await answers.get(KEY) is None
        server.thaw()
        server.kill()
        for _ in range(20):  # nobody waits for one that is known to be away
            assert await answers.get(KEY) is None
            answers.put(KEY, ANSWER)
        server.start()
        async with asyncio.timeout(SECONDS):
            while await answers.get(KEY) is None:
                answers.put(KEY, ANSWER)
                await asyncio.sleep(0.05)
    finally:
        await answers.close()
        server.kill()


def test_the_configuration_names_the_variable_with_the_address() -> None:
    config = Config(gateway={"cache_redis_url_env": "CACHE_URL"})
    assert shared_answers(Config(), {}) is None
    assert shared_answers(config, {"CACHE_URL": "redis://127.0.0.1:1/0"}) is not None
    with pytest.raises(ConfigError, match=r"^\$CACHE_URL: give Redis' address"):
        shared_answers(config, {})
    with pytest.raises(ConfigError, match=r"^\$CACHE_URL: ") as caught:
        shared_answers(config, {"CACHE_URL": "http://user:secret@host"})
    assert "secret" not in str(caught.value)
