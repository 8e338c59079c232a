"""Finding records, and adding them up."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.audit.errors import AuditDamaged
from headrace.audit.query import Filter, Totals, query, totals
from headrace.audit.record import AuditRecord, Outcome
from headrace.errors import NotFound
from tests.audit.logs import NOON, record, segments_of, write

OUTCOMES: list[Outcome] = ["ok", "blocked", "refused", "cancelled"]
RECORDS = [
    record(
        number,
        outcome=OUTCOMES[number % 4],
        model=["assistant", "other"][number % 2],
        currency=["USD", "EUR"][number // 20],
        tenant=[None, "one", "two"][number % 3],
        cost=2**60 + number,
    )
    for number in range(40)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("query")
    write(folder, RECORDS)
    assert len(segments_of(folder)) > 3
    return folder


def found(folder: Path, **wanted: Any) -> list[int]:
    return [int(line.request_id.removeprefix("request-")) for line in query(folder, Filter(**wanted))]


def test_without_a_filter_all_come_in_order(folder: Path) -> None:
    assert found(folder) == list(range(40))
    assert [line.sequence for line in query(folder)] == list(range(1, 41))


def test_each_filter_leaves_what_fits(folder: Path) -> None:
    assert found(folder, since=NOON + timedelta(seconds=38)) == [38, 39]
    assert found(folder, until=NOON + timedelta(seconds=2)) == [0, 1]
    assert found(folder, since=NOON + timedelta(microseconds=1), until=NOON + timedelta(seconds=3)) == [1, 2]
    assert found(folder, tenant="one") == list(range(1, 40, 3))
    assert found(folder, request_id="request-7") == [7]
    assert found(folder, outcome="blocked") == list(range(1, 40, 4))
    assert found(folder, model="other") == list(range(1, 40, 2))
    assert found(folder, min_cost=2**60 + 37) == [37, 38, 39]
    assert found(folder, tenant="one", outcome="ok") == [4, 16, 28]
    assert found(folder, tenant="nobody") == []


def test_totals_are_the_plain_sum_to_the_last_unit(folder: Path) -> None:
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one in RECORDS:
        numbers = (1, one.prompt_tokens, one.completion_tokens, one.cost)
        sums[one.tenant or "", one.currency] = [
            sum(pair) for pair in zip(sums[one.tenant or "", one.currency], numbers, strict=True)
        ]
    expected = [Totals(tenant or None, currency, *numbers) for (tenant, currency), numbers in sorted(sums.items())]
    assert totals(folder) == expected
    assert sum(one.cost for one in totals(folder)) == sum(one.cost for one in RECORDS) > 2**63


@given(times=st.tuples(st.integers(-1, 41), st.integers(-1, 41)))
def test_totals_of_adjacent_times_add_up_to_all(folder: Path, times: tuple[int, int]) -> None:
    one, two = (NOON + timedelta(seconds=second) for second in sorted(times))
    parts = [totals(folder, None, one), totals(folder, one, two), totals(folder, two, None)]
    assert sum(part.cost for part in itertools.chain(*parts)) == sum(one.cost for one in RECORDS)
    assert sum(part.requests for part in itertools.chain(*parts)) == 40


@given(
    records=st.lists(
        st.builds(
            lambda number, cost, tenant: record(number, cost=cost, tenant=tenant),
            st.integers(0, 1000),
            st.integers(-(2**62), 2**62),
            st.none() | st.text(max_size=5),
        ),
        max_size=10,
    )
)
def test_the_ledger_loses_nothing_of_any_records(
    tmp_path_factory: pytest.TempPathFactory, records: list[AuditRecord]
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    write(folder, records)
    assert sum(one.cost for one in totals(folder)) == sum(one.cost for one in records)
    assert [line.tenant for line in query(folder)] == [one.tenant for one in records]


def test_a_record_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:3])
    with segments_of(tmp_path)[-1].open("ab") as file:
        file.write(b'{"schema":1,"kind":"request"')
    assert found(tmp_path) == [0, 1, 2]


def test_a_line_that_cannot_be_read_is_never_left_out_in_silence(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:6])
    file = segments_of(tmp_path)[0]
    file.write_bytes(file.read_bytes().replace(b'"cost":', b'"cost":x', 1))
    with pytest.raises(AuditDamaged, match=rf"{file.name}:1: .*headrace audit verify"):
        totals(tmp_path)


def test_an_unfinished_line_within_the_log_is_never_left_out_in_silence(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:9])
    file = segments_of(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(AuditDamaged, match=file.name):
        totals(tmp_path)


def test_records_of_a_recovery_are_no_requests(tmp_path: Path) -> None:
    write(tmp_path, RECORDS[:3])
    with segments_of(tmp_path)[-1].open("ab") as file:
        file.write(b"torn")
    write(tmp_path, RECORDS[3:5])
    assert found(tmp_path) == [0, 1, 2, 3, 4]


def test_no_folder_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such folder"):
        query(tmp_path / "none", Filter(outcome="ok"))
