"""One text, judged as a prompt or an answer would be: what `headrace guard check` prints."""

from __future__ import annotations

from headrace.guard.answer import windows_of
from headrace.guard.judge import Asked, Judge, Judged
from headrace.guard.policy import Direction
from headrace.guard.verdict import Verdict
from headrace.guard.windows import Window


def whole(judge: Judge, policy: str | None, direction: Direction, text: str) -> Judged:
    """The verdict on all of it, and the text as it may be shown."""
    name, settings = judge.policy(policy)
    # As the steps do: a message of a prompt is judged whole, an answer window by window.
    windows = [Window("", text)] if direction == "prompt" else windows_of(text)
    judged = judge.judge([Asked(name, direction, window) for window in windows])
    verdict = Verdict.none(name, settings, direction).merged(*(one.verdict for one in judged))
    return Judged(verdict, "" if verdict.action == "block" else "".join(one.text for one in judged))
