"""`python -m perf.model_cards`: the heads' cards, with the figures of `headrace guard train --held-out`."""

from __future__ import annotations

from pathlib import Path

from headrace.guard.training import held_out
from headrace.guard.training.held_out import Figure, Interval
from perf import records, report
from perf.report import Rows

RESULTS = records.RESULTS.with_name("guard-held-out.json")
CARDS = Path(held_out.__file__).parent.parent / "weights"


def rows(figures: list[Figure], head: str) -> Rows:
    found = [["texts", "count", "recall", "precision", "false positives", "ROC-AUC"]]
    for one in figures:
        if one.head == head:
            values = (one.recall, one.precision if one.recall else None, one.false_positives, one.auc)
            found.append([one.texts, str(one.count), *map(_cell, values)])
    return found


def _cell(value: Interval | None) -> str:
    return "" if value is None else "{:.3f} ({:.3f} to {:.3f})".format(*value)


def filled(head: str) -> str:
    card = CARDS / f"{head}.md"
    return report.filled(card, card.read_text(encoding="utf-8"), rows(held_out.read(RESULTS), head))


def main() -> None:
    for head in ("injection", "toxicity"):
        (CARDS / f"{head}.md").write_text(filled(head), encoding="utf-8")


if __name__ == "__main__":
    main()
