"""Coalescing: the first token at once, nothing lost, nothing out of order, nothing late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.config import CoalescingConfig
from headrace.engine.interface import TokenDelta
from headrace.worker.coalescing import Coalescer

POLICY = CoalescingConfig(max_tokens=4, max_delay_ms=100)


def delta(*token_ids: int, last: bool = False) -> TokenDelta:
    return TokenDelta(token_ids, tuple(-float(t) for t in token_ids), "stop" if last else None)


def test_the_first_token_goes_at_once_and_later_ones_wait_for_company() -> None:
    coalescer = Coalescer(POLICY, stream=True)
    coalescer.add(delta(1), now=0.0)
    assert coalescer.due(0.0)
    assert coalescer.take() == delta(1)
    for token in (2, 3, 4):
        coalescer.add(delta(token), now=0.0)
        assert not coalescer.due(0.0)
    coalescer.add(delta(5), now=0.0)
    assert coalescer.due(0.0)
    assert coalescer.take() == delta(2, 3, 4, 5)


def waiting(policy: CoalescingConfig, now: float) -> Coalescer:
    """With a token that is not the first and came at `now`."""
    coalescer = Coalescer(policy, stream=True)
    coalescer.add(delta(1), now)
    coalescer.take()
    assert coalescer.due_at() is None
    coalescer.add(delta(2), now)
    return coalescer


def test_tokens_leave_with_the_next_departure() -> None:
    coalescer = waiting(POLICY, now=1.01)
    coalescer.add(delta(3), now=1.05)
    assert coalescer.due_at() == pytest.approx(1.1)
    assert not coalescer.due(1.09)
    assert coalescer.due(1.1001)


@given(st.floats(0, 1e6), st.floats(0, 1e4))
def test_no_token_waits_longer_than_the_delay(now: float, delay_ms: float) -> None:
    due_at = waiting(CoalescingConfig(max_tokens=4, max_delay_ms=delay_ms), now).due_at()
    assert due_at is not None
    assert now - 1e-6 <= due_at <= now + delay_ms / 1000 + 1e-6


def test_all_streams_have_the_same_departures() -> None:
    assert {waiting(POLICY, now).due_at() for now in (7.01, 7.03, 7.09)} == {waiting(POLICY, 7.05).due_at()}


def test_the_end_is_due_even_without_tokens() -> None:
    coalescer = Coalescer(POLICY, stream=True)
    coalescer.add(delta(last=True), now=0.0)
    assert coalescer.due(0.0)
    assert coalescer.take().finish_reason == "stop"


def test_a_unary_request_waits_for_its_end() -> None:
    coalescer = Coalescer(POLICY, stream=False)
    for token in range(20):
        coalescer.add(delta(token), now=float(token))
        assert not coalescer.due(float(token))
        assert coalescer.due_at() is None
    coalescer.add(delta(last=True), now=20.0)
    assert coalescer.due(20.0)
    assert coalescer.take().token_ids == tuple(range(20))


@given(
    sizes=st.lists(st.integers(0, 6), max_size=30),
    steps=st.lists(st.floats(0, 0.2), min_size=30, max_size=30),
    max_tokens=st.integers(1, 8),
)
def test_nothing_is_lost_or_reordered(sizes: list[int], steps: list[float], max_tokens: int) -> None:
    coalescer = Coalescer(CoalescingConfig(max_tokens=max_tokens, max_delay_ms=100), stream=True)
    sent: list[TokenDelta] = []
    now, count = 0.0, 0
    for size, step in zip(sizes, steps, strict=False):
        now += step
        coalescer.add(delta(*range(count, count + size)), now)
        count += size
        if coalescer.due(now):
            sent.append(coalescer.take())
    coalescer.add(delta(count, last=True), now)
    assert coalescer.due(now)
    sent.append(coalescer.take())
    assert [t for d in sent for t in d.token_ids] == list(range(count + 1))
    assert [p for d in sent for p in d.log_probs] == [-float(t) for t in range(count + 1)]
    assert [d.finish_reason for d in sent] == [None] * (len(sent) - 1) + ["stop"]
