"""What one iteration's statistics say, as `LLM.get_stats_async` gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec


class Snapshot(msgspec.Struct, frozen=True):
    queued: int = 0
    """Requests that the executor held but had not scheduled."""
    kv_cache_usage: float = 0.0
    """Share of the KV blocks in use, 0 to 1."""

    @classmethod
    def of(cls, values: Mapping[str, Any] | str) -> Snapshot:
        """From upstream's mapping, or the JSON text of it. What is missing counts as 0."""
        stats: Mapping[str, Any] = json.loads(values) if isinstance(values, str) else values
        cache = stats.get("kvCacheStats") or {}
        most = cache.get("maxNumBlocks") or 0
        return cls(
            queued=int(stats.get("numQueuedRequests") or 0),
            kv_cache_usage=min(1.0, (cache.get("usedNumBlocks") or 0) / most) if most else 0.0,
        )

    def waiting(self, live: int, max_running: int) -> int:
        """Of `live` requests: the snapshot may be a second old, so the batch limit bounds it, too."""
        return min(live, max(self.queued, live - max_running))
