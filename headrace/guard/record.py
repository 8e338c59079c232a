"""The record of a decision, for an audit: everything that led to it but the text, which is there as a keyed hash.

Who holds the key can tell whether a record is of a given text, nobody else. The hash is HMAC-SHA256 over the UTF-8
of the text as it came in: all messages of a prompt one after the other, each ended by a NUL; of an answer that was
blocked in a stream, what had come of it by then.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from headrace.guard.policy import Policy
from headrace.guard.verdict import Verdict

KEY_ENV = "HEADRACE_GUARD_KEY"
"""Variable with the key, any text. Without it records carry no hash."""

log = structlog.get_logger()


class DecisionLog:
    """Counts what was decided about each prompt and answer, and logs what was not simply allowed."""

    def __init__(self, key: bytes | None, count: Callable[[Verdict], None] = lambda _: None) -> None:
        self._key = key
        self._count = count

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, count: Callable[[Verdict], None] = lambda _: None
    ) -> DecisionLog:
        key = environment.get(KEY_ENV)
        return cls(key.encode() if key else None, count)

    def hash(self) -> TextHash:
        """For one text."""
        return TextHash(self._key)

    def write(
        self, request_id: str, verdict: Verdict, policy: Policy, backends: Mapping[str, str], text: TextHash
    ) -> None:
        self._count(verdict)
        if verdict.action != "allow" or verdict.errors:
            log.info("guard decision", request_id=request_id, **record(verdict, policy, backends, text))


class TextHash:
    """Of a text that may come in pieces."""

    def __init__(self, key: bytes | None) -> None:
        self._hmac = None if key is None else hmac.new(key, digestmod="sha256")

    def add(self, text: str) -> None:
        if self._hmac is not None:
            self._hmac.update(text.encode())

    @property
    def hex(self) -> str | None:
        return None if self._hmac is None else self._hmac.hexdigest()


def record(verdict: Verdict, policy: Policy, backends: Mapping[str, str], text: TextHash) -> dict[str, Any]:
    """`backends`: rail → what judged, with its version or hash."""
    levels = policy.thresholds(verdict.direction)
    return {
        "direction": verdict.direction,
        "policy": verdict.policy,
        "version": verdict.version,
        **verdict.summary(),
        "thresholds": {
            name: levels[name].model_dump(exclude_none=True) for name in verdict.scores if name in levels
        },
        "backends": dict(backends),
        "text_hmac": text.hex,
    }
