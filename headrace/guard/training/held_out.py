"""How well heads do on texts that they did not learn from: fitted again without the held-out parts, and measured.

Held out are the parts that the corpora call validation and test, whole kinds of our own patterns, and of what has
neither a fifth, drawn by the pinned seed. The shipped heads learn from everything; these figures are of heads that
did not. What attacks of a collection that a head knows nothing of do is measured by heads of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from headrace import paths
from headrace.guard import policy
from headrace.guard.evaluation import ANY, Labelled, Result, Share, evaluate
from headrace.guard.injection import InjectionRail
from headrace.guard.policy import Policy
from headrace.guard.rail import Rail
from headrace.guard.toxicity import ToxicityRail
from headrace.guard.training.corpora import Corpora, Example
from headrace.guard.training.long_texts import insults, long_texts
from headrace.guard.training.patterns import ATTACKS, FILES, OUR_OWN, ordinary_texts, sources, wild_attacks
from headrace.guard.training.train import EXAMPLES, SEED, Weighted, fit

_SHARE = 0.2
KINDS = ("javascript", "shell", "config", "pairs", "de", "nl", "ru", "zh", "de attacks", "nl attacks")
"""Of our own patterns: nothing of these kinds is learned from when the heads are measured."""
STRANGE = ("neuralchemy", "s-labs")
"""Each measured by a head that knows none of its attacks."""
WHOLE = frozenset(name for file in (*FILES, ATTACKS) for name in sources(file))
"""Kinds of which all is learned from or nothing."""
LENGTHS = (100, 500, 2_000)
RECALL = 0.6
"""At which precision is asked for."""
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
    return [*_injection(corpora, rules), *_toxicity(corpora, rules)]


def _injection(corpora: Corpora, rules: Policy) -> Iterator[Figure]:
    seen, unseen = split(EXAMPLES["injection"](corpora))
    name = "injection"
    rail = _fitted(name, seen)
    yield from _figures(name, rail, rules, [*unseen, *_our_own(), *wild_attacks(), *_long(unseen, "s-labs")])
    for source in STRANGE:
        known = [one for one in seen if not (one.example.bad and one.example.source == source)]
        strange = [
            replace(example, source=f"{source}, none of its attacks known")
            for example in unseen
            if example.bad and example.source == source
        ]
        yield from _figures(name, _fitted(name, known), rules, strange)


def _toxicity(corpora: Corpora, rules: Policy) -> Iterator[Figure]:
    seen, unseen = split(EXAMPLES["toxicity"](corpora))
    name = "toxicity"
    rail = _fitted(name, seen)
    long = [*_long(unseen, "s-labs"), *_long(unseen, "davidson")]
    yield from _figures(name, rail, rules, [*unseen, *_our_own(), *long])
    yield _at_recall(name, rail, [example for example in unseen if example.source == "davidson"])
    for examples in insults().values():
        yield from _figures(name, rail, rules, examples)


def _fitted(name: str, seen: Sequence[Weighted]) -> Rail:
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / f"{name}.npz"
        fit(seen).save(weights)
        return InjectionRail(weights) if name == "injection" else ToxicityRail(weights)


def _figures(name: str, rail: Rail, rules: Policy, unseen: Sequence[Example]) -> Iterator[Figure]:
    for texts, examples in _sets(name, unseen):
        (result,) = (one for one in evaluate(texts, examples, [rail], rules) if one.rail != ANY)
        yield _figure(name, texts, result)


def _our_own() -> list[Example]:
    """By kind, and all of them."""
    ordinary = ordinary_texts()
    return [*ordinary, *(replace(example, source=f"{OUR_OWN}texts, all") for example in ordinary)]


def _long(unseen: Sequence[Example], source: str) -> list[Example]:
    harmless = [example for example in unseen if example.source == source and not example.bad]
    return [example for length in LENGTHS for example in long_texts(harmless, length, SEED)]


def _at_recall(name: str, rail: Rail, examples: Sequence[Example]) -> Figure:
    """Precision at the threshold that finds just so much."""
    found = rail.score_batch([example.text for example in examples])
    scores = np.array([one.by_category[name] for one in found])
    bad = np.array([example.bad for example in examples])
    flagged = scores >= np.quantile(scores[bad], 1 - RECALL, method="lower")
    right = Share(int((flagged & bad).sum()), int(flagged.sum()))
    recall = Share(right.count, int(bad.sum()))
    texts = f"{examples[0].source}, at a recall of {RECALL}"
    return Figure(name, texts, len(bad), _with_interval(recall), _with_interval(right), None, None)


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
        source = one.example.source
        held_out = one.example.part == "held out" if source in divided else source in KINDS
        if held_out or (bool(chosen) and source not in divided | WHOLE):
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
