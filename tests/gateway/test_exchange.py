"""The way of a request, before a server that does as Triton does: nothing is taken twice, nothing forgotten."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from msgspec import UNSET

from headrace.audit.record import AuditLine
from headrace.audit.verify import verify
from headrace.errors import (
    DeadlineExceeded,
    Forbidden,
    HeadraceError,
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from headrace.gateway.ask import Ask, CacheWish
from headrace.limits.budget import Budget
from headrace.limits.errors import LimitReached
from headrace.limits.model import Limits
from headrace.tenants.identity import Identity
from headrace.tenants.settings import Settings
from tests.gateway.bench import ACME, CALL, POLICY, Bench, ask, what, who


async def test_what_an_answer_took_is_settled_and_recorded(bench: Bench) -> None:
    bench.triton.pieces = ("The ", "river.")
    assert await bench.read(ask()) == "The river."
    (record,) = await bench.records()
    assert (record.tenant, record.key_id, record.outcome, record.status) == ("acme", "key-1", "ok", 200)
    assert (record.prompt_tokens, record.completion_tokens) == (31, 2)
    assert record.cost == 31 * 20 + 2 * 80 == await bench.spent()
    assert (record.cache, record.finish_reason, record.policy) == ("miss", "stop", "usual")
    assert record.prompt_hmac != record.answer_hmac != None  # noqa: E711
    standing = await bench.limits.standing("acme", _limits())
    assert standing.tokens is not None
    assert standing.tokens.remaining == 1000 - 33
    assert verify(bench.audit_folder, None).intact


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_triton_hears_of_the_trace_that_is_recorded(bench: Bench, stream: bool) -> None:
    bench.triton.pieces = ("The river.",)
    await bench.read(ask(stream=stream))
    (record,) = await bench.records()
    assert record.trace_id == CALL.trace.trace_id
    assert bench.triton.traces == [f"00-{record.trace_id}-{CALL.trace.span_id}-00"]


async def test_an_equal_request_is_answered_from_the_cache_and_costs_nothing(bench: Bench) -> None:
    bench.triton.pieces = ("The ", "river.")
    for _ in range(3):
        assert await bench.read(ask()) == "The river."
    assert [(record.cache, record.cost) for record in await bench.records()] == [
        ("miss", 780), ("hit", 0), ("hit", 0),
    ]  # fmt: skip
    assert bench.triton.runs == 1


@pytest.mark.parametrize(
    "other",
    [ask("Ho"), ask(temperature=0.5), ask(guard_policy="strict"), ask(cache_scope="mine"), ask(stream=False)],
    ids=["text", "chance", "policy", "scope", "form"],
)
async def test_another_request_is_not(bench: Bench, other: Ask) -> None:
    bench.triton.pieces = ("The ", "river.")
    await bench.read(ask())
    await bench.read(other)
    assert bench.triton.runs == 2


async def test_another_tenant_s_answers_are_his_own(bench: Bench) -> None:
    bench.triton.pieces = ("The river.",)
    await bench.read(ask())
    await bench.read(ask(), Settings("beta", "Beta", cache_scope="tenant:beta"))
    assert bench.triton.runs == 2


async def test_a_new_policy_file_is_a_new_cache(bench: Bench) -> None:
    bench.triton.pieces = ("The river.",)
    await bench.read(ask())
    bench.policy.write_text(POLICY.replace("usual: {}", "usual: {refusal: No.}"))
    await bench.read(ask())
    assert bench.triton.runs == 2
    # Triton still judged by the old version: its answer must not be kept under the new one.
    await bench.read(ask())
    assert bench.triton.runs == 3


@pytest.mark.parametrize("wish", [CacheWish(read=False), CacheWish(read=False, write=False)])
async def test_who_wants_no_cache_gets_none(bench: Bench, wish: CacheWish) -> None:
    bench.triton.pieces = ("The river.",)
    await bench.read(ask())
    await bench.read(ask(cache=wish))
    assert bench.triton.runs == 2
    assert (await bench.records())[1].cache == "bypass"


async def test_32_at_once_run_the_engine_once_and_pay_once(bench: Bench) -> None:
    bench.triton.pieces, bench.triton.pause = ("The ", "river."), 0.5
    texts = await asyncio.gather(*(bench.read(ask(), _rich()) for _ in range(32)))
    assert (set(texts), bench.triton.runs) == ({"The river."}, 1)
    records = await bench.records()
    assert sorted(record.cache for record in records) == ["join"] * 31 + ["miss"]
    assert sum(record.cost for record in records) == 780 == await bench.spent()


async def test_choices_are_answers_of_their_own_and_the_prompt_is_paid_once(bench: Bench) -> None:
    bench.triton.pieces = ("The ", "river.")
    await bench.read(ask(choices=3, temperature=1.0, random_seed=7))
    assert sorted(bench.triton.seeds) == [7, 8, 9]
    (record,) = await bench.records()
    assert (record.completion_tokens, record.cost) == (6, 31 * 20 + 6 * 80)


async def test_who_leaves_pays_what_he_had_and_stops_the_engine(bench: Bench) -> None:
    bench.triton.pieces, bench.triton.ends = ("The ", "river"), False
    async with (
        bench.exchanges.open(CALL, lambda: who(ACME), lambda: what(ask())) as exchange,
        aclosing(exchange.pieces()) as pieces,
    ):
        await anext(pieces)
    (record,) = await bench.records()
    assert record.completion_tokens in {1, 2}
    assert record.cost == 31 * 20 + record.completion_tokens * 80 == await bench.spent()
    assert (bench.triton.running, len(bench.triton.stops)) == (set(), 1)


REFUSED: dict[str, tuple[Ask, Settings, type[HeadraceError], str]] = {
    "an unknown model": (replace(ask(), model="completion"), ACME, NotFound, "refused"),
    "a model that is not the tenant's": (ask(), replace(ACME, models=frozenset({"other"})), Forbidden, "refused"),
    "another policy than the tenant's": (
        ask(guard_policy="strict"), replace(ACME, guard_policy="usual"), Forbidden, "refused",
    ),
    "an unknown policy": (ask(guard_policy="nobody"), ACME, InvalidRequest, "refused"),
    "an empty prompt": (ask(""), ACME, InvalidRequest, "refused"),
    "more than a minute's tokens": (ask(max_tokens=990), ACME, RateLimited, "refused"),
    "more than the budget": (ask(), replace(ACME, budgets=(Budget(2000, "month"),)), RateLimited, "budget"),
    "a deadline that has passed": (ask(deadline=0.0), ACME, DeadlineExceeded, "deadline"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_refused_costs_nothing_reaches_nobody_and_is_recorded(bench: Bench, what: str) -> None:
    asked, settings, error, outcome = REFUSED[what]
    with pytest.raises(error):
        await bench.read(asked, settings)
    (record,) = await bench.records()
    assert (record.outcome, record.error, record.cost) == (outcome, error_of(record), 0)
    assert record.status == error.http_status
    assert (await bench.spent(), bench.triton.runs) == (0, 0)


def error_of(record: AuditLine) -> str | None:
    """A class of ours, never its message."""
    assert record.error is not None
    assert record.error.isidentifier()
    return record.error


async def test_who_is_not_known_is_recorded_without_a_name(bench: Bench) -> None:
    async def nobody() -> Identity:
        raise Unauthenticated("the key is not known")

    with pytest.raises(Unauthenticated):
        async with bench.exchanges.open(CALL, nobody, lambda: what(ask())):
            pass
    (record,) = await bench.records()
    assert (record.tenant, record.outcome, record.status, record.prompt_hmac) == (None, "refused", 401, None)


async def test_a_body_that_cannot_be_read_is_recorded_with_its_tenant(bench: Bench) -> None:
    async def unreadable() -> Ask:
        raise InvalidRequest("body", "not valid JSON")

    with pytest.raises(InvalidRequest):
        async with bench.exchanges.open(CALL, lambda: who(ACME), unreadable):
            pass
    (record,) = await bench.records()
    assert (record.tenant, record.outcome, record.status) == ("acme", "refused", 400)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_what_triton_says_is_told_and_gives_back_all_that_was_reserved(bench: Bench, stream: bool) -> None:
    bench.triton.error = "the engine is restarting [UNAVAILABLE]"
    with pytest.raises(Unavailable, match=r"the engine is restarting$"):
        await bench.read(ask(stream=stream))
    (record,) = await bench.records()
    assert (record.outcome, record.status, record.cost) == ("failed", 503, 0)
    assert (await bench.spent(), bench.triton.running) == (0, set())
    standing = await bench.limits.standing("acme", _limits())
    assert standing.tokens is not None
    assert standing.tokens.remaining == 1000


async def test_a_deadline_in_a_stream_stops_the_engine(bench: Bench) -> None:
    bench.triton.pieces, bench.triton.ends = ("The ",), False
    soon = asyncio.get_running_loop().time() + 2.0
    with pytest.raises(DeadlineExceeded):
        await bench.read(ask(deadline=soon))
    (record,) = await bench.records()
    assert (record.outcome, record.status, bench.triton.running) == ("deadline", 504, set())
    assert record.cost == 31 * 20 + 1 * 80 == await bench.spent()


async def test_who_is_cancelled_is_settled_and_recorded_all_the_same(bench: Bench) -> None:
    bench.triton.pieces, bench.triton.ends = ("The ",), False
    reading = asyncio.create_task(bench.read(ask()))
    await bench.triton.came.wait()
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    (record,) = await bench.records()
    assert (record.outcome, record.status, bench.triton.running) == ("cancelled", 499, set())
    assert record.cost == await bench.spent()


async def test_the_text_is_in_the_record_only_if_the_tenant_wants_it(bench: Bench) -> None:
    bench.triton.pieces = ("The river.",)
    await bench.read(ask("A secret question"))
    await bench.read(ask("A secret question"), replace(ACME, store_text=True))
    plain, told = await bench.records()
    assert (plain.prompt, plain.answer) == (UNSET, UNSET)
    assert (told.prompt, told.answer) == ('"A secret question"', "The river.")
    assert "secret" not in next(bench.audit_folder.glob("*.jsonl")).read_text().splitlines()[0]


async def test_a_hundred_at_once_pass_no_limit_by_one_token(bench: Bench) -> None:
    bench.triton.pieces, bench.triton.pause = ("The ", "river."), 0.01
    wishes = [ask(f"Question {number}", max_tokens=50) for number in range(100)]
    done = await asyncio.gather(*(bench.read(one) for one in wishes), return_exceptions=True)
    answered = sum(isinstance(one, str) for one in done)
    assert {type(one) for one in done if not isinstance(one, str)} <= {LimitReached, Overloaded}
    records = [record for record in await bench.records() if record.outcome == "ok"]
    assert len(records) == answered > 0
    used = sum(record.prompt_tokens + record.completion_tokens for record in records)
    reserved = max(record.prompt_tokens for record in records) + 50
    assert used <= 1000
    assert answered >= 1000 // reserved
    assert sum(record.cost for record in records) == await bench.spent()


def _limits() -> Limits:
    return Limits(tokens_per_minute=1000)


def _rich() -> Settings:
    return replace(ACME, tokens_per_minute=10**6)
