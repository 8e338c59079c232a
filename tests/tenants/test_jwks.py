"""An issuer's keys while its server, its file and its keys change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from jwt.algorithms import RSAAlgorithm

from headrace.errors import Unauthenticated, Unavailable
from headrace.tenants import jwks as jwks_module
from headrace.tenants.file import IssuerSection
from headrace.tenants.jwks import RETRY_SECONDS, UNKNOWN_KID_SECONDS, KeySet, loader, usable
from tests.tenants.key_server import KeyServer
from tests.tenants.signers import Signer, jwks, rsa_key, signer

ONE, TWO = signer("RS256", "one"), signer("ES256", "two")
HERE = Path()


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.waits: list[float] = []
        self._over = asyncio.Event()

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self._over.wait()
        self._over.clear()

    def end_the_wait(self) -> None:
        self._over.set()


def key_set(url: str, clock: Clock, changed: Callable[[], None] = lambda: None) -> KeySet:
    issuer = IssuerSection(issuer="a", audience="b", jwks=url)
    return KeySet(loader(issuer, HERE), 300, changed, clock, clock.sleep)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for knows no events
            await asyncio.sleep(0.005)


async def test_keys_are_fetched_before_the_first_token_and_at_the_interval(server: KeyServer) -> None:
    clock, changes = Clock(), []
    server.body = jwks(ONE.jwk())
    keys = key_set(server.url, clock, lambda: changes.append(1))
    keys.start()
    await until(lambda: clock.waits == [300])
    await keys.key("one", "RS256")
    assert len(server.requests) == 1
    clock.end_the_wait()
    await until(lambda: clock.waits == [300, 300])
    assert (len(server.requests), changes) == (2, [1])
    server.body = jwks(TWO.jwk())
    clock.end_the_wait()
    await until(lambda: len(clock.waits) == 3)
    assert changes == [1, 1]
    await keys.key("two", "ES256")
    with pytest.raises(Unauthenticated, match="has no key of this kid"):
        await keys.key("one", "RS256")
    keys.close()


async def test_a_new_key_is_fetched_once_when_it_comes(server: KeyServer) -> None:
    keys = key_set(server.url, Clock())
    server.body = jwks(ONE.jwk())
    await keys.key("one", "RS256")
    keys._fetched_for_unknown = 0.0
    server.body = jwks(ONE.jwk(), TWO.jwk())
    found = await asyncio.gather(*(keys.key("two", "ES256") for _ in range(50)))
    assert len(set(map(id, found))) == 1
    assert len(server.requests) == 2


async def test_made_up_kids_cause_no_storm(server: KeyServer) -> None:
    clock = Clock()
    keys = key_set(server.url, clock)
    server.body = jwks(ONE.jwk())
    await keys.key("one", "RS256")

    async def made_up(number: int) -> None:
        with pytest.raises(Unauthenticated, match="has no key of this kid"):
            await keys.key(f"no-{number}", "RS256")

    clock.seconds += UNKNOWN_KID_SECONDS
    for number in range(100):
        await made_up(number)
    await asyncio.gather(*(made_up(number) for number in range(200)))
    assert len(server.requests) == 2
    clock.seconds += UNKNOWN_KID_SECONDS - 0.001
    await made_up(1)
    assert len(server.requests) == 2
    clock.seconds += 0.001
    await made_up(1)
    assert len(server.requests) == 3


@pytest.mark.parametrize("failure", ["status", "no json", "no keys", "too long"])
async def test_a_fetch_that_fails_keeps_the_old_keys_says_so_once_and_is_tried_again(
    server: KeyServer, failure: str
) -> None:
    clock = Clock()
    server.body = jwks(ONE.jwk())
    keys = key_set(server.url, clock)
    with structlog.testing.capture_logs() as logs:
        keys.start()
        await until(lambda: len(clock.waits) == 1)
        good = server.body
        server.status = 500 if failure == "status" else 200
        server.body = {"no json": b"<html>", "no keys": b'{"keys": []}', "too long": b" " * 300_000}.get(
            failure, good
        )
        for count in (2, 3):
            clock.end_the_wait()
            await until(lambda: len(clock.waits) == count)  # noqa: B023
            await keys.key("one", "RS256")
        assert clock.waits == [300, RETRY_SECONDS, RETRY_SECONDS]
        server.status, server.body = 200, good
        clock.end_the_wait()
        await until(lambda: len(clock.waits) == 4)
    assert clock.waits[-1] == 300
    assert [entry["event"] for entry in logs] == [
        "an issuer's keys were not fetched; the old ones go on",
        "an issuer's keys were fetched again",
    ]
    assert server.url in logs[0]["problem"]
    keys.close()


async def test_without_any_keys_nobody_is_judged(server: KeyServer) -> None:
    server.status = 503
    keys = key_set(server.url, Clock())
    for _ in range(2):
        with pytest.raises(Unavailable, match="could not be fetched yet"):
            await keys.key("one", "RS256")
    assert len(server.requests) == 1


async def test_a_slow_fetch_holds_up_nothing_but_who_needs_it(server: KeyServer) -> None:
    server.body = jwks(ONE.jwk())
    clock = Clock()
    keys = key_set(server.url, clock)
    await keys.key("one", "RS256")
    clock.seconds += UNKNOWN_KID_SECONDS
    server.may_answer.clear()
    waiting = asyncio.create_task(keys.key("two", "ES256"))
    await until(lambda: len(server.requests) == 2)
    async with asyncio.timeout(1):
        await keys.key("one", "RS256")
    assert not waiting.done()
    server.body = jwks(TWO.jwk())
    server.may_answer.set()
    assert (await waiting).key_id == "two"


async def test_who_leaves_does_not_take_the_fetch_from_others(server: KeyServer) -> None:
    server.body = jwks(ONE.jwk())
    server.may_answer.clear()
    keys = key_set(server.url, Clock())
    keys.start()
    leaving, staying = (asyncio.create_task(keys.key("one", "RS256")) for _ in range(2))
    await until(lambda: len(server.requests) == 1)
    leaving.cancel()
    keys.close()
    server.may_answer.set()
    assert (await staying).key_id == "one"
    assert leaving.cancelled()
    assert len(server.requests) == 1


async def test_keys_are_fetched_and_read_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def load() -> Any:
        threads.append(threading.current_thread())
        return usable(jwks(ONE.jwk()), ("RS256",))

    await KeySet(load, 300).key("one", "RS256")
    assert threading.main_thread() not in threads


async def test_a_fault_of_our_own_keeps_the_old_keys() -> None:
    results = [usable(jwks(ONE.jwk()), ("RS256",))]
    clock = Clock()
    keys = KeySet(results.pop, 300, clock=clock)
    await keys.key("one", "RS256")
    clock.seconds += UNKNOWN_KID_SECONDS
    with structlog.testing.capture_logs() as logs, pytest.raises(Unauthenticated):
        await keys.key("two", "RS256")
    assert logs[0]["event"] == "an issuer's keys were not fetched; the old ones go on"
    await keys.key("one", "RS256")


def test_keys_of_a_file_are_read(tmp_path: Path) -> None:
    issuer = IssuerSection(issuer="a", audience="b", jwks="keys/a.json")
    (tmp_path / "keys").mkdir()
    file = tmp_path / "keys" / "a.json"
    load = loader(issuer, tmp_path)
    with pytest.raises(Unavailable, match=r"a\.json: No such file"):
        load()
    file.write_bytes(jwks(ONE.jwk()))
    assert load().keys() == {("one", "RS256")}
    file.write_bytes(b" " * (jwks_module.MOST_BYTES + 1))
    with pytest.raises(Unavailable, match="longer than"):
        load()
    file.unlink()
    file.mkdir()
    with pytest.raises(Unavailable, match="Is a directory"):
        load()


SHORT = Signer(rsa_key(1024), "RS256", "short")
PRIVATE = RSAAlgorithm.to_jwk(rsa_key(), as_dict=True)
UNFIT: dict[str, Any] = {
    "a shared secret": {"kty": "oct", "kid": "x", "k": "c2VjcmV0"},
    "a private key": {**PRIVATE, "kid": "x", "key_ops": ["verify"]},
    "for encryption": ONE.jwk(use="enc"),
    "for other operations": ONE.jwk(key_ops=["encrypt"]),
    "another algorithm": ONE.jwk(alg="HS256"),
    "no algorithm": ONE.jwk(alg="none"),
    "odd algorithm": ONE.jwk(alg=["RS256"]),
    "no kid": {name: value for name, value in ONE.jwk().items() if name != "kid"},
    "a kid that is no text": ONE.jwk(kid=1),
    "too short": SHORT.jwk(),
    "broken numbers": ONE.jwk(n="!"),
    "missing numbers": {"kty": "RSA", "kid": "x"},
    "another curve": {"kty": "EC", "crv": "secp256k1", "kid": "x", "x": "AA", "y": "AA"},
    "off the curve": TWO.jwk(x="A" * 43),
    "odd kind": ONE.jwk(kty=["RSA"]),
    "odd operations": ONE.jwk(key_ops=7),
    "no object": 7,
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_a_key_that_must_not_be_used_is_left_out(unfit: str) -> None:
    assert usable(jwks(UNFIT[unfit], ONE.jwk()), ("RS256", "ES256")).keys() == {("one", "RS256")}
    with pytest.raises(ValueError, match="holds no public key with a kid for ES256, RS256"):
        usable(jwks(UNFIT[unfit]), ("RS256", "ES256"))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": {}}', b"null", b"[" * 100_000, b"\xff"])
def test_what_is_no_set_of_keys_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match='expected a JSON object with a list of "keys"'):
        usable(text, ("RS256",))
