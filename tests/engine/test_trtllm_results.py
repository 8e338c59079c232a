"""From upstream's cumulative results to deltas."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.engine.interface import TokenDelta
from headrace.engine.trtllm.results import new_tokens
from headrace.engine.trtllm.snapshot import Snapshot
from headrace.errors import HeadraceError


@dataclasses.dataclass
class Logprob:
    logprob: float


@dataclasses.dataclass
class Output:
    token_ids: list[int]
    logprobs: list[Any]
    finish_reason: str | None = None


@given(st.lists(st.lists(st.integers(0, 99), max_size=4), max_size=8), st.booleans())
def test_deltas_of_cumulative_lists_join_to_the_whole(pieces: list[list[int]], as_maps: bool) -> None:
    output = Output([], [])
    deltas: list[TokenDelta] = []
    for piece in pieces:
        output.token_ids += piece
        output.logprobs += [{t: Logprob(-float(t))} if as_maps else -float(t) for t in piece]
        deltas.append(new_tokens(output, sum(len(d.token_ids) for d in deltas), with_log_probs=True))
    whole = [t for piece in pieces for t in piece]
    assert [t for d in deltas for t in d.token_ids] == whole
    assert [p for d in deltas for p in d.log_probs] == [-float(t) for t in whole]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("stop", "stop"), ("length", "length"), ("timeout", "cancelled"), ("cancelled", "cancelled")],
)
def test_finish_reasons(theirs: str, ours: str) -> None:
    got = new_tokens(Output([1], [], theirs), 0, with_log_probs=False)
    assert got == TokenDelta(token_ids=(1,), finish_reason=ours)  # type: ignore[arg-type]


def test_an_unknown_finish_reason_is_told() -> None:
    with pytest.raises(HeadraceError, match="not known here: 'bored'"):
        new_tokens(Output([1], [], "bored"), 0, with_log_probs=False)


@pytest.mark.parametrize("entries", [[{2: Logprob(-1.0)}], []])
def test_a_missing_log_prob_is_not_made_up(entries: list[Any]) -> None:
    with pytest.raises(HeadraceError, match="no log prob"):
        new_tokens(Output([1], entries), 0, with_log_probs=True)


@pytest.mark.parametrize("as_text", [False, True])
def test_snapshot(as_text: bool) -> None:
    values = {"numQueuedRequests": 3, "kvCacheStats": {"usedNumBlocks": 25, "maxNumBlocks": 100}}
    got = Snapshot.of(json.dumps(values) if as_text else values)
    assert got == Snapshot(queued=3, kv_cache_usage=0.25)
    assert Snapshot.of({}) == Snapshot()
    assert [got.waiting(live, 8) for live in (0, 2, 5, 20)] == [0, 2, 3, 12]
