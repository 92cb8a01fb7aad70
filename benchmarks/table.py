"""The table, for the screen and for RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["HEADER", "cells", "markdown", "text"]

Record = dict[str, Any]

HEADER = ("what", "against", "ratio (range)", "ours", "peer", "goal (stretch)", "reached", "peak MB")


def cells(row: Record) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row["what"], row["peer_name"] or "", _measured(row), _seconds(row["ours"]), _seconds(row["peer"]), _goal(row),
        row["reached"] or "", "" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}",
    )  # fmt: skip


def text(rows: Iterable[Record]) -> str:
    """The table for a screen, notes below the rows they belong to."""
    records = list(rows)
    lines = [HEADER, *map(cells, records)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out = [_line(HEADER, widths), _line(["-" * width for width in widths], widths)]
    for row in records:
        out.append(_line(cells(row), widths))
        if row["note"]:
            out.append(f"    {row['note']}")
    return "\n".join(out)


def markdown(rows: Iterable[Record]) -> str:
    """The table for a page, with the notes in a column."""
    lines = [(*HEADER, "note"), ["---"] * (len(HEADER) + 1)]
    lines += [(*cells(row), row["note"] or "") for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _line(parts: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()


def _measured(row: Record) -> str:
    if row["ratio"]:
        ratio = row["ratio"]
        return f"{ratio['median']:.2f}x ({ratio['min']:.2f}-{ratio['max']:.2f})"
    return "" if row["value"] is None else f"{row['value']:.3g} {row['unit']}"


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def _goal(row: Record) -> str:
    if row["goal"] is None:
        return ""
    stretch = "" if row["stretch"] is None else f" ({row['stretch']:g})"
    return f"{row['goal']:.3g}{stretch}"
