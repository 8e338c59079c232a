"""No text makes a rail slow: four times the characters take about four times the time.

A pattern that can match in many ways takes ever longer, and Python cannot stop it: everybody waits. So each rail
is tried in a process of its own, which can be ended.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from headrace import paths
from headrace.guard import policy, rails
from headrace.guard.rail import Rail
from headrace.guard.terms import TermsRail

FEW, MANY = 8 * 1024, 32 * 1024
RATIO, AT_ONCE = 8.0, 0.01
"""Of the times: four, and as much again for a loaded machine. Fewer seconds than `AT_ONCE` say nothing."""
LONGEST = 4.0
"""Seconds for one text."""
RAILS = ("injection", "toxicity", "pii", "secrets", "canary", "terms")

REPEATED = (
    "_", "-", ".", "*", " ", "\n", "@", "=", "/", "|", "<", "&", "\\", "(", "[", "!", "'", "\u200b", "\u0301",
    "0", "1", "7", "a", "A", "f", "eyJ", "禁", "\U0001f600", "_-", "* ", "a.", "a@", "a@a.", "1 ", "1-", "4a",
    "4a ", "0x", "a ", "a-", "QUJD", "QUJD\n", "%41", "&#65;", "\\u0041", "<b ", "1!", "GB82 WEST ", "192.168.",
    "+1 212 ", "http://a", "a://b:c", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "eyJaaaaaaaa.", "sk-", "AKIA",
    "xoxb-123456-", "password", "password=", "token: ", "bearer ", "api key ", "zebra-", "you tell me ",
    "ignore all ", "act as a ", "system\n", "dan mode ",
)  # fmt: skip
"""Runs of everything that a pattern repeats or separates by."""
ENDS = ("ab", "!", "@x", "=")
"""What makes a match fail that has gone well so far."""


def baits() -> Iterator[tuple[str, Callable[[int], str]]]:
    """A name, and the bait of so many characters."""
    for part in REPEATED:
        yield repr(part), partial(repeated, part)
    for part, end in product(("_", "1", "a", " ", "-"), ENDS):
        yield f"{part!r} * 40 + {end!r}", partial(repeated, part * 40 + end)
    yield "a heading", lambda size: "\nsystem" + "\n" * size
    yield "a key's heading", lambda size: "-----BEGIN " + "A" * size


def repeated(part: str, size: int) -> str:
    return (part * size)[:size]


def build(name: str) -> Rail:
    if name == "terms":
        return TermsRail(name, name, ["Acme Corp", "still", "aaaa", "1111", "禁词", "x - y"])
    shipped = policy.read(paths.PROJECT / "policy.yaml")
    built = rails.build(shipped, {"HEADRACE_CANARY": "zebra-lighthouse"})
    return next(rail for rail in built if rail.name == name)


def seconds(rail: Rail, text: str) -> float:
    began = time.process_time()
    rail.score_batch([text])
    return time.process_time() - began


def measure(name: str) -> None:
    """In the process of its own: one line of JSON for each bait."""
    rail = build(name)
    rail.score_batch(["to begin with"])
    for bait, of_size in baits():
        print(json.dumps([bait]), flush=True)
        few, many = (seconds(rail, of_size(size)) for size in (FEW, MANY))
        if is_slow(few, many):  # or the machine was busy
            many = min(many, seconds(rail, of_size(MANY)))
        print(json.dumps([bait, few, many]), flush=True)


def is_slow(few: float, many: float) -> bool:
    return many > LONGEST or many > RATIO * max(few, AT_ONCE)


@pytest.mark.parametrize("name", RAILS)
def test_four_times_the_text_takes_four_times_as_long(name: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    command = [sys.executable, "-c", f"from tests.guard.test_linear import measure; measure({name!r})"]
    with output.open("w") as file:
        try:
            subprocess.run(command, stdout=file, check=True, timeout=120, cwd=paths.PROJECT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"no end with {output.read_text().splitlines()[-1]}")
    found = [json.loads(line) for line in output.read_text().splitlines()]
    slow = [line for line in found if len(line) > 1 and is_slow(*line[1:])]
    assert not slow


def test_all_built_in_rails_are_tried() -> None:
    built = rails.build(policy.read(paths.PROJECT / "policy.yaml"), {})
    assert {rail.name for rail in built} <= set(RAILS)


def test_no_pattern_has_a_possessive_group() -> None:
    """Python before 3.11.5, which Debian 12 has, matches such groups wrongly (CPython issue 106052)."""
    possessive = re.compile(r"\)(?:[*+?]|\{{1,2}\d*,?\d*\}{1,2})\+|\(\?>")
    assert all(map(possessive.search, (r"(?:a|b)*+", r"(?:ab){{3,}}+", r"(?>a|b)")))
    for file in (paths.PROJECT / "headrace" / "guard").rglob("*.py"):
        assert not possessive.search(file.read_text("utf-8")), file
