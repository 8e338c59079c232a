"""Money as whole nano units: a thousand-millionth of a dollar, euro or what else the prices are in."""

from __future__ import annotations

from decimal import Decimal

NANO = 10**9
_MOST = 10**12


def nano(amount: Decimal) -> int:
    """Raises `ValueError` for what is no whole number of them."""
    if not amount.is_finite() or abs(amount) >= _MOST:
        raise ValueError(f"expected an amount below {_MOST:,}, got {amount}")
    scaled = amount * NANO
    if scaled != scaled.to_integral_value():
        raise ValueError(f"expected at most 9 places behind the point, got {amount}")
    return int(scaled)


def written(nanos: int) -> str:
    """A decimal number with at least two places behind the point, as in `0.15` or `-0.000000031`."""
    sign = "-" if nanos < 0 else ""
    whole, part = divmod(abs(nanos), NANO)
    places = f"{part:09}".rstrip("0")
    return f"{sign}{whole}.{places:0<2}"
