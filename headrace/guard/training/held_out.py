"""How well heads do on texts that they did not learn from: fitted again without the held-out parts, and measured.

Held out are the parts that the corpora call validation and test, and of what has no such parts a fifth, drawn by
the pinned seed. The shipped heads learn from everything; these figures are of heads that did not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from headrace import paths
from headrace.guard import policy
from headrace.guard.evaluation import ANY, Labelled, Result, Share, evaluate
from headrace.guard.injection import InjectionRail
from headrace.guard.rail import Rail
from headrace.guard.toxicity import ToxicityRail
from headrace.guard.training.corpora import Corpora, Example
from headrace.guard.training.train import EXAMPLES, SEED, Weighted, fit

_SHARE = 0.2
Interval = tuple[float, float, float]
"""A value and the ends of its 95 % interval."""


@dataclass(frozen=True)
class Figure:
    """One head on one set of texts that it has not seen, at the shipped policy's lowest threshold."""

    head: str
    texts: str
    count: int
    recall: Interval | None
    """None where nothing should be flagged."""
    precision: Interval | None
    false_positives: Interval | None
    auc: Interval | None


def measure(corpora: Corpora) -> list[Figure]:
    shipped = policy.read(paths.PROJECT / "policy.yaml")
    rules = shipped.policies[shipped.default]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, rail in (("injection", InjectionRail), ("toxicity", ToxicityRail)):
            seen, unseen = split(EXAMPLES[name](corpora))
            weights = Path(folder) / f"{name}.npz"
            fit(seen).save(weights)
            built: Rail = rail(weights)
            for texts, examples in _sets(name, unseen):
                (result,) = (one for one in evaluate(texts, examples, [built], rules) if one.rail != ANY)
                found.append(_figure(name, texts, result))
    return found


def write(figures: Sequence[Figure], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")


def read(file: Path) -> list[Figure]:
    return msgspec.json.decode(file.read_bytes(), type=list[Figure])


def split(examples: Sequence[Weighted]) -> tuple[list[Weighted], list[Example]]:
    """What to learn from, and what not. Where a source has parts of its own, they decide."""
    divided = {one.example.source for one in examples if one.example.part == "held out"}
    drawn = np.random.default_rng(SEED).random(len(examples)) < _SHARE
    seen: list[Weighted] = []
    unseen: list[Example] = []
    for one, chosen in zip(examples, drawn, strict=True):
        held_out = one.example.part == "held out" if one.example.source in divided else bool(chosen)
        if held_out:
            unseen.append(one.example)
        else:
            seen.append(one)
    return seen, unseen


def _sets(head: str, unseen: Sequence[Example]) -> Iterator[tuple[str, list[Labelled]]]:
    """By source; a text counts as bad for this head alone."""
    for source in dict.fromkeys(example.source for example in unseen):
        of_source = [example for example in unseen if example.source == source]
        yield source, [Labelled(example.text, example.bad, head) for example in of_source]


def _figure(head: str, texts: str, result: Result) -> Figure:
    count = result.recall.of + result.false_positives.of
    auc = None if result.auc is None else _rounded(*result.auc)
    return Figure(
        head,
        texts,
        count,
        _with_interval(result.recall),
        _with_interval(result.precision),
        _with_interval(result.false_positives),
        auc,
    )


def _with_interval(share: Share) -> Interval | None:
    if not share.of:
        return None
    return _rounded(share.value, *share.interval)


def _rounded(value: float, low: float, high: float) -> Interval:
    return round(value, 4), max(0.0, round(low, 4)), round(high, 4)
