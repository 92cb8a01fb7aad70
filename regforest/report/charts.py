"""Charts as inline SVG: they follow the page's colours, dark or light, and need nothing from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from regforest.spatial import sort_levels

__all__ = ["histogram_chart", "rate_chart", "spread_chart"]

_HEIGHT, _LEFT, _BOTTOM, _TOP = 220, 46, 26, 12
_STEP, _DISC_STEP = 34, 56  # a disc has the longer name


def spread_chart(values: Mapping[str, Sequence[float]], unit: str, digits: int = 1) -> str:
    """Draw the spread of a measure for each level: box from quartile to quartile, median, 5 and 95 % whiskers.

    Parameters
    ----------
    values : mapping of str to sequence of float
        Level -> values; levels without values leave a gap.
    unit : str
        For the tooltips.
    digits : int
        Decimals in the tooltips.
    """
    names = sort_levels(values)
    parts = {name: np.percentile(values[name], [5, 25, 50, 75, 95]) for name in names if len(values[name])}
    top = _nice(max((part[4] for part in parts.values()), default=1.0))
    marks = []
    for i, name in enumerate(names):
        if name not in parts:
            continue
        x = _x(i, names)
        low, q1, median, q3, high = (_y(value, top) for value in parts[name])
        text = f"{name}: median {parts[name][2]:.{digits}f} {unit}, n = {len(values[name])}"
        marks.append(
            f"<g><title>{escape(text)}</title>"
            f'<line class=whisker x1="{x}" x2="{x}" y1="{low:.1f}" y2="{high:.1f}"/>'
            f'<rect class=box x="{x - 8}" width="16" y="{q3:.1f}" height="{max(q1 - q3, 1):.1f}" rx="2"/>'
            f'<line class=median x1="{x - 8}" x2="{x + 8}" y1="{median:.1f}" y2="{median:.1f}"/></g>'
        )
    return _frame(names, top, marks)


def rate_chart(rates: Mapping[str, tuple[int, int]]) -> str:
    """Draw a rate for each level, in per cent.

    Parameters
    ----------
    rates : mapping of str to (int, int)
        Level -> hits and total.
    """
    names = sort_levels(rates)
    marks = []
    for i, name in enumerate(names):
        hits, total = rates[name]
        marks.append(_bar(i, names, 100 * hits / total if total else 0.0, 100, f"{name}: {hits} of {total}"))
    return _frame(names, 100, marks)


def histogram_chart(edges_mm: Sequence[float], counts: Sequence[int], beyond: int) -> str:
    """Draw how errors spread, in per cent of all; parameters as `error_histogram` returns them."""
    names = [*(f"{edge:g}" for edge in edges_mm[:-1]), f"{edges_mm[-1]:g}+"]
    heights, total = [*counts, beyond], max(sum(counts) + beyond, 1)
    top = _nice(max(100 * max(heights) / total, 1.0))
    marks = [
        _bar(i, names, 100 * count / total, top, f"from {edges_mm[i]:g} mm: {count} of {total}")
        for i, count in enumerate(heights)
    ]
    return _frame(names, top, marks)


def _bar(column: int, names: Sequence[str], value: float, top: float, text: str) -> str:
    y = _y(value, top)
    return (
        f"<g><title>{escape(text)}</title>"
        f'<rect class=bar x="{_x(column, names) - 9}" width="18" y="{y:.1f}" height="{_HEIGHT - _BOTTOM - y:.1f}" '
        f'rx="2"/></g>'
    )


def _frame(names: Sequence[str], top: float, marks: Sequence[str]) -> str:
    width = _x(len(names), names)
    lines = []
    for tick in np.linspace(0, top, 5):
        y = _y(tick, top)
        lines.append(
            f'<line class=grid x1="{_LEFT}" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class=tick x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    labels = [
        f'<text class=tick x="{_x(i, names)}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>'
        for i, name in enumerate(names)
    ]
    return (
        f'<svg class=chart viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}">'
        + "".join([*lines, *marks, *labels])
        + "</svg>"
    )


def _x(column: int, names: Sequence[str]) -> int:
    step = _DISC_STEP if any("/" in name for name in names) else _STEP
    return _LEFT + step // 2 + 4 + column * step


def _y(value: float, top: float) -> float:
    return float(_HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value / top)


def _nice(value: float) -> float:
    """Smallest end of an axis from 1, 2, 4, 6, 8, 10 times a power of ten that holds the value."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-6)))
    return float(next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value))
