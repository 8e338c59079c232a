"""How this gateway is at the moment, as `/status` tells it."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from headrace.admission import Admission
from headrace.gateway.cache.store import AnswerCache
from headrace.gateway.circuit import Circuit
from headrace.gateway.policies import LivePolicies
from headrace.gateway.recent import RecentLatency
from headrace.tenants.settings import Settings


@dataclass(frozen=True, slots=True)
class Overview:
    model_version: str
    policies: LivePolicies
    admission: Admission
    cache: AnswerCache
    circuit: Circuit
    recent: RecentLatency

    def said(self, settings: Settings) -> dict[str, object]:
        """To a tenant: the same to all, but for the policies that it may choose."""
        admission = self.admission.stats()
        return {
            "tenant": settings.tenant,
            "replica": socket.gethostname(),
            "model": self.model_version,
            "policies": self._policies(settings),
            "triton": {"circuit": self.circuit.state},
            "admission": {
                "limit": admission.limit,
                "in_flight": admission.in_flight,
                "waiting": admission.waiting,
                "estimated_wait_seconds": round(admission.estimated_wait, 3),
                "refused": sum(admission.refused.values()),
            },
            "cache": {"answers": len(self.cache), "bytes": self.cache.bytes, "limit_bytes": self.cache.most_bytes},
            "latency": self.recent.said(),
        }

    def _policies(self, settings: Settings) -> dict[str, object]:
        current = self.policies.current()
        only = settings.guard_policy
        return {"default": only or current.default, "names": [only] if only else sorted(current.versions)}
