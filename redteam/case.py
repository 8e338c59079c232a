"""The cases: what is sent, and what the guards should make of it."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from headrace import yaml_file
from headrace.errors import ConfigError
from headrace.guard.policy import Action, Direction
from headrace.yaml_file import Section
from redteam.technique import NAMES, letters, rewritten, unmarked

FOLDER = Path(__file__).resolve().parent / "cases"
_PIECE = 4
"""Letters or digits in a row that tell what they are a part of."""
_SHORTEST_GROUP = 2


class Turn(Section):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"] = "user"
    text: str = Field(min_length=1)


class Case(Section):
    """One text, or one conversation."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    kind: Literal["attack", "benign"]
    """attack: the policy has to find it. benign: it has to come through."""
    direction: Direction = "prompt"
    """Which guard has to decide. response: the prompt is not judged, and the engine repeats it."""
    technique: str
    category: str | None = None
    """What it has to be found as."""
    expected: Action
    text: str | None = Field(None, min_length=1)
    messages: tuple[Turn, ...] = ()
    withheld: tuple[str, ...] = ()
    """Parts of the text, plain or as sent, of which nothing may leave."""

    @field_validator("technique")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in NAMES:
            raise ValueError(f"no technique {name!r}; there are {', '.join(sorted(NAMES))}")
        return name

    @model_validator(mode="after")
    def _makes_sense(self) -> Case:
        if (self.text is None) == (not self.messages):
            raise ValueError("give either text or messages")
        if self.kind == "attack" and self.expected == "allow":
            raise ValueError("expected: an attack is flagged, redacted or blocked")
        if self.kind == "benign" and self.expected in {"redact", "block"}:
            raise ValueError("expected: what is benign is allowed or flagged")
        if (self.category is None) != (self.expected == "allow"):
            raise ValueError("category: what is found as something has one, what is allowed has none")
        shown_in_part = self.expected == "redact" or (self.expected == "block" and self.direction == "response")
        if shown_in_part != bool(self.withheld):
            raise ValueError("withheld: goes with what is redacted, and with an answer that is blocked")
        self._check_withheld()
        return self

    def _check_withheld(self) -> None:
        plain = "\n".join(unmarked(turn.text) for turn in self.turns)
        rest = "\n".join(self.sent)
        for secret in self.withheld:
            if secret not in plain and secret not in rest:
                raise ValueError(f"withheld: {secret!r} is not in the text")
            for form in (letters(self.technique, secret), secret):
                rest = rest.replace(form, "\n")
        if found := self.leaked(rest):
            raise ValueError(f"withheld: {found!r} stands elsewhere in the text too, and would pass for a leak")

    @property
    def turns(self) -> tuple[Turn, ...]:
        return self.messages or (Turn(text=self.text or ""),)

    @cached_property
    def sent(self) -> tuple[str, ...]:
        """The text of every message, as it is sent."""
        return tuple(rewritten(self.technique, turn.text) for turn in self.turns)

    def leaked(self, text: str) -> str | None:
        """The first piece that is found of what must not leave, however it is written."""
        folded = _folded(text)
        together = _characters(folded)
        in_text = (group for group in self._groups if group in folded)
        return next(in_text, None) or next((piece for piece in self._pieces if piece in together), None)

    def repeated(self, text: str) -> str | None:
        """The first of what must not leave that is there as a whole."""
        together = _characters(_folded(text))
        return next((form for form in self._forms if _characters(form) in together), None)

    @cached_property
    def _forms(self) -> list[str]:
        return [_folded(form) for part in self.withheld for form in (part, letters(self.technique, part))]

    @cached_property
    def _groups(self) -> list[str]:
        """`4111`, `536`, `22`: what stands between the signs of a number or a key."""
        groups = (group for form in self._forms for group in re.split(r"[\W_]+", form))
        return [group for group in groups if len(group) >= _SHORTEST_GROUP]

    @cached_property
    def _pieces(self) -> list[str]:
        """A few characters in a row, whatever stands between them."""
        whole = map(_characters, self._forms)
        return [form[n : n + _PIECE] for form in whole for n in range(len(form) - _PIECE + 1)]


def load(folder: Path = FOLDER) -> list[Case]:
    """All cases, by file and place in it. Raises `ConfigError` that names the line and the key of a mistake."""
    found: dict[str, Case] = {}
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError(f"{folder}: holds no .yaml file")
    for file in files:
        for case in yaml_file.read_as(file, list[Case]):
            if case.id in found:
                raise ConfigError(f"{file}: two cases have the id {case.id}")
            found[case.id] = case
    return list(found.values())


def _folded(text: str) -> str:
    """As a reader sees it: full-width digits are digits, and nothing is invisible."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(c for c in plain if unicodedata.category(c) not in {"Cf", "Mn"})


def _characters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
