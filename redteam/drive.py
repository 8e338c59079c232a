"""Sends every case in every form, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.errors import HeadraceError
from headrace.guard.policy import Direction
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message
from redteam.case import Case
from redteam.door import Door, Request
from redteam.judgement import FORMS, Form, Outcome, judged

AT_A_TIME = 8
NEIGHBOURS = (
    "The river runs past the old mill and the meadow.",
    "Lisbon lies where the Tagus meets the sea.",
)
"""What is asked for beside a case, one before and one after it."""
_FEW_TOKENS = 16
"""Of an engine that does not repeat its prompt: what it says is not judged."""


@dataclass(frozen=True)
class Target:
    """A server, and what may be asked of it."""

    address: str
    policies: Mapping[Direction, str | None]
    """Which policy judges the cases of this direction; None: its default one. Others are left out."""
    echo: ChatTemplate | None = None
    """Of an engine that repeats its prompt."""


class Driver:
    def __init__(self, door: Door, target: Target) -> None:
        self._door = door
        self._target = target
        self._places = asyncio.Semaphore(AT_A_TIME)

    async def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """In the order of the cases, all forms of one together."""
        asked = [case for case in cases if case.direction in self._target.policies]
        return list(await asyncio.gather(*(self._one(case, form) for case in asked for form in FORMS)))

    async def _one(self, case: Case, form: Form) -> Outcome:
        async with self._places:
            try:
                return await self._asked(case, form)
            except HeadraceError as error:
                return Outcome(case, form, f"no answer: {error}", failed=True)

    async def _asked(self, case: Case, form: Form) -> Outcome:
        echo = self._target.echo is not None
        turns = zip(case.turns, case.sent, strict=True)
        request = self._request(case, *(Message(turn.role, text) for turn, text in turns))
        if form == "unary":
            return judged(case, form, await self._door.whole(request), echo)
        if form == "stream":
            return judged(case, form, await self._door.stream(request), echo)
        before, after = (self._request(case, Message("user", text)) for text in NEIGHBOURS)
        first, answer, last = await self._door.streams((before, request, after))
        return judged(case, form, answer, echo, list(zip(NEIGHBOURS, (first, last), strict=True)))

    def _request(self, case: Case, *messages: Message) -> Request:
        """For an answer that is just long enough to repeat all of the prompt once."""
        tokens = len(self._target.echo.encode(messages)) if self._target.echo else _FEW_TOKENS
        return Request(messages, tokens, self._target.policies[case.direction])
