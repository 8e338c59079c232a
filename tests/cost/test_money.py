from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cost.money import NANO, nano, written

AMOUNTS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,9})?", fullmatch=True, alphabet="0123456789.")


@given(AMOUNTS)
def test_an_amount_is_exact(text: str) -> None:
    assert nano(text) == Decimal(text) * NANO


@given(st.integers(0, 10**18 - 1))
def test_what_is_written_is_read_as_the_same(amount: int) -> None:
    assert nano(written(amount)) == amount
    assert Decimal(written(amount)) * NANO == amount


@pytest.mark.parametrize(
    "wrong",
    [12.5, 12, True, None, "", ".5", "5.", "-1", "+1", "1e3", "1_000", " 1", "1 ", "1\n", "1,5", "NaN", "inf",
     "1.0000000001", "1000000000", "٣", "0x10", "1.2.3"],
)  # fmt: skip
def test_what_is_no_amount_in_quotes_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected an amount in quotes"):
        nano(wrong)


def test_the_greatest_amount_fits_into_64_bit() -> None:
    assert nano("999999999.999999999") < 2**63


def test_no_amount_is_below_zero() -> None:
    with pytest.raises(ValueError, match="below 0"):
        written(-1)
    assert (written(0), written(12_500_000_000), written(1)) == ("0.00", "12.50", "0.000000001")
