"""Admission in virtual time: who is let in, who waits, who is refused, and that places are kept count of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.admission import Admission, AdmissionConfig, Ticket
from headrace.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    RequestCancelled,
    Unavailable,
)
from tests.admission.clients import Client, counts, made, now, virtual


@asynccontextmanager
async def busy(admission: Admission) -> AsyncIterator[list[Client]]:
    """All places are taken, for as long as this lasts."""
    clients = [Client(admission) for _ in range(admission.stats().limit)]
    await asyncio.sleep(0)
    yield clients
    for client in clients:
        await client.finish()


async def refusal(entering: Awaitable[object]) -> Exception:
    try:
        await entering
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error
    raise AssertionError("it was let in")


async def entered(ticket: Ticket) -> None:
    async with ticket:
        pass


@virtual
async def test_the_limit_goes_in_and_the_rest_waits_in_turn() -> None:
    admission = made(initial_limit=2)
    clients = [Client(admission) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert [client.in_since is not None for client in clients] == [True, True, False, False]
    assert counts(admission) == (2, 2)
    await clients[1].finish()
    await asyncio.sleep(0.01)
    assert [client.in_since for client in clients] == [0.0, 0.0, pytest.approx(0.01), None]
    for client in clients:
        await client.finish()
    assert counts(admission) == (0, 0)


@virtual
async def test_who_waits_too_long_is_overloaded_even_if_nothing_ends() -> None:
    admission = made(max_wait_ms=200)
    async with busy(admission):
        error = await refusal(entered(admission.admit("a", 3, 100)))
        assert isinstance(error, Overloaded)
        assert now() == pytest.approx(0.2)
        assert error.http_status == 429
    assert admission.stats().refused == {"waited": 1}


@virtual
async def test_a_deadline_that_comes_while_waiting_ends_the_wait_even_if_nothing_ends() -> None:
    admission = made(max_wait_ms=200)
    async with busy(admission):
        error = await refusal(entered(admission.admit("a", 3, 100, now() + 0.15)))
        assert isinstance(error, DeadlineExceeded)
        assert now() == pytest.approx(0.15)
    assert admission.stats().refused == {"deadline_waited": 1}


@virtual
async def test_a_deadline_in_the_past_is_refused_at_once_even_if_there_is_room() -> None:
    admission = made()
    await asyncio.sleep(10)
    error = await refusal(entered(admission.admit("a", 3, 100, now() - 0.001)))
    assert isinstance(error, DeadlineExceeded)
    assert (admission.stats().refused, counts(admission)) == ({"deadline": 1}, (0, 0))


async def _used_to(admission: Admission, seconds: float, requests: int = 20) -> None:
    """Each takes so long to the first text, and so it is known."""
    for _ in range(requests):
        async with admission.admit("a", 3, 100) as ticket:
            await asyncio.sleep(seconds)
            ticket.first()


@virtual
async def test_a_deadline_that_the_wait_and_the_engine_cannot_meet_is_refused_at_once() -> None:
    admission = made()
    await _used_to(admission, 0.1)  # and so long a place is held
    async with busy(admission):
        began = now()
        error = await refusal(entered(admission.admit("a", 3, 100, now() + 0.19)))
        assert isinstance(error, DeadlineExceeded)
        assert (now(), admission.stats().refused) == (began, {"deadline": 1})
        patient = Client(admission, timeout=0.21)
        await asyncio.sleep(0)
        assert counts(admission) == (1, 1)
        patient.task.cancel()


@virtual
async def test_the_engine_is_not_thought_slower_than_its_objective() -> None:
    """What it does when it is overrun says little of what it does when the limit holds."""
    admission = made()
    await _used_to(admission, 5.0)
    assert admission.stats().p95_ratio > 20
    async with admission.admit("a", 3, 100, now() + 0.3):
        pass


@virtual
async def test_a_wait_that_would_be_too_long_is_refused_at_once() -> None:
    admission = made(max_wait_ms=350)
    await _used_to(admission, 0.1)
    async with busy(admission):
        waiting = [Client(admission) for _ in range(3)]
        await asyncio.sleep(0)
        began = now()
        error = await refusal(entered(admission.admit("a", 3, 100)))
        assert isinstance(error, Overloaded)
        assert (now(), admission.stats().refused) == (began, {"long_wait": 1})
        assert admission.stats().estimated_wait == pytest.approx(0.4)
        # Another tenant's turn comes before.
        other = Client(admission, tenant="b")
        await asyncio.sleep(0)
        assert admission.stats().waiting == 4
        for client in (*waiting, other):
            client.task.cancel()


@virtual
async def test_several_at_once_are_refused_when_it_is_known_that_not_all_get_in() -> None:
    admission = made(initial_limit=4, max_wait_ms=350)
    admission.check("a", 3, 100, 4)
    with pytest.raises(Overloaded, match="the engine takes 4 answers at once now; ask for fewer"):
        admission.check("a", 3, 100, 5)
    await _used_to(admission, 1.0)
    one, two = Client(admission), Client(admission)
    await asyncio.sleep(0)
    admission.check("a", 3, 100, 3)  # one of them waits, for 0.25 s
    with pytest.raises(Overloaded, match="the wait would be too long"):
        admission.check("a", 3, 100, 4)
    assert admission.stats().refused == {"places": 1, "long_wait": 1}
    await one.finish()
    await two.finish()
    admission.check("a", 3, 100, 4)


@virtual
async def test_the_queue_is_bounded_in_all_and_for_each_tenant() -> None:
    admission = made(max_waiting=3, max_waiting_per_tenant=2)
    async with busy(admission):
        waiting = [Client(admission, "a"), Client(admission, "a")]
        await asyncio.sleep(0)
        assert isinstance(await refusal(entered(admission.admit("a", 1, 1))), Overloaded)
        waiting.append(Client(admission, "b"))
        await asyncio.sleep(0)
        assert isinstance(await refusal(entered(admission.admit("c", 1, 1))), Overloaded)
        assert admission.stats().refused == {"tenant_queue_full": 1, "queue_full": 1}
        for client in waiting:
            client.task.cancel()


@virtual
async def test_those_refused_together_are_told_to_come_back_apart() -> None:
    admission = made(max_waiting=0, max_waiting_per_tenant=0)
    async with busy(admission):
        errors = [await refusal(entered(admission.admit("a", 3, 100))) for _ in range(100)]
    times = [error.retry_after for error in errors if isinstance(error, Overloaded)]
    assert len(times) == 100
    assert 1 <= min(times) < 1.1
    assert 1.9 < max(times) <= 2


@virtual
async def test_the_time_to_come_back_after_grows_with_what_waits() -> None:
    admission = made(max_waiting=100, max_waiting_per_tenant=100, max_wait_ms=60_000, ttft_target_ms=60_400)
    await _used_to(admission, 0.1)
    async with busy(admission):
        waiting = [Client(admission) for _ in range(100)]
        await asyncio.sleep(0)
        error = await refusal(entered(admission.admit("a", 3, 100)))
        assert isinstance(error, Overloaded)
        assert 10.1 <= error.retry_after <= 20.2
        for client in waiting:
            client.task.cancel()


@pytest.mark.parametrize("error", [None, ValueError, EngineUnavailable, DeadlineExceeded, asyncio.CancelledError])
def test_a_place_is_given_back_however_a_request_ends(error: type[BaseException] | None) -> None:
    @virtual
    async def test() -> None:
        admission = made()
        for _ in range(3):
            with nullcontext() if error is None else pytest.raises(error):
                async with admission.admit("a", 3, 100):
                    assert counts(admission) == (1, 0)
                    if error is not None:
                        raise error
            assert counts(admission) == (0, 0)

    test()


@virtual
async def test_a_ticket_that_is_left_twice_gives_one_place_back() -> None:
    admission = made(initial_limit=2)
    async with admission.admit("other", 3, 100):
        async with admission.admit("a", 3, 100) as ticket:
            await ticket.__aexit__(None, None, None)
            assert counts(admission) == (1, 0)
        assert counts(admission) == (1, 0)


@virtual
async def test_a_waiting_request_that_is_cancelled_leaves_at_once() -> None:
    admission = made()
    async with busy(admission) as clients:
        gone, next_one = Client(admission), Client(admission)
        await asyncio.sleep(0)
        gone.task.cancel()
        await asyncio.sleep(0)
        assert counts(admission) == (1, 1)
        await clients[0].finish()
        await asyncio.sleep(0)
        assert next_one.in_since is not None
        await next_one.finish()


async def _overrun(admission: Admission, request: Callable[[Ticket], Coroutine[Any, Any, None]]) -> int:
    """The limit after many such requests at once."""

    async def one() -> None:
        async with admission.admit("a", 3, 100) as ticket:
            await request(ticket)

    for _ in range(5):
        await asyncio.gather(*(one() for _ in range(admission.stats().limit)), return_exceptions=True)
        await asyncio.sleep(0)
    return admission.stats().limit


async def _streams(ticket: Ticket) -> None:
    await asyncio.sleep(0.05)
    ticket.first()
    await asyncio.sleep(1)


async def _streams_late(ticket: Ticket) -> None:
    await asyncio.sleep(0.5)
    ticket.first()


async def _streams_to_a_slow_reader(ticket: Ticket) -> None:
    await _streams(ticket)
    await asyncio.sleep(100)
    ticket.done(10)


async def _answers_at_length(ticket: Ticket) -> None:
    await asyncio.sleep(4)
    ticket.done(100)


async def _answers_slowly(ticket: Ticket) -> None:
    await asyncio.sleep(4)
    ticket.done(10)


async def _fails(_: Ticket) -> None:
    await asyncio.sleep(1)
    raise EngineUnavailable("down")


async def _fails_in_the_stream(ticket: Ticket) -> None:
    await _streams(ticket)
    raise DeadlineExceeded("late")


async def _says_it_failed(ticket: Ticket) -> None:
    await asyncio.sleep(0.15)
    ticket.done(0, ok=False)


async def _is_cancelled(_: Ticket) -> None:
    await asyncio.sleep(10)
    raise RequestCancelled("by the client")


async def _is_wrong(_: Ticket) -> None:
    await asyncio.sleep(10)
    raise InvalidRequest("max_tokens", "too many")


async def _leaves(_: Ticket) -> None:
    await asyncio.sleep(10)
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("request_", "way"),
    [
        (_streams, "up"),
        (_streams_late, "down"),
        (_streams_to_a_slow_reader, "up"),
        (_answers_at_length, "up"),
        (_answers_slowly, "down"),
        (_fails, "down"),
        (_fails_in_the_stream, "down"),
        (_says_it_failed, "down"),
        (_is_cancelled, "stays"),
        (_is_wrong, "stays"),
        (_leaves, "stays"),
    ],
)
def test_what_requests_tell_moves_the_limit(
    request_: Callable[[Ticket], Coroutine[Any, Any, None]], way: str
) -> None:
    @virtual
    async def test() -> None:
        admission = made(initial_limit=24, min_limit=1, max_limit=100)
        limit = await _overrun(admission, request_)
        assert {"up": limit > 24, "down": limit < 24, "stays": limit == 24}[way], limit

    test()


@pytest.mark.parametrize(
    ("stream", "timeout", "way"),
    [
        (True, 0.19, "stays"),  # the engine has 0.2 s by its objective
        (True, 0.5, "down"),
        (False, 0.5, "stays"),  # and for 100 tokens as a whole 5.2 s
        (False, 6.0, "down"),
    ],
)
def test_a_deadline_that_the_client_chose_too_near_does_not_move_the_limit(
    stream: bool, timeout: float, way: str
) -> None:
    @virtual
    async def test() -> None:
        admission = made(initial_limit=24, min_limit=1, max_limit=100)

        async def one() -> None:
            async with admission.admit("a", 3, 100, now() + timeout, stream):
                await asyncio.sleep(timeout)
                raise DeadlineExceeded("late")

        await asyncio.gather(*(one() for _ in range(24)), return_exceptions=True)
        for _ in range(2):
            await asyncio.sleep(1)
            await asyncio.gather(*(one() for _ in range(24)), return_exceptions=True)
        limit = admission.stats().limit
        assert {"down": limit < 24, "stays": limit == 24}[way], limit

    test()


@virtual
async def test_who_fails_long_before_its_deadline_failed_by_overload() -> None:
    admission = made(initial_limit=24, min_limit=1, max_limit=100)

    async def one() -> None:
        async with admission.admit("a", 3, 100, now() + 60):
            await asyncio.sleep(1)
            raise EngineUnavailable("down")

    for _ in range(3):
        await asyncio.gather(*(one() for _ in range(admission.stats().limit)), return_exceptions=True)
    assert admission.stats().limit < 24


@virtual
async def test_a_stream_that_began_in_time_may_miss_its_own_deadline() -> None:
    admission = made(initial_limit=24, min_limit=1, max_limit=100)

    async def one() -> None:
        async with admission.admit("a", 3, 100, now() + 2, stream=True) as ticket:
            await asyncio.sleep(0.1)
            ticket.first()
            await asyncio.sleep(1.9)
            raise DeadlineExceeded("late")

    for _ in range(3):
        await asyncio.gather(*(one() for _ in range(24)), return_exceptions=True)
    assert admission.stats().limit >= 24
    assert 0 < admission.stats().p95_ratio < 1


@virtual
async def test_a_limit_that_grows_lets_in_who_waits() -> None:
    admission = made(initial_limit=24, min_limit=1, max_limit=100, max_wait_ms=350)

    async def stream() -> None:
        async with admission.admit("a", 3, 100) as ticket:
            await asyncio.sleep(0.01)
            ticket.first()
            await asyncio.sleep(30)

    streams = [asyncio.create_task(stream()) for _ in range(23)]
    await asyncio.sleep(0.6)
    streams += [asyncio.create_task(stream()) for _ in range(3)]
    await asyncio.sleep(0)
    assert (admission.stats().limit, counts(admission)) == (24, (24, 2))
    await asyncio.sleep(0.011)  # its first text ends a window
    assert admission.stats().limit > 25
    assert counts(admission) == (26, 0)
    await asyncio.gather(*streams)


@virtual
async def test_the_estimated_wait_knows_how_many_places_come_free() -> None:
    for places, seconds in ((1, 0.4), (4, 0.1)):
        admission = made(initial_limit=places)
        await _used_to(admission, 0.1)
        async with busy(admission):
            waiting = [Client(admission) for _ in range(3)]
            await asyncio.sleep(0)
            # Of the 3 and of one more.
            assert admission.stats().estimated_wait == pytest.approx(seconds * (3 if places == 1 else 4) / 4)
            for client in waiting:
                client.task.cancel()
        assert admission.stats().estimated_wait == 0


@virtual
async def test_closing_refuses_what_comes_and_lets_the_rest_end() -> None:
    admission = made()
    running, waiting = Client(admission), Client(admission)
    await asyncio.sleep(0)
    admission.close()
    assert isinstance(await refusal(entered(admission.admit("a", 1, 1))), Unavailable)
    await running.finish()
    await asyncio.sleep(0)
    assert waiting.in_since is not None
    await waiting.finish()
    assert (counts(admission), admission.stats().refused) == ((0, 0), {"closing": 1})


@virtual
async def test_what_waits_is_bounded_when_the_engine_is_stuck() -> None:
    admission = made(max_waiting=50, max_waiting_per_tenant=20)
    async with busy(admission):
        clients = [Client(admission, f"tenant {place % 1000}") for place in range(5000)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert counts(admission) == (1, 50)
        results = await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert all(isinstance(result, Overloaded) for result in results)
    stats = admission.stats()
    assert stats.waiting == 0
    assert stats.refused == {"queue_full": 4950, "waited": 50}


@pytest.mark.parametrize("priority", [0, 6, -1])
async def test_a_priority_that_is_none_is_refused(priority: int) -> None:
    with pytest.raises(InvalidRequest, match="priority"):
        Admission(AdmissionConfig()).admit("a", priority, 1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"min_limit": 20}, "min_limit must not be above initial_limit"),
        ({"initial_limit": 200}, "initial_limit must not be above max_limit"),
        ({"max_wait_ms": 500}, "max_wait_ms must not be above ttft_target_ms"),
        ({"max_wait_ms": 400}, "the engine needs the rest"),
        ({"window_ms": 9000}, "window_ms must not be above max_window_ms"),
        ({"max_waiting": 1}, "max_waiting_per_tenant must not be above max_waiting"),
        ({"priority_weights": (1, 1, 1, 1)}, "priority_weights"),
        ({"priority_weights": (1, 1, 1, 1, 0)}, "priority_weights"),
        ({"ttft_target_ms": float("inf")}, "ttft_target_ms"),
        ({"max_queue": 1}, "max_queue"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AdmissionConfig.model_validate(values)


def test_the_engine_has_of_the_objective_what_waiting_does_not_take() -> None:
    config = AdmissionConfig(ttft_target_ms=400, max_wait_ms=150, token_target_ms=20)
    assert config.first_seconds == pytest.approx(0.25)
    assert config.whole_seconds(100) == pytest.approx(2.25)
