"""What admission control is for, shown on the engine of `simulation`: 32 slots, about 28 requests a second.

Each figure is of 30 to 80 virtual seconds of Poisson arrivals, after 20 to settle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from statistics import median, quantiles

import pytest

from headrace.admission import AdmissionConfig
from tests.admission.simulation import Engine, Load, Outcome, Run, Simulation

CAPACITY = Engine().capacity(tokens=40, prompt=200)
WARM, END = 20.0, 50.0
LOADS = (0.7, 0.8, 0.9, 1.0, 2.0, 3.0)


def crowded() -> Engine:
    """Room for more than it can serve in time: its steps get slower and slower. 30 requests meet 50 ms a token."""
    return Engine(slots=300, step_each=0.001)


ENGINES: dict[str, tuple[Callable[[], Engine], float, bool]] = {
    "streams, few slots": (Engine, CAPACITY, True),
    "whole answers, slow steps": (crowded, 30 / (41 * 0.050), False),
}


@cache
def run(engine: str, load: float, controlled: bool) -> Run:
    made, capacity, stream = ENGINES[engine]
    return Simulation([Load(load * capacity, stream=stream)], END, engine=made(), controlled=controlled).run()


def peak(engine: str) -> float:
    """The best goodput at any load, with admission control or without."""
    return max(run(engine, load, controlled).goodput(WARM, END) for load in LOADS for controlled in (True, False))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("load", [2.0, 3.0, 10.0])
def test_goodput_stays_at_its_peak_in_overload(engine: str, load: float) -> None:
    assert run(engine, load, controlled=True).goodput(WARM, END) >= 0.9 * peak(engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_goodput_at_capacity_is_near_its_peak(engine: str) -> None:
    """The arrivals of a Poisson process at exactly the capacity leave it idle at times."""
    offered = len([one for one in run(engine, 1.0, controlled=True).outcomes if one.arrived >= WARM]) / (
        END - WARM
    )
    assert run(engine, 1.0, controlled=True).goodput(WARM, END) >= 0.9 * min(offered, peak(engine))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("load", [2.0, 3.0])
def test_without_admission_control_goodput_collapses(engine: str, load: float) -> None:
    assert run(engine, load, controlled=False).goodput(WARM, END) < 0.1 * peak(engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_is_refused_for_nothing(engine: str) -> None:
    outcomes = run(engine, 0.8, controlled=True).outcomes
    statuses = Counter(one.status for one in outcomes if one.arrived >= WARM)
    assert statuses[200] >= 0.98 * statuses.total()


def test_statuses_are_right_and_refusals_come_soon() -> None:
    """429 for too much, 504 only for those who have a deadline; nobody waits longer than the queue allows."""
    patient, hasty = Load(CAPACITY * 2), Load(CAPACITY * 1, tenant="hasty", timeout=0.12)
    found = Simulation([patient, hasty], END).run()
    assert {one.status for one in found.outcomes if one.load is patient} == {200, 429}
    assert {one.status for one in found.outcomes if one.load is hasty} == {200, 504}
    refused = [one.whole for one in found.outcomes if one.status != 200]
    assert max(refused) <= 0.2 + 1e-6
    assert median(refused) == 0


def test_what_waits_is_bounded_by_its_time_not_only_by_its_number() -> None:
    found = run("streams, few slots", 10.0, controlled=True)
    assert found.most_waiting <= CAPACITY * 10 * 0.2 * 1.5


def limits(found: Run, start: float, end: float) -> tuple[float, float]:
    """The lowest and the highest."""
    between = [limit for time, limit in found.limits if start <= time < end]
    return min(between), max(between)


@pytest.mark.parametrize("start", [4, 16, 144])
def test_the_limit_finds_the_engine_s_slots_from_wherever_it_starts(start: int) -> None:
    """32 slots, and as many more as wait inside within the objective: 26 to 40 after 25 windows and ever after."""
    config = AdmissionConfig(initial_limit=start)
    found = Simulation([Load(3 * CAPACITY)], 80, config).run()
    settled = found.after(0, windows=25)
    lowest, highest = limits(found, settled, 80)
    assert 26 <= lowest <= highest <= 40
    assert 31 <= found.mean_limit(settled, 80) <= 37


def test_the_limit_follows_an_engine_that_loses_slots_and_gets_them_back() -> None:
    """From 32 to 12 within 15 windows, and back within 25."""
    events = [(50.0, lambda engine: engine.resize(12)), (100.0, lambda engine: engine.resize(32))]
    found = Simulation([Load(3 * CAPACITY)], 150, events=events).run()
    less, again = found.after(50, windows=15), found.after(100, windows=25)
    assert less < 90
    assert again < 140
    assert 11 <= found.mean_limit(less, 100) <= 16
    assert 31 <= found.mean_limit(again, 150) <= 37


def test_goodput_follows_an_engine_that_gets_half_as_fast_and_recovers() -> None:
    """At least nine tenths of what it then can, after 10 windows."""
    events = [(50.0, lambda engine: engine.slow_down(2)), (100.0, lambda engine: engine.slow_down(1))]
    found = Simulation([Load(3 * CAPACITY)], 150, events=events).run()
    slow, again = found.after(50, windows=10), found.after(100, windows=10)
    assert slow < 80
    assert again < 120
    assert found.goodput(slow, 100) >= 0.9 * CAPACITY / 2
    assert found.goodput(again, 150) >= 0.9 * CAPACITY


def test_an_engine_that_dies_and_returns_is_used_again_at_once() -> None:
    """Requests that fail at once do not fill the limit, so an outage says nothing of it."""
    events = [(50.0, Engine.die), (60.0, Engine.start)]
    found = Simulation([Load(3 * CAPACITY)], 100, events=events).run()
    assert {one.status for one in found.outcomes if 50 <= one.arrived < 60} == {503}
    assert limits(found, 50.5, 60)[0] >= 20
    assert found.goodput(60, 100) >= 0.9 * CAPACITY


def p95(outcomes: Sequence[Outcome]) -> float:
    return quantiles([one.first for one in outcomes], n=20)[-1]


def test_how_much_another_tenant_floods_the_engine_makes_no_difference() -> None:
    """The quiet one asks for a fifth of the engine; its neighbour for all of it, then for five times all."""
    quiet = Load(0.2 * CAPACITY, tenant="quiet")
    usual, flood = (Load(rate * CAPACITY, tenant="other") for rate in (1, 5))
    beside_usual, beside_flood = (Simulation([quiet, other], 80).run() for other in (usual, flood))
    asked = len([one for one in beside_flood.outcomes if one.load == quiet and one.arrived >= WARM]) / (80 - WARM)
    assert beside_flood.goodput(WARM, 80, [quiet]) >= 0.9 * asked
    found = p95(beside_flood.answered(quiet, WARM))
    assert found <= p95(beside_usual.answered(quiet, WARM)) + 0.03
    assert found <= 0.9 * p95(beside_flood.answered(flood, WARM))
    # As one tenant they share what there is by how much they ask for.
    same = Load(0.2 * CAPACITY, tenant="other")
    assert Simulation([same, flood], 50).run().goodput(WARM, 50, [same]) < 0.3 * asked


def test_a_tenant_with_huge_requests_gets_no_more_work_done() -> None:
    huge = Load(3 * CAPACITY, tenant="huge", prompt=(1000, 1000), tokens=(100, 100))
    small = Load(3 * CAPACITY, tenant="small")
    found = Simulation([huge, small], 100).run()
    by_load = [sum(one.work for one in found.answered(load, WARM)) for load in (huge, small)]
    assert by_load[0] == pytest.approx(by_load[1], rel=0.2)


def test_priorities_share_by_weight() -> None:
    loads = [Load(CAPACITY, tenant=f"tenant {priority}", priority=priority) for priority in range(1, 6)]
    found = Simulation(loads, 100).run()
    works = [sum(one.work for one in found.answered(load, WARM)) for load in loads]
    parts = [work / sum(works) for work in works]
    assert parts == pytest.approx([16 / 31, 8 / 31, 4 / 31, 2 / 31, 1 / 31], rel=0.3)


def test_the_last_priority_does_not_starve_beside_a_flood_of_the_first() -> None:
    """1/17 of the engine is its own; it asks for twice that."""
    urgent, last = Load(3 * CAPACITY, priority=1), Load(2 / 17 * CAPACITY, tenant="last", priority=5)
    found = Simulation([urgent, last], 100).run()
    assert found.goodput(WARM, 100, [last]) >= 0.6 * CAPACITY / 17
