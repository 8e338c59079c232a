"""Is it the request, or the engine?

Upstream raises `RequestError` for a request that it refuses, and also, for every request of the batch, when a step
failed, be it for once or for good. What it says does not tell them apart; one more token does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 10.0
"""How long an engine that makes no token at all may take for the one that is asked for."""


async def still_generates(llm: Any, sampling_params: Any, token_id: int, made: Callable[[], int]) -> bool:
    """True when `llm` answers a prompt of one token.

    `sampling_params` ask for one token. `made` counts what the engine made for others: while it grows, a full
    batch may keep this request waiting.
    """
    try:
        output = llm.generate_async(inputs=[token_id], sampling_params=sampling_params, streaming=True)
        answer = asyncio.ensure_future(output.aresult())
        while True:
            before = made()
            done, _ = await asyncio.wait({answer}, timeout=PATIENCE_SECONDS)
            if done:
                return bool(answer.result().outputs[0].token_ids)
            if made() == before:
                answer.cancel()
                output.abort()
                return False
    except Exception:  # noqa: BLE001 - whatever it raises, it does not generate
        return False
