"""From what a request shows to who asks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace import logs
from headrace.errors import Forbidden, HeadraceError, InvalidRequest, Unauthenticated
from headrace.tenants.credentials import Credentials
from headrace.tenants.identity import Authenticator, Identity
from headrace.tenants.jwks import KeySet
from headrace.tenants.live import LOOK_SECONDS, LiveTenants
from tests.tenants.key_server import KeyServer
from tests.tenants.made_up import GOOD, KEYS, SECRET, written
from tests.tenants.signers import jwks, signer

KEY, NOW = KEYS["aaaa1111"], 1_770_000_000.0
RS256 = signer("RS256")
TIMES: dict[str, Any] = {"exp": NOW + 600, "iat": NOW, "nbf": NOW}


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def key_sets(asked: Authenticator) -> list[KeySet]:
    assert asked._issuers is not None
    return list(asked._issuers._key_sets.values())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(tmp_path: Path, clock: Clock) -> LiveTenants:
    (tmp_path / "keys.json").write_bytes(jwks(RS256.jwk()))
    return LiveTenants(written(tmp_path), clock)


@pytest.fixture
async def asked(live: LiveTenants) -> Any:
    authenticator = Authenticator(live, lambda: NOW)
    yield authenticator
    authenticator.close()


def shown(*headers: tuple[str, str], peer: bool = True, listens: bool = True, query: str = "") -> Credentials:
    return Credentials.of(headers, query=query, peer_is_loopback=peer, listens_on_loopback=listens)


def bearer(text: str) -> Credentials:
    return shown(("authorization", f"Bearer {text}"), peer=False)


@pytest.mark.parametrize("header", [("Authorization", f"Bearer {KEY}"), ("api-key", KEY), ("X-API-Key", KEY)])
async def test_a_key_says_who_asks(asked: Authenticator, header: tuple[str, str]) -> None:
    found = await asked.authenticate(shown(header, peer=False))
    assert (found.tenant, found.subject, found.how) == ("acme", "aaaa1111", "key")
    assert found.settings.requests_per_minute == 60


async def test_a_token_says_who_asks(asked: Authenticator) -> None:
    found = await asked.authenticate(bearer(RS256.token(**TIMES, tenant="beta")))
    assert (found.tenant, found.subject, found.how) == ("beta", "robot-7", "token")
    assert found.settings.cache_scope == "shared:friends"


async def test_a_good_token_of_a_tenant_that_is_not_here_is_forbidden(asked: Authenticator) -> None:
    for tenant in ("gamma", "anonymous"):
        with pytest.raises(Forbidden, match=r"not known here; ask those who run"):
            await asked.authenticate(bearer(RS256.token(**TIMES, tenant=tenant)))


@pytest.mark.parametrize("word", [None, "anonymous"])
async def test_who_shows_nothing_is_anonymous_on_this_machine_only(asked: Authenticator, word: str | None) -> None:
    headers = [] if word is None else [("authorization", f"Bearer {word}")]
    found = await asked.authenticate(shown(*headers))
    assert (found.tenant, found.subject, found.how) == ("anonymous", "", "anonymous")
    assert found.settings.requests_per_minute == 30
    for peer, listens in ((False, True), (True, False), (False, False)):
        with pytest.raises(Unauthenticated, match="no API key; send 'Authorization: Bearer <key>'"):
            await asked.authenticate(shown(*headers, peer=peer, listens=listens))


@pytest.mark.parametrize("said", ["127.0.0.1", "::1", "10.0.0.1, 127.0.0.1"])
async def test_a_forwarded_address_makes_nobody_anonymous(asked: Authenticator, said: str) -> None:
    for header in ("X-Forwarded-For", "x-forwarded-for", "Forwarded", "X-Real-IP", "Via"):
        for peer in (True, False):
            with pytest.raises(Unauthenticated, match="no API key"):
                await asked.authenticate(shown((header, said), peer=peer))
    assert (await asked.authenticate(shown(("X-Forwarded-For", said), ("api-key", KEY)))).tenant == "acme"


async def test_the_anonymous_tenant_can_be_turned_off(live: LiveTenants, clock: Clock, tmp_path: Path) -> None:
    asked = Authenticator(live, lambda: NOW)
    written(tmp_path, GOOD.replace("anonymous:\n  requests_per_minute: 30", "anonymous: false"))
    reread(live, clock)
    with pytest.raises(Unauthenticated, match="no API key"):
        await asked.authenticate(shown())
    asked.close()


@pytest.mark.parametrize("wrong", ["", "sk-abc", "EMPTY", "hr_a.b.c", KEY + "x", "Anonymous"])
async def test_a_wrong_key_is_not_taken_for_none(asked: Authenticator, wrong: str) -> None:
    for headers in ([("authorization", f"Bearer {wrong}")], [("api-key", wrong)]):
        with pytest.raises(Unauthenticated, match="the API key is not valid"):
            await asked.authenticate(shown(*headers))


async def test_a_token_is_none_where_keys_go(asked: Authenticator) -> None:
    with pytest.raises(Unauthenticated, match="the API key is not valid"):
        await asked.authenticate(shown(("api-key", RS256.token(**TIMES))))


async def test_two_keys_or_one_in_the_address_are_refused(asked: Authenticator) -> None:
    with pytest.raises(InvalidRequest):
        await asked.authenticate(shown(("api-key", KEY), ("x-api-key", KEYS["bbbb2222"])))
    with pytest.raises(InvalidRequest):
        await asked.authenticate(shown(query=f"api_key={KEY}"))


def reread(live: LiveTenants, clock: Clock) -> None:
    clock.seconds += LOOK_SECONDS
    live.current()
    live.close()


async def test_a_removed_key_and_a_removed_tenant_are_refused_after_a_reload(
    asked: Authenticator, live: LiveTenants, clock: Clock, tmp_path: Path
) -> None:
    token = bearer(RS256.token(**TIMES))
    await asked.authenticate(token)
    await asked.authenticate(bearer(KEY))
    written(tmp_path, GOOD.replace("  acme:", "  other:").replace("aaaa1111", "dddd4444"))
    reread(live, clock)
    with pytest.raises(Forbidden):
        await asked.authenticate(token)
    with pytest.raises(Unauthenticated):
        await asked.authenticate(bearer(KEY))


async def test_a_reload_keeps_the_keys_of_issuers_that_stay(
    clock: Clock, tmp_path: Path, server: KeyServer
) -> None:
    def said(text: str) -> str:
        return text.replace("jwks: keys.json", f"jwks: {server.url}")

    server.body = jwks(RS256.jwk())
    live = LiveTenants(written(tmp_path, said(GOOD)), clock)
    asked = Authenticator(live, lambda: NOW)
    asked.start()
    token = bearer(RS256.token(**TIMES))
    await asked.authenticate(token)
    written(tmp_path, said(GOOD).replace("per_minute: 60", "per_minute: 61"))
    reread(live, clock)
    assert (await asked.authenticate(token)).settings.requests_per_minute == 61
    assert len(server.requests) == 1
    written(tmp_path, said(GOOD).replace("audience: headrace", "audience: other"))
    reread(live, clock)
    with pytest.raises(Unauthenticated, match=r"audience \(aud\)"):
        await asked.authenticate(token)
    written(tmp_path, "tenants: {acme: {}}\n")
    reread(live, clock)
    with pytest.raises(Unauthenticated, match=r"issuer \(iss\) is not trusted"):
        await asked.authenticate(token)
    assert not key_sets(asked)
    asked.close()


async def test_a_key_that_the_issuer_took_back_is_refused_though_its_token_was_good(
    live: LiveTenants, tmp_path: Path
) -> None:
    asked = Authenticator(live, lambda: NOW)
    token = bearer(RS256.token(**TIMES))
    await asked.authenticate(token)
    (tmp_path / "keys.json").write_bytes(jwks(signer("ES256").jwk()))
    [keys] = key_sets(asked)
    await keys._fetch()
    with pytest.raises(Unauthenticated, match="has no key of this kid"):
        await asked.authenticate(token)
    asked.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    logs.configure("test", found.append)
    yield found
    structlog.reset_defaults()


async def test_no_secret_is_in_a_log_or_an_error(
    clock: Clock, tmp_path: Path, server: KeyServer, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    server.status = 500
    live = LiveTenants(written(tmp_path, GOOD.replace("jwks: keys.json", f"jwks: {server.url}")), clock)
    asked = Authenticator(live, lambda: NOW)
    good, late = RS256.token(**TIMES), RS256.token(exp=NOW - 999, iat=NOW, nbf=NOW)
    errors: list[HeadraceError] = []

    async def ask_all() -> None:
        for text in (KEY, KEY + "x", KEYS["cccc3333"], good, late, good[:-3], good + ".x", f"{good}{'x' * 9000}"):
            for headers in (
                [("authorization", f"Bearer {text}")], [("authorization", f"Basic {text}")], [("api-key", text)],
                [("api-key", text), ("x-api-key", "y")], [("authorization", text), ("Authorization", text)],
            ):  # fmt: skip
                for query in ("", f"token={text}"):
                    try:
                        await asked.authenticate(shown(*headers, query=query))
                    except HeadraceError as error:
                        errors.append(error)

    await ask_all()
    server.status, server.body = 200, jwks(RS256.jwk())
    [keys] = key_sets(asked)
    await keys._fetch()
    await ask_all()
    written(tmp_path, GOOD.replace("display_name: Acme", f"{KEY}: 1"))
    reread(live, clock)
    written(tmp_path, GOOD.replace("display_name: Acme", f"display_name: {KEY}: {{"))
    reread(live, clock)
    written(tmp_path, GOOD.replace("id: aaaa1111", f"id: {KEY}"))
    reread(live, clock)
    asked.close()
    assert len(lines) == 5
    assert len(errors) > 100
    said = json.dumps([lines, caplog.messages, [f"{e!r} {e.__cause__!r}" for e in errors]])
    for secret in (SECRET, *good.split(".")[1:], *late.split(".")[1:]):
        assert secret not in said
    assert "robot-7" not in said


async def test_a_key_is_checked_fast_enough_for_thousands_a_second(live: LiveTenants) -> None:
    """About 8 µs on the machine that it was written on; the limit is for slow and busy ones."""
    asked = Authenticator(live, lambda: NOW)
    request = bearer(KEY)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(200):
            await asked.authenticate(request)
        times.append((time.perf_counter() - began) / 200)
    assert min(times) < 20e-6
    asked.close()


async def test_an_identity_cannot_be_changed(asked: Authenticator) -> None:
    found = await asked.authenticate(bearer(KEY))
    assert isinstance(found, Identity)
    with pytest.raises(AttributeError):
        found.tenant = "beta"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        found.settings.priority = 1  # type: ignore[misc]


async def test_keys_wait_for_no_issuer(clock: Clock, tmp_path: Path, server: KeyServer) -> None:
    server.may_answer.clear()
    live = LiveTenants(written(tmp_path, GOOD.replace("jwks: keys.json", f"jwks: {server.url}")), clock)
    asked = Authenticator(live, lambda: NOW)
    asked.start()
    waiting = asyncio.create_task(asked.authenticate(bearer(RS256.token(**TIMES))))
    async with asyncio.timeout(1):
        assert (await asked.authenticate(bearer(KEY))).tenant == "acme"
    assert not waiting.done()
    server.body = jwks(RS256.jwk())
    server.may_answer.set()
    assert (await waiting).tenant == "acme"
    asked.close()
