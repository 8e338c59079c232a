"""Requests that wait for a place in the engine: a bounded queue, fair among priorities and among tenants.

Priorities share by weight, the tenants of one equally. What is shared is work, not requests: who sends huge
ones gets no more than who sends small ones.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from headrace.admission.turns import Flow, Turns


class Waiting:
    """A request that may wait. `work`: tokens that it may need, of the prompt and of the answer, at least 1."""

    __slots__ = ("priority", "tenant", "work")

    def __init__(self, tenant: str, priority: int, work: int) -> None:
        self.tenant = tenant
        self.priority = priority
        self.work = max(1, work)


Request = TypeVar("Request", bound=Waiting)


class _Tenant(Flow, Generic[Request]):
    """What one tenant has waiting in one class, first come, first served."""

    __slots__ = ("name", "requests", "work")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.requests: OrderedDict[Request, None] = OrderedDict()
        self.work = 0

    def __len__(self) -> int:
        return len(self.requests)


class _Class(Flow, Generic[Request]):
    """What waits with one priority."""

    __slots__ = ("active", "size", "tenants", "turns")

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self.size = 0
        self.active = 0
        """Tenants that have something waiting."""
        self.reset()

    def __len__(self) -> int:
        return self.size

    def reset(self) -> None:
        """Nothing waits, so nobody is ahead of anybody."""
        self.tenants: dict[str, _Tenant[Request]] = {}
        self.turns: Turns[_Tenant[Request]] = Turns(lambda idle: self.tenants.pop(idle.name))

    def push(self, request: Request) -> None:
        tenant = self.tenants.get(request.tenant)
        if tenant is None:
            tenant = self.tenants[request.tenant] = _Tenant(request.tenant)
        self.active += not tenant.requests
        tenant.requests[request] = None
        tenant.work += request.work
        self.size += 1
        self.turns.join(tenant)

    def pop(self) -> Request:
        """Of a class that is not empty."""
        tenant = self.turns.next()
        request = next(iter(tenant.requests))
        self.turns.charge(tenant, request.work)
        self._drop(tenant, request)
        return request

    def remove(self, request: Request) -> bool:
        tenant = self.tenants.get(request.tenant)
        if tenant is None or request not in tenant.requests:
            return False
        self._drop(tenant, request)
        return True

    def ahead(self, name: str) -> float:
        """The part of `FairQueue.ahead` in this class."""
        tenant = self.tenants.get(name)
        if tenant is None:
            return 0.0
        tenants = self.active + (not tenant.requests)
        lead = max(0.0, tenant.start - self.turns.now)
        return lead * (tenants - 1) + tenant.work * tenants

    def _drop(self, tenant: _Tenant[Request], request: Request) -> None:
        del tenant.requests[request]
        tenant.work -= request.work
        self.active -= not tenant.requests
        self.size -= 1
        if not self.size:
            self.reset()


class FairQueue(Generic[Request]):
    """Each operation is O(log tenants), whatever waits. A class is held to its weight, and a tenant to its part of
    the class, to within one of the largest requests; see `Turns`.
    """

    def __init__(self, weights: Sequence[float], most: int, most_per_tenant: int) -> None:
        """`weights` of the priorities from 1 on."""
        self._most = most
        self._most_per_tenant = most_per_tenant
        self._classes: list[_Class[Request]] = [_Class(weight) for weight in weights]
        self._turns: Turns[_Class[Request]] = Turns()
        self.by_tenant: Counter[str] = Counter()
        """How many wait, of those who have any."""
        self._size = 0
        self.work = 0
        """Of all that waits."""

    def __len__(self) -> int:
        return self._size

    def full(self, tenant: str) -> Literal["queue_full", "tenant_queue_full"] | None:
        """Why one more of this tenant must not be pushed."""
        if self._size >= self._most:
            return "queue_full"
        return "tenant_queue_full" if self.by_tenant[tenant] >= self._most_per_tenant else None

    def push(self, request: Request) -> None:
        """It waits, whether or not it is `full`."""
        waiting = self._classes[request.priority - 1]
        waiting.push(request)
        self._turns.join(waiting)
        self.by_tenant[request.tenant] += 1
        self._size += 1
        self.work += request.work

    def pop(self) -> Request | None:
        """The one whose turn it is, if any waits."""
        if not self._size:
            return None
        waiting = self._turns.next()
        request = waiting.pop()
        self._turns.charge(waiting, request.work)
        self._dropped(request)
        return request

    def remove(self, request: Request) -> bool:
        """It waits no longer. False if it did not."""
        if not self._classes[request.priority - 1].remove(request):
            return False
        self._dropped(request)
        return True

    def _dropped(self, request: Request) -> None:
        self.by_tenant[request.tenant] -= 1
        if not self.by_tenant[request.tenant]:
            del self.by_tenant[request.tenant]
        self._size -= 1
        self.work -= request.work
        if not self._size:
            self._turns = Turns()
            for waiting in self._classes:
                waiting.start, waiting.listed = 0.0, False

    def ahead(self, tenant: str, priority: int) -> float:
        """Work that will be done before a request that came now has its turn, if nobody else comes.

        Who was served more than the others first lets them catch up. From then on its class runs at weight /
        weights of the rate, and its tenant at 1 / tenants of that.
        """
        waiting = self._classes[priority - 1]
        weights = sum(other.weight for other in self._classes if other.size or other is waiting)
        lead = max(0.0, waiting.start - self._turns.now)
        before = waiting.ahead(tenant)
        ahead = lead * (weights - waiting.weight) + before * weights / waiting.weight
        return min(ahead, float(self.work))
