from __future__ import annotations

import pytest

from headrace.guard.training import held_out
from perf import model_cards


@pytest.mark.parametrize("head", ["injection", "toxicity"])
def test_a_card_shows_what_was_measured(head: str) -> None:
    card = (model_cards.CARDS / f"{head}.md").read_text("utf-8")
    assert card == model_cards.filled(head)
    figures = [figure for figure in held_out.read(model_cards.RESULTS) if figure.head == head]
    assert figures
    assert all(f"| {figure.texts} | {figure.count} |" in card for figure in figures)


def test_a_table_leaves_out_what_means_nothing() -> None:
    interval = (0.5, 0.25, 0.75)
    harmless = held_out.Figure("injection", "prose", 9, None, (0.0, 0.0, 0.6), interval, None)
    assert model_cards.rows([harmless], "injection")[1:] == [["prose", "9", "", "", "0.500 (0.250 to 0.750)", ""]]
    assert model_cards.rows([harmless], "toxicity")[1:] == []
