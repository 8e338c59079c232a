"""Counts of tokens that are remembered, and names that are random."""

from __future__ import annotations

from headrace.gateway.ids import new_id
from headrace.gateway.token_counts import TokenCounts


def test_what_was_counted_is_known_until_others_push_it_out() -> None:
    counts = TokenCounts(most=2)
    assert counts.get("one") is None
    counts.put("one", 1)
    counts.put("two", 2)
    assert counts.get("one") == 1
    counts.put("three", 3)  # "two" was asked for longest ago
    assert (counts.get("one"), counts.get("two"), counts.get("three")) == (1, None, 3)


def test_a_text_that_is_none_is_told_apart_too() -> None:
    counts = TokenCounts()
    counts.put("\ud800", 7)
    assert (counts.get("\ud800"), counts.get("\ud801")) == (7, None)


def test_no_two_names_are_equal() -> None:
    names = [new_id(16) for _ in range(20_000)]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {16}
    assert all(set(name) <= set("0123456789abcdef") for name in names)
