from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from headrace.admission.queue import FairQueue, Waiting

WEIGHTS = (16.0, 8.0, 4.0, 2.0, 1.0)


def queue(most: int = 1000, most_per_tenant: int = 1000) -> FairQueue[Waiting]:
    return FairQueue(WEIGHTS, most, most_per_tenant)


def pushed(waiting: FairQueue[Waiting], requests: Iterable[Waiting]) -> list[Waiting]:
    found = list(requests)
    for request in found:
        waiting.push(request)
    return found


def served(waiting: FairQueue[Waiting], count: int) -> list[Waiting]:
    found = [waiting.pop() for _ in range(count)]
    return [request for request in found if request is not None]


def work(requests: Iterable[Waiting], tenant: str) -> int:
    return sum(request.work for request in requests if request.tenant == tenant)


def test_one_tenant_is_served_in_the_order_it_came() -> None:
    waiting = queue()
    requests = pushed(waiting, (Waiting("a", 3, size) for size in (5, 1, 9, 1)))
    assert served(waiting, 5) == requests
    assert (len(waiting), waiting.work, dict(waiting.by_tenant)) == (0, 0, {})


def test_a_tenant_with_huge_requests_gets_no_more_work_done_than_one_with_small_ones() -> None:
    waiting = queue()
    pushed(waiting, (Waiting("huge", 3, 5000) for _ in range(100)))
    pushed(waiting, (Waiting("small", 3, 50) for _ in range(900)))
    found = served(waiting, 500)
    assert abs(work(found, "huge") - work(found, "small")) <= 5000


def test_who_comes_last_waits_for_no_flood() -> None:
    waiting = queue()
    pushed(waiting, (Waiting("flood", 3, 100) for _ in range(500)))
    served(waiting, 100)
    late = Waiting("late", 3, 100)
    waiting.push(late)
    assert late in served(waiting, 2)


def test_leaving_and_coming_back_gains_nothing() -> None:
    """One request at a time, against one that always has some."""
    waiting = queue()
    pushed(waiting, (Waiting("steady", 3, 100) for _ in range(300)))
    found = []
    for _ in range(200):
        if not waiting.by_tenant.get("coming"):
            waiting.push(Waiting("coming", 3, 300))
        found += served(waiting, 1)
    assert abs(work(found, "coming") - work(found, "steady")) <= 300


def test_being_idle_saves_nothing_up() -> None:
    waiting = queue()
    pushed(waiting, (Waiting("steady", 3, 100) for _ in range(300)))
    served(waiting, 200)
    pushed(waiting, (Waiting("idle", 3, 100) for _ in range(50)))
    found = served(waiting, 60)
    assert abs(work(found, "idle") - work(found, "steady")) <= 100


def test_priorities_share_by_weight_and_none_starves() -> None:
    waiting = queue(most=10_000)
    for priority in range(1, 6):
        pushed(waiting, (Waiting(f"tenant {priority}", priority, 10) for _ in range(1000)))
    found = served(waiting, 310)
    parts = [work(found, f"tenant {priority}") for priority in range(1, 6)]
    assert parts == pytest.approx([1600, 800, 400, 200, 100], abs=10)


def test_the_most_urgent_need_not_wait_for_a_backlog_of_the_least() -> None:
    waiting = queue()
    pushed(waiting, (Waiting("batch", 5, 1000) for _ in range(100)))
    served(waiting, 50)
    urgent = pushed(waiting, (Waiting("chat", 1, 100) for _ in range(20)))
    assert served(waiting, 20) == urgent


def test_a_request_that_left_is_not_served_and_not_paid_for() -> None:
    waiting = queue()
    gone = pushed(waiting, (Waiting("a", 3, 1000) for _ in range(3)))
    kept = pushed(waiting, (Waiting("b", 3, 10), Waiting("a", 3, 10)))
    assert [waiting.remove(request) for request in gone] == [True, True, True]
    assert not waiting.remove(gone[0])
    assert (len(waiting), waiting.work) == (2, 20)
    assert set(served(waiting, 3)) == set(kept)
    assert not waiting.remove(kept[0])


def test_it_is_full_for_all_or_for_one_tenant() -> None:
    waiting = queue(most=3, most_per_tenant=2)
    assert waiting.full("a") is None
    pushed(waiting, [Waiting("a", 1, 1), Waiting("a", 5, 1)])
    assert (waiting.full("a"), waiting.full("b")) == ("tenant_queue_full", None)
    waiting.push(Waiting("b", 3, 1))
    assert (waiting.full("a"), waiting.full("b"), waiting.full("c")) == ("queue_full",) * 3
    waiting.pop()
    assert waiting.full("c") is None


def test_what_is_ahead_is_what_will_be_served_before() -> None:
    waiting = queue()
    assert waiting.ahead("a", 3) == 0
    pushed(waiting, (Waiting("flood", 3, 100) for _ in range(20)))
    assert waiting.ahead("flood", 3) == 2000
    served(waiting, 5)
    assert waiting.ahead("flood", 3) == 1500
    assert waiting.ahead("late", 3) == 0
    pushed(waiting, (Waiting("late", 3, 100) for _ in range(3)))
    assert waiting.ahead("late", 3) == pytest.approx(600)
    assert waiting.ahead("urgent", 1) == 0
    pushed(waiting, (Waiting("urgent", 1, 100) for _ in range(4)))
    assert waiting.ahead("urgent", 1) == pytest.approx(400 * 20 / 16)
    while len(waiting) > 10:
        waiting.pop()
    assert dict(waiting.by_tenant) == {"flood": 10}
    pushed(waiting, (Waiting("late", 3, 100) for _ in range(3)))
    served(waiting, 2)
    assert waiting.ahead("late", 3) == pytest.approx(400)
    served(waiting, 4)
    assert (dict(waiting.by_tenant), waiting.ahead("late", 3)) == ({"flood": 7}, 0)


