"""Fits the two heads: logistic regression over hashed words and characters, from pinned data and a pinned seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from headrace.guard.features import features
from headrace.guard.head import Head
from headrace.guard.pieces import pieces
from headrace.guard.readings import as_seen
from headrace.guard.training.corpora import Corpora, Example, unique
from headrace.guard.training.patterns import attacks, harmless_texts
from headrace.guard.training.requests import ordinary_requests

SEED = 20_261_125
STRENGTH = 3.0
"""Inverse of the regularization."""
TRICKY_WEIGHT = 5.0
"""There are few of them, and each stands for many."""
POSTS = 3_000
"""Posts that teach the injection head how people write; more of them would drown the rest."""
POST_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Weighted:
    example: Example
    weight: float = 1.0


def injection_examples(corpora: Corpora) -> list[Weighted]:
    posts = [example for example in corpora.posts if not example.bad]
    chosen = np.random.default_rng(SEED).permutation(len(posts))[:POSTS]
    return [
        *map(Weighted, corpora.injection),
        *(Weighted(example, TRICKY_WEIGHT) for example in corpora.tricky),
        *map(Weighted, unique(ordinary_requests(SEED))),
        *map(Weighted, unique([*attacks(SEED), *harmless_texts(SEED)])),
        *(Weighted(posts[place], POST_WEIGHT) for place in sorted(chosen)),
    ]


def toxicity_examples(corpora: Corpora) -> list[Weighted]:
    harmless = [example for example in corpora.injection if not example.bad]
    harmless += [*corpora.tricky, *unique(ordinary_requests(SEED)), *unique(harmless_texts(SEED))]
    return [*map(Weighted, corpora.posts), *map(Weighted, harmless)]


EXAMPLES: dict[str, Callable[[Corpora], list[Weighted]]] = {
    "injection": injection_examples,
    "toxicity": toxicity_examples,
}


def fit(examples: Sequence[Weighted]) -> Head:
    """Both classes weigh the same, however many examples each has."""
    seen = [(text, one.example.bad, one.weight) for one in examples for text in _as_judged(one.example)]
    texts = [text for text, _, _ in seen]
    bad = np.array([bad for _, bad, _ in seen])
    weights = np.array([weight for _, _, weight in seen])
    weights[bad] *= weights[~bad].sum() / weights[bad].sum()
    found = features(texts)
    rarity = _rarity(found)
    model = LogisticRegression(C=STRENGTH, solver="liblinear", random_state=SEED)
    model.fit(found @ scipy.sparse.diags(rarity), bad, sample_weight=weights)
    return Head.of((model.coef_[0] * rarity).astype(np.float16), float(model.intercept_[0]))


def _as_judged(example: Example) -> list[str]:
    """All pieces of a harmless text are harmless; of a bad one nobody knows which are."""
    text = as_seen(example.text)
    return [text] if example.bad else pieces(text)


def _rarity(found: scipy.sparse.csr_matrix) -> NDArray[np.float64]:
    """Inverse document frequency, as scikit-learn smooths it."""
    texts = found.shape[0]
    holding = np.bincount(found.indices, minlength=found.shape[1])
    # Not by numpy, whose last bit depends on the processor.
    table = np.array([math.log((1 + texts) / (1 + count)) + 1 for count in range(int(holding.max()) + 1)])
    rarity: NDArray[np.float64] = table[holding]
    return rarity


def train(corpora: Corpora, folder: Path) -> dict[str, Head]:
    """Both heads from all of the data, written to `folder`."""
    heads = {}
    for name, examples in EXAMPLES.items():
        heads[name] = fit(examples(corpora))
        heads[name].save(folder / f"{name}.npz")
    return heads
