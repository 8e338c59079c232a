"""What a user says, how much he wants to hear, and how long he thinks.

Lengths and pauses are drawn from log-normal distributions: most are short, a few are long.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

from pydantic import Field

from headrace import yaml_file
from headrace.yaml_file import Section

QUESTIONS = Path(__file__).parent / "questions.yaml"
_SPREAD = 0.7
"""Sigma of the logarithm: one of twenty is three times the median or more."""
_LONGEST = 5
"""Times the median: nobody in a load of minutes waits or writes for ever."""
_ANSWER_TOKENS = 48
_SHORTEST_ANSWER = 8
_TURNS = 4
_GOES_ON = 0.6

Messages = list[dict[str, str]]


class Questions(Section):
    """`questions.yaml`."""

    openers: tuple[str, ...] = Field(min_length=1)
    topics: tuple[str, ...] = Field(min_length=1)
    follow_ups: tuple[str, ...] = Field(min_length=1)
    common: tuple[str, ...] = Field(min_length=1)


def load_questions(file: Path = QUESTIONS) -> Questions:
    """Raises `ConfigError`."""
    return yaml_file.read_as(file, Questions)


class Conversation:
    """One user's, from its opener on; every question has all that was said before it."""

    def __init__(self, questions: Questions, draw: random.Random) -> None:
        self._questions = questions
        self._draw = draw
        self.messages: Messages = []
        opener, topic = draw.choice(questions.openers), draw.choice(questions.topics)
        self._say(opener.format(topic=topic))

    def goes_on(self, answer: str) -> bool:
        """Whether the user asks once more after this answer; then his question is in the messages."""
        if len(self.messages) >= 2 * _TURNS - 1 or self._draw.random() > _GOES_ON:
            return False
        self.messages.append({"role": "assistant", "content": answer})
        self._say(self._draw.choice(self._questions.follow_ups))
        return True

    def _say(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})


def answer_tokens(draw: random.Random) -> int:
    """How long an answer may be."""
    return max(_SHORTEST_ANSWER, round(around(_ANSWER_TOKENS, draw)))


def around(median: float, draw: random.Random) -> float:
    """Log-normal, cut off far out."""
    return min(draw.lognormvariate(math.log(median), _SPREAD), _LONGEST * median) if median > 0 else 0.0
