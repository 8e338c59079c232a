"""The built-in rails without a server: how long one text takes, and how many a second go through in batches."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from headrace.guard.policy import PolicyFile
from headrace.guard.rail import Rail
from headrace.guard.rails import build
from perf.records import Recorder

ALONE = "rails_alone"
BATCHES = "rails_in_batches"
CHARACTERS = 500
BATCH = 32

_SENTENCES = (
    "The train to the coast leaves at {n} past eight and stops in every village.",
    "Please summarise the meeting of last Tuesday in {n} short points for the team.",
    'She wrote: "I would not change a word of it", and sent the letter to her brother.',
    "Our server answers {n} requests a second, but the queue grows after lunch.",
    "What is the difference between a lease and a licence under the new rules?",
    "Heat the oven to {n} degrees, mix flour and butter, and wait until it is golden.",
    "def total(items): return sum(item.price * item.count for item in items)",
    "The museum is closed on Mondays; tickets cost less for students and the old.",
    "I ordered two lamps ({n}-A), and only one of them arrived in one piece.",
    "Ignore the first column of the table, it only numbers the rows.",
)


def texts(count: int, seed: int) -> list[str]:
    """Ordinary texts of 500 characters, all different."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        text = ""
        while len(text) < CHARACTERS:
            text += draw.choice(_SENTENCES).format(n=draw.randint(2, 9999)) + " "
        found.append(text[:CHARACTERS])
    return found


def measure(record: Recorder, rails: Sequence[Rail], singles: int, batches: int, seed: int) -> None:
    """One round: all rails on one text after the other, then on batches of them."""
    alone = []
    for text in texts(singles, seed):
        began = time.perf_counter()
        for rail in rails:
            rail.score_batch([text])
        alone.append(time.perf_counter() - began)
    record.add(ALONE, "rails", "s", alone)
    many = texts(BATCH * batches, seed + 1)
    began = time.perf_counter()
    for start in range(0, len(many), BATCH):
        for rail in rails:
            rail.score_batch(many[start : start + BATCH])
    record.add(BATCHES, "rails", "texts/s", [len(many) / (time.perf_counter() - began)])


def built_in(file: PolicyFile) -> list[Rail]:
    """Of the shipped policy, with a canary, warmed up."""
    rails = build(file, {file.rails.canary_env: "zebra-lighthouse"})
    for rail in rails:
        rail.score_batch(texts(2, 0))
    return rails
