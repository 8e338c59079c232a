"""Reserves much at once, as one of several gateways: `python -m tests.limits.gateway_process URL TIMES`.

Prints `ready`, waits for a line, and prints for each limit how many were admitted.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

from headrace.errors import RateLimited
from headrace.limits.budget import Budget
from headrace.limits.model import Limits, Wanted
from headrace.limits.redis_store import RedisStore

WANTED = Wanted(111, 7)
LIMITS = {
    "requests": Limits(requests_per_minute=37),
    "tokens": Limits(tokens_per_minute=111 * 41 + 110),
    "places": Limits(concurrent_requests=23),
    "money": Limits(budgets=(Budget(7 * 53 + 6, "day"),)),
    "all": Limits(60, 111 * 50, 70, (Budget(7 * 44, "month"), Budget(7 * 19, "total"))),
}
FIT = {"requests": 37, "tokens": 41, "places": 23, "money": 53, "all": 19}


async def main(url: str, times: int) -> None:
    store = RedisStore(url, time_limit=20.0)
    await store.check()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    tries = [_admitted(store, tenant) for _ in range(times) for tenant in LIMITS]
    admitted = await asyncio.gather(*tries)
    print(json.dumps({tenant: admitted.count(tenant) for tenant in LIMITS}))
    await store.close()


async def _admitted(store: RedisStore, tenant: str) -> str | None:
    try:
        await store.reserve(tenant, LIMITS[tenant], WANTED)
    except RateLimited:
        return None
    return tenant


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
