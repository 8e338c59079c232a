"""Does the stack answer? One real inference of one token, and what its failure means."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from headrace.client import Chunk, Client, Question
from headrace.worker.protocol import WorkerStats

FIRST_QUESTION = "What is the capital of France?"


async def ask_once(client: Client, seconds: float, *, question: str = "ping", max_tokens: int = 1) -> Chunk:
    """A real answer: no cache knows its scope. Raises `HeadraceError`."""
    scope = f"probe-{uuid.uuid4()}"
    return await client.answer(
        Question(text_input=question, max_tokens=max_tokens, temperature=0.0, cache_scope=scope), seconds
    )


@dataclass
class Liveness:
    """Judges probe after probe. A server that is only busy is alive."""

    most_failures: int = 3
    failures: int = 0
    """In a row."""

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, worker: WorkerStats | None, max_running: int) -> bool:
        """True when the stack should be restarted.

        `worker` is what the worker says of itself, None when it does not answer. A full queue refuses probes
        and a full batch keeps them waiting: both are signs of life.
        """
        if worker is not None and worker.live >= max_running:
            self.failures = 0
            return False
        self.failures += 1
        return self.failures >= self.most_failures