def test_the_cost_of_an_operation_does_not_grow_with_the_queue() -> None:
    """10 000 tenants with 10 requests each against 100 with 10: less than 5 times the time."""

    def seconds(tenants: int) -> float:
        waiting = queue(most=1_000_000)
        for place in range(10 * tenants):
            waiting.push(Waiting(f"tenant {place % tenants}", 1 + place % 5, 1 + place % 700))
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for place in range(200):
                request = waiting.pop()
                assert request is not None
                waiting.push(request)
                waiting.ahead(f"tenant {place}", 3)
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(10_000) < 5 * seconds(100)


def test_tenants_that_are_gone_are_forgotten() -> None:
    waiting = queue()
    pushed(waiting, (Waiting("steady", 3, 10) for _ in range(500)))
    for place in range(400):
        waiting.push(Waiting(f"once {place}", 3, 10))
        served(waiting, 2)
    assert len(waiting._classes[2].tenants) < 10


TENANTS = st.sampled_from(["a", "b", "c", "d"])


class Model:
    """What one class owes: how much each tenant was served since which moment."""

    def __init__(self) -> None:
        self.requests: list[Waiting] = []
        self.served: dict[str, int] = defaultdict(int)
        self.joined: dict[str, dict[str, int]] = {}
        """Who has something waiting → `served` when that began."""

    def push(self, request: Waiting) -> None:
        if request.tenant not in self.joined:
            self.joined[request.tenant] = dict(self.served)
        self.requests.append(request)

    def drop(self, request: Waiting) -> None:
        self.requests.remove(request)
        if all(other.tenant != request.tenant for other in self.requests):
            del self.joined[request.tenant]
        if not self.requests:
            self.served.clear()


class QueueMachine(RuleBasedStateMachine):
    """Against a list that is searched. Fair, in any order of arrivals, services and departures."""

    waiting = Bundle("waiting")

    def __init__(self) -> None:
        super().__init__()
        self.queue = queue()
        self.classes = [Model() for _ in WEIGHTS]
        self.largest = 1
        self.by_class = [0.0] * 5
        self.since: dict[int, list[float]] = {}
        """Class that has something waiting → `by_class` when that began."""

    @rule(target=waiting, tenant=TENANTS, priority=st.integers(1, 5), work=st.integers(1, 1000))
    def push(self, tenant: str, priority: int, work: int) -> Waiting:
        return self._push(Waiting(tenant, priority, work))

    @rule(
        tenant=TENANTS, priority=st.integers(1, 5), works=st.lists(st.integers(1, 1000), min_size=5, max_size=20)
    )
    def push_many(self, tenant: str, priority: int, works: list[int]) -> None:
        for size in works:
            self._push(Waiting(tenant, priority, size))

    def _push(self, request: Waiting) -> Waiting:
        self.queue.push(request)
        self.classes[request.priority - 1].push(request)
        self.since.setdefault(request.priority - 1, list(self.by_class))
        self.largest = max(self.largest, request.work)
        return request

    @rule(request=consumes(waiting))
    def remove(self, request: Waiting) -> None:
        model = self.classes[request.priority - 1]
        there = request in model.requests
        assert self.queue.remove(request) == there
        if there:
            self._drop(request)

    @rule(count=st.integers(1, 10))
    def pop(self, count: int) -> None:
        for _ in range(count):
            self._pop()

    def _pop(self) -> None:
        request = self.queue.pop()
        if request is None:
            assert not any(model.requests for model in self.classes)
            return
        model = self.classes[request.priority - 1]
        assert request is next(one for one in model.requests if one.tenant == request.tenant)
        model.served[request.tenant] += request.work
        self.by_class[request.priority - 1] += request.work / WEIGHTS[request.priority - 1]
        self._check_fair()
        self._drop(request)

    def _drop(self, request: Waiting) -> None:
        place = request.priority - 1
        self.classes[place].drop(request)
        if not self.classes[place].requests:
            del self.since[place]
        if not self.since:
            self.largest = 1
            self.by_class = [0.0] * 5

    def _check_fair(self) -> None:
        """Who has waited all along since a busy time began is within one request of each other, and so of the fair
        share; who came later may have found the others one request ahead, or behind.
        """
        for model in self.classes:
            for one, other in combinations(model.joined, 2):
                before = max(model.joined[one], model.joined[other], key=lambda then: sum(then.values()))
                apart = abs(model.served[one] - before.get(one, 0) - (model.served[other] - before.get(other, 0)))
                assert apart <= self.largest * (2 if before else 1)
        for first, second in combinations(self.since, 2):
            then = max(self.since[first], self.since[second], key=sum)
            apart_by_weight = abs(self.by_class[first] - then[first] - (self.by_class[second] - then[second]))
            most = self.largest / min(WEIGHTS[first], WEIGHTS[second])
            assert apart_by_weight <= most * (2 if any(then) else 1) + 1e-6

    @invariant()
    def agrees(self) -> None:
        everything = [request for model in self.classes for request in model.requests]
        assert len(self.queue) == len(everything)
        assert self.queue.work == sum(request.work for request in everything)
        counts: dict[str, int] = defaultdict(int)
        for request in everything:
            counts[request.tenant] += 1
        assert self.queue.by_tenant == counts
        for tenant in ("a", "new"):
            assert 0 <= self.queue.ahead(tenant, 3) <= self.queue.work

    def teardown(self) -> None:
        while len(self.queue):
            self._pop()
        assert not any(model.requests for model in self.classes)


TestQueueAgainstAModel = QueueMachine.TestCase
TestQueueAgainstAModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
