"""Money as whole numbers: an amount is counted in nano units, 10⁻⁹ of the currency, so that sums are exact."""

from __future__ import annotations

import re

NANO = 1_000_000_000
_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")


def nano(text: object) -> int:
    """ "12.50" → 12_500_000_000. Below 10⁹ units, so that it fits into 64 bit; at most nine decimals.

    Raises `ValueError` for all else, numbers too: in YAML 12.50 is a binary fraction.
    """
    found = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('expected an amount in quotes, such as "12.50", with at most nine digits on either side')
    whole, decimals = found.group(1), found.group(2) or ""
    return int(whole) * NANO + int(decimals.ljust(9, "0"))


def written(amount: int) -> str:
    """The amount in nano units as text, with two decimals at least. Raises `ValueError` when it is below 0."""
    if amount < 0:
        raise ValueError("an amount is not below 0")
    whole, rest = divmod(amount, NANO)
    decimals = f"{rest:09}"
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"
