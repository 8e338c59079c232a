from __future__ import annotations

from pathlib import Path

import pytest

from headrace import yaml_file
from headrace.errors import ConfigError
from headrace.limits.config import LimitStoreConfig
from headrace.limits.memory import MemoryStore
from headrace.limits.redis_store import RedisStore
from headrace.limits.stores import build


def read(tmp_path: Path, text: str) -> LimitStoreConfig:
    file = tmp_path / "limits.yaml"
    file.write_text(text)
    return yaml_file.read_as(file, LimitStoreConfig)


async def test_memory_is_what_it_is_without_a_word(tmp_path: Path) -> None:
    store = build(read(tmp_path, ""), spent={"day": {"ada": 7}}, environment={})
    assert isinstance(store, MemoryStore)
    assert await store.spent("ada", "day") == 7


async def test_redis_is_where_the_environment_says(tmp_path: Path) -> None:
    said = read(tmp_path, "{store: redis, redis_url_env: LIMITS_AT, on_error: open, time_limit_ms: 50}")
    store = build(said, environment={"LIMITS_AT": "unix:///run/redis.sock?db=2"})
    assert isinstance(store, RedisStore)
    await store.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("store: disk", "store"),
        ("time_limit_ms: 0", "time_limit_ms"),
        ("on_error: maybe", "on_error"),
        ("lease_seconds: .nan", "lease_seconds"),
        ("prefix: 'a{b}'", "prefix"),
        ("redis_url: redis://127.0.0.1", "redis_url"),
        ("redis_url_env: redis://127.0.0.1", "redis_url_env"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"limits\.yaml:1: {says}: "):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "address", ["", "sesame@127.0.0.1:6379", "redis://:sesame@127.0.0.1:port/0", "redis://[::1/0"]
)
def test_a_bad_address_is_named_by_its_variable_alone(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^\$HEADRACE_REDIS_URL: ") as caught:
        build(LimitStoreConfig(store="redis"), environment={"HEADRACE_REDIS_URL": address})
    assert "sesame" not in str(caught.value)
