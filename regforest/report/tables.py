"""One table, for the screen and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["Table", "number", "percent"]

_LONG = 16  # letters of a row's name that is wrapped on a narrow screen


@dataclass(frozen=True)
class Table:
    """Rows with a name, and groups of columns.

    Attributes
    ----------
    title : str
        Line above the table.
    groups : sequence of (str, sequence of str)
        Title of each group and the names of its columns.
    rows : sequence of (str, sequence of sequence of str)
        Name of each row, and its cells group by group.
    notes : sequence of str
        Lines below: footnotes and remarks.

    Examples
    --------
    >>> print(Table("Errors", [("mm", ["mean", "std"])], [("all", [["1.0", "0.5"]])]).to_text())
    Errors
    <BLANKLINE>
         | mm
         | mean  std
    -----+----------
    all  |  1.0  0.5
    """

    title: str
    groups: Sequence[tuple[str, Sequence[str]]]
    rows: Sequence[tuple[str, Sequence[Sequence[str]]]]
    notes: Sequence[str] = field(default=())

    def to_text(self) -> str:
        """Return the table as aligned text."""
        names = max((len(name) for name, _ in self.rows), default=0) + 1
        blocks = [self._block(i) for i in range(len(self.groups))]
        lines = [self.title, ""]
        heads = ["", "", *(name for name, _ in self.rows)]
        for i, head in enumerate(heads):
            lines.append(" | ".join([head.ljust(names), *(block[i] for block in blocks)]).rstrip())
            if i == 1:
                lines.append("-+-".join(["-" * names, *("-" * len(block[0]) for block in blocks)]))
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])

    def to_html(self) -> str:
        """Return the table as HTML."""
        top = "".join(f'<th colspan="{len(columns)}">{escape(title)}</th>' for title, columns in self.groups)
        names = "".join(
            f"<th{_first(i)}>{escape(column)}</th>" for _, columns in self.groups for i, column in enumerate(columns)
        )
        body = "".join(
            f"<tr><th{' class=long' if len(name) > _LONG else ''}>{escape(name)}</th>"
            + "".join(f"<td{_first(i)}>{escape(cell)}</td>" for group in cells for i, cell in enumerate(group))
            + "</tr>"
            for name, cells in self.rows
        )
        notes = "".join(f"<p class=note>{escape(note)}</p>" for note in self.notes)
        head = f"<thead><tr><th></th>{top}</tr><tr><th></th>{names}</tr></thead>"
        return f"<div class=scroll><table>{head}<tbody>{body}</tbody></table></div>{notes}"

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        return self.to_html()

    def _block(self, group: int) -> list[str]:
        """Title, column names and cells of one group, all of one width."""
        title, columns = self.groups[group]
        lines = [list(columns), *(list(cells[group]) for _, cells in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        texts = ["  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines]
        width = max(len(title), len(texts[0]))
        return [title.ljust(width), *(text.ljust(width) for text in texts)]


def number(value: float | None, digits: int = 1) -> str:
    """Write a number with some digits; a dash where it is undefined."""
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction as a percentage; a dash where it is undefined."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def _first(column: int) -> str:
    return " class=first" if column == 0 else ""
