"""What every engine does: token ids in, token ids out, as they are made.

Engines know nothing of text, Triton or sockets. The worker (`headrace.worker`) owns admission, stop
strings and coalescing, so that these behave alike for every engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from headrace.config import EngineConfig

FinishReason = Literal["stop", "length", "cancelled"]


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How to choose tokens. Values are already validated (`headrace.triton.sampling`)."""

    max_tokens: int
    min_tokens: int = 0
    temperature: float = 0.0
    """0 means greedy: top_k, top_p and seed are then without effect."""
    top_k: int = 0
    """0 means no limit."""
    top_p: float = 1.0
    seed: int | None = None
    seed_drawn: bool = False
    """The platform drew the seed, not the client: an engine that cannot seed may ignore it."""
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    """The worker ends a request at its stop strings; an engine that can do so itself may end earlier,
    but must still deliver the tokens of the stop string."""
    log_probs: bool = False
    json_schema: str | None = None

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


class EngineRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prompt. `id` is unique among the requests that the engine holds."""

    id: str
    token_ids: tuple[int, ...]
    sampling: SamplingParams
    cache_scope: str = ""
    """Requests of different scopes must not share cached state, where the engine can tell them apart."""


class TokenDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens made since the last delta. The last delta of a request carries its finish reason."""

    token_ids: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    """Natural logarithms, one per token, when asked for; else empty."""
    finish_reason: FinishReason | None = None


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot, cheap enough to take every second."""

    running: int = 0
    """Requests that take part in the current batch."""
    waiting: int = 0
    """Requests that the engine holds but has not scheduled."""
    kv_cache_usage: float = 0.0
    """Share of the KV cache in use, 0 to 1."""
    generated_tokens: int = 0
    """Since start."""


class Engine(Protocol):
    """Five methods, all called from one asyncio event loop.

    An engine whose package is missing raises `EngineNotInstalled` from `start`.
    """

    async def start(self, config: EngineConfig) -> None:
        """Load the model. Raises `StartupError` and its children."""

    def submit(self, request: EngineRequest) -> AsyncIterator[TokenDelta]:
        """Take a request now (before the first `__anext__`) and stream its tokens.

        The iterator ends after the delta that has a finish reason. Raises `InvalidRequest` at once for
        what this engine cannot do, and `EngineFailed` from the iterator when the engine breaks.
        """

    async def abort(self, request_id: str) -> None:
        """End a request early: its iterator yields a last delta `cancelled`. Unknown ids are ignored."""

    def stats(self) -> EngineStats: ...

    async def stop(self) -> None:
        """Release everything. Live requests end as `cancelled`."""
