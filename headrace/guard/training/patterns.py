"""Harmless texts of our own: code, data, fragments and many languages, made from patterns in text files.

The corpora are English prose and attacks. A head that learned from them alone takes what it has never seen, a line
of code or a French question, for the stranger of the two.
"""

from __future__ import annotations

import base64
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from headrace.guard.training.corpora import Example

FILES = ("technical.txt", "languages.txt")
"""What the heads learn from."""
ATTACKS, JAILBREAK = "attacks.txt", "jailbreak"
JAILBREAKS = 400
_OF_ATTACKS = " attacks"
ORDINARY, WILD = "ordinary.txt", "wild.txt"
"""What they are measured on, and never learn from: harmless texts, and jailbreaks."""
OUR_OWN = "our own "
PER_PATTERN = 8
_HEADING = "=== "
_SLOT = re.compile(r"«(\w+)»")
_NAMES = (
    "total", "user", "node", "config", "items", "parser", "score", "handler", "rows", "token", "path",
    "value", "session", "index", "payload", "widget", "counter", "matrix", "balance", "address", "key",
    "child", "settings", "result", "stream", "limit", "event", "column", "buffer", "file", "name", "request",
    "offset", "message", "button", "timer", "vector", "account", "city", "order", "invoice", "photo",
    "kitchen", "garden", "weather", "budget", "holiday", "printer", "recipe", "ticket", "engine", "battery",
    "camera", "lesson", "history", "music", "river", "planet", "window", "bicycle", "users", "orders",
    "customers", "products", "data", "main", "admin", "test", "app",
)  # fmt: skip
Words = Mapping[str, tuple[str, ...]]


def harmless_texts(seed: int) -> list[Example]:
    """The same for the same seed. The source is the heading they stand under."""
    return [example for file in FILES for example in _filled(read(file), random.Random(seed))]  # noqa: S311


def attacks(seed: int) -> list[Example]:
    """Jailbreaks, some sentences strung together, and injections in many languages."""
    draw = random.Random(seed)  # noqa: S311
    groups = read(ATTACKS)
    words, sentences = groups.pop(JAILBREAK)
    found = list(_filled(groups, draw))
    for _ in range(JAILBREAKS):
        chosen = draw.sample(sentences, draw.randint(1, 4))
        # One name for the whole text, as it is one persona.
        one = {slot: (draw.choice(choices),) if slot == "name" else choices for slot, choices in words.items()}
        found += _filled({JAILBREAK: (one, [" ".join(chosen)])}, draw, 1)
    return [Example(example.text, True, f"{example.source}{_OF_ATTACKS}") for example in found]


def ordinary_texts() -> list[Example]:
    return _as_they_are(ORDINARY, bad=False)


def wild_attacks() -> list[Example]:
    return _as_they_are(WILD, bad=True)


def _as_they_are(file: str, bad: bool) -> list[Example]:
    return [Example(text, bad, OUR_OWN + name) for name, (_, texts) in read(file).items() for text in texts]


def sources(file: str) -> list[str]:
    """What the examples of this file are called."""
    return [f"{name}{_OF_ATTACKS if file == ATTACKS else ''}" for name in read(file)]


def read(file: str) -> dict[str, tuple[Words, list[str]]]:
    """Heading → the words of its own slots, and its texts."""
    found: dict[str, tuple[dict[str, tuple[str, ...]], list[str]]] = {}
    for line in Path(__file__).with_name(file).read_text(encoding="utf-8").splitlines():
        if line.startswith(_HEADING):
            words, texts = found.setdefault(line.removeprefix(_HEADING), ({}, []))
        elif found and line:
            slot, _, choices = line.partition(" = ")
            if _SLOT.fullmatch(slot) and " | " in choices:
                words[slot[1:-1]] = tuple(choices.split(" | "))
            else:
                texts.append(line.replace("⏎", "\n"))
    return {name: (words, texts) for name, (words, texts) in found.items()}


def _filled(
    groups: Mapping[str, tuple[Words, list[str]]], draw: random.Random, times: int = PER_PATTERN
) -> Iterator[Example]:
    for source, (words, texts) in groups.items():
        for text in texts:
            for _ in range(times if _SLOT.search(text) else 1):
                yield Example(_fill(text, words, draw), False, source)


def _fill(text: str, words: Words, draw: random.Random) -> str:
    return _SLOT.sub(lambda slot: _word(slot[1], words, draw), text)


def _word(slot: str, words: Words, draw: random.Random) -> str:
    return draw.choice(words[slot]) if slot in words else _MADE[slot](draw)


def _name(draw: random.Random) -> str:
    first, second = draw.choice(_NAMES), draw.choice(_NAMES)
    return draw.choice((first, first, f"{first}_{second}", f"{first}{second.title()}", first.title()))


def _token(draw: random.Random) -> str:
    begin = draw.choice(("", "sk-", "ghp_", "eyJ", "xoxb-"))
    letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return begin + "".join(draw.choices(letters, k=draw.randint(16, 40)))


_MADE: dict[str, Callable[[random.Random], str]] = {
    "a": _name,
    "b": _name,
    "A": lambda draw: _name(draw).upper(),
    "B": lambda draw: _name(draw).upper(),
    "d": lambda draw: str(draw.randint(10, 28)),
    "n": lambda draw: str(draw.randint(2, 9999)),
    "n4": lambda draw: f"{draw.randint(0, 9999):04}",
    "ssn": lambda draw: f"{draw.randint(100, 665)}-{draw.randint(10, 99)}-{draw.randint(1000, 9999)}",
    "hex": lambda draw: draw.randbytes(draw.choice((4, 16, 20, 32))).hex(),
    "hex6": lambda draw: draw.randbytes(3).hex(),
    "uuid": lambda draw: str(uuid.UUID(bytes=draw.randbytes(16))),
    "token": _token,
    "base": lambda draw: base64.b64encode(draw.randbytes(48)).decode(),
}
"""Slots that any text may have."""
