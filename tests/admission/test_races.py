"""Grants, cancellations, timeouts and departures that meet in one iteration of the loop, in every order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import permutations, product

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from headrace.admission import Admission, AdmissionConfig, Ticket
from headrace.errors import HeadraceError, Overloaded
from tests.admission import virtual_time
from tests.admission.clients import Client, counts, made, virtual


def leave_now(ticket: Ticket) -> None:
    """As at the end of the `async with`, without an iteration of the loop in between."""
    with pytest.raises(StopIteration):
        ticket.__aexit__(None, None, None).send(None)


class Race:
    """A has the only place; B and C wait for it."""

    ACTIONS = ("A ends", "B is cancelled", "B waited too long", "C is cancelled", "closed")

    def __init__(self) -> None:
        self.admission = made()
        self.a = self.admission.admit("a", 3, 100)
        self.clients: list[Client] = []

    async def run(self, order: tuple[str, ...], apart: tuple[bool, ...]) -> None:
        """Between two actions the loop turns where `apart` says so."""
        await self.a.__aenter__()
        self.b, self.c = self.clients = [Client(self.admission), Client(self.admission)]
        await asyncio.sleep(0)
        assert counts(self.admission) == (1, 2)
        for action, turn in zip(order, (*apart, False), strict=True):
            self._do(action)
            assert counts(self.admission)[0] <= 1
            if turn:
                await asyncio.sleep(0)
                self._check()
        for _ in range(3):
            await asyncio.sleep(0)
            self._check()
        await self._check_the_end("A ends" in order, "closed" in order)

    def _do(self, action: str) -> None:
        actions: dict[str, Callable[[], object]] = {
            "A ends": lambda: leave_now(self.a),
            "B is cancelled": self.b.task.cancel,
            "B waited too long": lambda: self.admission._give_up(self.b.ticket, "waited"),
            "C is cancelled": self.c.task.cancel,
            "closed": self.admission.close,
            "D comes": lambda: self.clients.append(Client(self.admission)),
        }
        actions[action]()

    def _check(self) -> None:
        in_flight, waiting = counts(self.admission)
        assert in_flight == self.a.held + sum(client.ticket.held for client in self.clients)
        assert in_flight == 1 or not waiting, "a place is free and somebody waits"

    async def _check_the_end(self, a_ended: bool, closed: bool) -> None:
        if not a_ended:
            leave_now(self.a)
        for client in self.clients:
            client.end.set()
        results = await asyncio.gather(*(client.task for client in self.clients), return_exceptions=True)
        allowed = (type(None), asyncio.CancelledError, HeadraceError)
        assert all(isinstance(result, allowed) for result in results)
        assert counts(self.admission) == (0, 0)
        if not closed:
            async with self.admission.admit("last", 3, 100):
                assert counts(self.admission) == (1, 0)


def orders(actions: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[bool, ...]]]:
    for order in permutations(actions):
        yield from ((order, apart) for apart in product((False, True), repeat=len(actions) - 1))


@virtual
async def test_no_place_is_lost_or_given_twice_in_any_order_of_events() -> None:
    """120 orders, each with the 16 ways to spread it over iterations of the loop."""
    for order, apart in orders(Race.ACTIONS):
        await Race().run(order, apart)


@virtual
async def test_who_comes_in_the_same_iteration_changes_nothing() -> None:
    for order, apart in orders(("A ends", "B is cancelled", "C is cancelled", "D comes")):
        await Race().run(order, apart)


@virtual
async def test_a_grant_and_a_cancellation_at_once_pass_the_place_on() -> None:
    race = Race()
    await race.run(("A ends", "B is cancelled"), (False,))
    assert race.b.task.cancelled()
    assert race.b.in_since is None
    assert race.c.in_since is not None


@virtual
async def test_a_timeout_around_the_wait_gives_up_the_place() -> None:
    """`asyncio.timeout` cancels; here in the very iteration in which the place comes free."""
    admission = made(max_wait_ms=300)
    holder = Client(admission)
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.1, leave_now, holder.ticket)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), admission.admit("a", 3, 100):
            await asyncio.sleep(10)
    assert counts(admission) == (0, 0)
    await holder.finish()
    assert counts(admission) == (0, 0)


OPERATIONS = st.one_of(
    st.tuples(st.just("come"), st.integers(1, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("end"), st.integers(0, 30)),
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.tuples(st.just("pass"), st.integers(1, 150)),
)


@given(operations=st.lists(OPERATIONS, min_size=10, max_size=80), limit=st.integers(1, 3))
def test_places_are_kept_count_of_whatever_happens(operations: list[tuple[str, int]], limit: int) -> None:
    async def test() -> None:
        admission = made(initial_limit=limit, max_waiting=6, max_waiting_per_tenant=4)
        clients: list[Client] = []
        for operation, number in operations:
            if operation == "come":
                clients.append(Client(admission, f"tenant {number % 3}", number, 10 * number))
            elif operation == "turn":
                for _ in range(number):
                    await asyncio.sleep(0)
            elif operation == "pass":
                await asyncio.sleep(number / 1000)
            elif clients and operation == "cancel":
                clients[number % len(clients)].task.cancel()
            elif clients:
                clients[number % len(clients)].end.set()
            in_flight, waiting = counts(admission)
            assert in_flight == sum(client.ticket.held for client in clients) <= limit
            assert waiting <= 6
            assert in_flight == limit or not waiting
        for client in clients:
            client.end.set()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        assert counts(admission) == (0, 0)
        assert admission._queue.by_tenant == {}

    virtual_time.run(test())


def test_a_storm_of_cancellations_on_the_real_loop_leaves_nothing() -> None:
    async def storm() -> tuple[tuple[int, int], int]:
        draw = random.Random(1)
        admission = Admission(AdmissionConfig(initial_limit=4, min_limit=4, max_limit=4))
        served = 0

        async def request(place: int) -> None:
            nonlocal served
            async with admission.admit(f"tenant {place % 7}", 1 + place % 5, 1 + place):
                for _ in range(draw.randint(0, 5)):
                    await asyncio.sleep(0)
                served += 1

        tasks = []
        for place in range(3000):
            tasks.append(asyncio.create_task(request(place)))
            if place % 3 == 0:
                tasks[draw.randint(0, place)].cancel()
                await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(one is None or isinstance(one, asyncio.CancelledError | Overloaded) for one in results)
        return counts(admission), served

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        left, served = runner.run(storm())
    assert left == (0, 0)
    assert served > 100
