"""The confusion matrix of levels as inline SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape

from regforest.spatial import sort_levels

__all__ = ["confusion_chart"]

_CELL, _DISC_CELL = 22, 48  # a disc has the longer name
_EDGE = 60
_MISSED = "missed"


def confusion_chart(counts: Mapping[tuple[str, str | None], int]) -> str:
    """Draw which name each annotated level got: a row for each annotated level, a column for each name.

    Right names lie on the diagonal, in another colour than wrong ones; the last column holds missed levels.

    Parameters
    ----------
    counts : mapping of (str, str or None) to int
        As `regforest.evaluation.confusion` returns them.
    """
    names = sort_levels({name for pair in counts for name in pair if name})
    columns = [*names, _MISSED]
    size = _DISC_CELL if any("/" in name for name in names) else _CELL
    totals = Counter[str]()
    for (annotated, _), count in counts.items():
        totals[annotated] += count
    width, height = _EDGE + len(columns) * size, _EDGE + len(names) * size
    blank = _EDGE - 20 if size == _DISC_CELL else 0  # names that do not stand upright need less room
    parts = [_grid(len(names), len(columns), size), *(_word(name, i, size, True) for i, name in enumerate(columns))]
    parts += [_word(name, i, size, False) for i, name in enumerate(names)]
    for (annotated, called), count in counts.items():
        place = names.index(annotated), columns.index(called or _MISSED)
        parts.append(_cell(annotated, called, count, totals[annotated], place, size))
    shown = height + 1 - blank
    box = f'viewBox="0 {blank} {width + 1} {shown}" width="{width + 1}" height="{shown}"'
    return f"<svg class=chart {box}>{''.join(parts)}</svg>"


def _cell(annotated: str, called: str | None, count: int, total: int, place: tuple[int, int], size: int) -> str:
    y, x = (_EDGE + index * size for index in place)
    kind = "right" if annotated == called else "wrong"
    text = f"{annotated} {f'called {called}' if called else _MISSED}: {count} of {total}"
    return (
        f"<g><title>{escape(text)}</title><rect class={kind} x='{x}' y='{y}' width='{size}' height='{size}' "
        f"fill-opacity='{0.12 + 0.5 * count / total:.2f}'/>"
        f"<text class=count x='{x + size / 2:g}' y='{y + size / 2 + 3.5:g}'>{count}</text></g>"
    )


def _grid(rows: int, columns: int, size: int) -> str:
    """Draw lines between all cells."""
    right, bottom = _EDGE + columns * size, _EDGE + rows * size
    across = "".join(f"M{_EDGE} {_EDGE + i * size}H{right}" for i in range(rows + 1))
    down = "".join(f"M{_EDGE + i * size} {_EDGE}V{bottom}" for i in range(columns + 1))
    return f"<path class=grid fill=none d='{across}{down}'/>"


def _word(name: str, index: int, size: int, above: bool) -> str:
    """Write a name above its column, or left of its row; above narrow columns it stands upright."""
    middle = _EDGE + (index + 0.5) * size
    if not above:
        return f"<text class=tick x='{_EDGE - 6}' y='{middle + 4:g}' text-anchor=end>{escape(name)}</text>"
    if size == _DISC_CELL:
        return f"<text class=tick x='{middle:g}' y='{_EDGE - 6}' text-anchor=middle>{escape(name)}</text>"
    return f"<text class=tick transform='translate({middle + 4:g} {_EDGE - 6}) rotate(-90)'>{escape(name)}</text>"
