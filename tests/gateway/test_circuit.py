"""The circuit breaker."""

from __future__ import annotations

import pytest

from headrace.errors import Unavailable
from headrace.gateway.circuit import Circuit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(failures=3, pause=1.0, longest=3.0, clock=clock)


def opened(circuit: Circuit) -> bool:
    try:
        circuit.check()
    except Unavailable:
        return True
    return False


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.check()
        circuit.failed()


def test_it_opens_after_so_many_failures_in_a_row(circuit: Circuit) -> None:
    fail(circuit, 2)
    circuit.succeeded()
    fail(circuit, 2)
    assert (circuit.state, opened(circuit)) == ("closed", False)
    circuit.failed()
    assert (circuit.state, opened(circuit)) == ("open", True)


def test_after_the_pause_one_request_tries(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 0.99
    assert opened(circuit)
    clock.now += 0.01
    assert not opened(circuit)
    assert (circuit.state, opened(circuit)) == ("trying", True)
    circuit.succeeded()
    assert (circuit.state, opened(circuit)) == ("closed", False)


def test_the_pause_doubles_up_to_a_limit_and_begins_anew(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    for pause in (1.0, 2.0, 3.0, 3.0):
        clock.now += pause - 0.01
        assert opened(circuit)
        clock.now += 0.01
        assert not opened(circuit)
        circuit.failed()
    clock.now += 3.0
    circuit.check()
    circuit.succeeded()
    fail(circuit, 3)
    clock.now += 1.0
    assert not opened(circuit)


def test_failures_of_requests_that_ran_already_do_not_prolong_it(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 0.9
    circuit.failed()
    clock.now += 0.1
    assert not opened(circuit)


def test_a_try_that_was_given_up_lets_another_one_try(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 1.0
    circuit.check()
    circuit.unknown()
    assert not opened(circuit)
