"""A bar chart with intervals as SVG: small enough to write by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from perf.statistics import Estimate

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 56, 44
_COLOURS = ("#0072b2", "#e69f00", "#767676", "#009e73")
_TICKS = 5


def bar_chart(title: str, unit: str, groups: Sequence[str], series: Mapping[str, Sequence[Estimate]]) -> str:
    """One group of bars for each name in `groups`, one bar in it for each of `series`.

    Raises ValueError when a series is not as long as `groups`, or nothing is to be drawn.
    """
    if not groups or not series or any(len(bars) != len(groups) for bars in series.values()):
        raise ValueError("every series needs one estimate for each group")
    top = _round_up(max(_upper(bar) for bars in series.values() for bar in bars))
    parts = [_text(_LEFT, 20, title, size=15, anchor="start"), *_legend(list(series)), *_axis(top, unit)]
    slot = (_WIDTH - _LEFT - _RIGHT) / len(groups)
    width = slot * 0.8 / len(series)
    for place, group in enumerate(groups):
        left = _LEFT + slot * (place + 0.1)
        parts.append(_text(left + slot * 0.4, _HEIGHT - _BOTTOM + 18, group))
        for number, bars in enumerate(series.values()):
            parts += _bar(left + number * width, width, bars[place], top, _COLOURS[number % len(_COLOURS)])
    body = "\n".join(parts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f'{head} role="img" aria-label="{escape(title)}">\n{paper}\n{body}\n</svg>\n'


def _upper(bar: Estimate) -> float:
    return bar.value if math.isnan(bar.high) else max(bar.value, bar.high)


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten, in steps of a half below that."""
    if value <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    steps = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0)
    return next(step * scale for step in steps if step * scale >= value)


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top


def _axis(top: float, unit: str) -> list[str]:
    parts = [_text(_LEFT - 6, _TOP - 10, unit, anchor="end")]
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = _y(value, top)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:,.4g}".replace(",", "\u202f"), anchor="end"))
    return parts


def _bar(left: float, width: float, bar: Estimate, top: float, colour: str) -> list[str]:
    y = _y(bar.value, top)
    place = f'x="{left:.1f}" y="{y:.1f}" width="{width * 0.9:.1f}" height="{_HEIGHT - _BOTTOM - y:.1f}"'
    parts = [f'<rect {place} fill="{colour}"><title>{bar.value:,.4g}</title></rect>']
    if not math.isnan(bar.low):
        middle = left + width * 0.45
        low, high = _y(max(bar.low, 0), top), _y(bar.high, top)
        parts.append(f'<path d="M{middle:.1f} {low:.1f}V{high:.1f}" stroke="#000" stroke-width="1.5"/>')
    return parts


def _legend(names: list[str]) -> list[str]:
    parts = []
    for number, name in enumerate(names):
        x = _LEFT + 140 * number
        parts.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(_text(x + 14, 37, name, anchor="start"))
    return parts


def _text(x: float, y: float, text: str, size: int = 12, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
