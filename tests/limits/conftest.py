from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest

from headrace.limits import redis_scripts
from headrace.limits.memory import MemoryStore
from headrace.limits.model import LimitStore
from headrace.limits.redis_store import RedisStore
from tests.limits.clocks import FAKE_TIME, Clocks, for_redis
from tests.limits.redis_server import RedisServer

LEASE_SECONDS = 600


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def empty_redis(redis_server: RedisServer) -> RedisServer:
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def _fake_time() -> Callable[[str], str]:
    real = redis_scripts._source

    def source(name: str) -> str:
        text = real(name)
        assert text.count("redis.call('TIME')") == 1
        return text.replace("redis.call('TIME')", FAKE_TIME)

    return source


@pytest.fixture
def fake_time(_fake_time: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts read a clock that the test turns."""
    monkeypatch.setattr(redis_scripts, "_source", _fake_time)


@dataclass
class Bench:
    """A store, and the clocks that it runs on."""

    store: LimitStore
    clocks: Clocks


@pytest.fixture(params=["memory", "redis"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "memory":
        clocks = Clocks()
        yield Bench(MemoryStore(LEASE_SECONDS, monotonic=clocks.monotonic, wall=clocks.wall), clocks)
        return
    request.getfixturevalue("fake_time")
    server = request.getfixturevalue("empty_redis")
    with server.client() as client:
        clocks = for_redis(client)
        store = RedisStore(server.url, 20.0, lease_seconds=LEASE_SECONDS, monotonic=clocks.monotonic)
        yield Bench(store, clocks)
        await store.close()
