"""The sheet ``UWSpineCT-meta-data.xlsx`` that the Annotated Spine CT Database's page links: facts about the scans.

A title stands in its first row, the column names in the next, one of them "Scan ID". Reading it needs openpyxl, the
extra ``sheets``; the data set is complete without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from regforest.errors import DataError, FileError

__all__ = ["SHEET_NAME", "find_sheet", "read_scan_sheet"]

SHEET_NAME = "UWSpineCT-meta-data.xlsx"
"""Its name on the page of the data set."""

_ID_COLUMN = "scan id"
_HEAD_ROWS = 10  # the column names stand in the second one; room for another line or two above
_ADVICE = "download it again or take it out of the folder; it is not needed"


def find_sheet(root: Path) -> Path | None:
    """Return the sheet in a folder or directly above it (above ``spine-1``, say), whatever its case; else None."""
    for folder in (root, root.resolve().parent):
        try:
            found = [path for path in sorted(folder.iterdir()) if path.name.lower() == SHEET_NAME.lower()]
        except OSError:
            continue
        if found:
            return found[0]
    return None


def read_scan_sheet(path: Path) -> dict[str, dict[str, str]]:
    """Read the facts about each scan.

    Parameters
    ----------
    path : Path
        The sheet; only the first one of several in the file is read.

    Returns
    -------
    dict of str to dict
        Scan id -> column -> text, empty cells left out. A scan in several rows has their texts, "; " between.

    Raises
    ------
    DataError
        If openpyxl is not installed.
    FileError
        If the file cannot be read, or has no column "Scan ID".
    """
    head: list[str] = []
    scans: dict[str, dict[str, str]] = {}
    for number, row in enumerate(_rows(path)):
        cells = [_text(cell) for cell in row]
        if not head and number < _HEAD_ROWS and _ID_COLUMN in [cell.lower() for cell in cells]:
            head = cells
        elif head:
            _add(scans, head, cells)
    if not head:
        raise FileError(path, 'a column "Scan ID" in one of the first rows', "none", _ADVICE)
    return scans


def _rows(path: Path) -> list[Sequence[Any]]:
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError(
            f"{path.name}: reading it needs openpyxl, pip install 'regforest[sheets]'; going on without it"
        ) from error
    try:
        with closing(openpyxl.load_workbook(path, read_only=True, data_only=True)) as book:
            return list(book.worksheets[0].iter_rows(values_only=True))
    except Exception as error:  # openpyxl promises no kinds of errors for damaged files
        raise FileError(path, "an Excel sheet", f"{type(error).__name__}: {error}", _ADVICE) from error


def _add(scans: dict[str, dict[str, str]], head: Sequence[str], cells: Sequence[str]) -> None:
    """Enter one row of the sheet; rows without an id are remarks of people, not scans."""
    facts = {name: cell for name, cell in zip(head, cells, strict=False) if name and cell}
    name = next((cell for column, cell in facts.items() if column.lower() == _ID_COLUMN), "")
    if not name.isdigit():
        return
    entry = scans.setdefault(name, {})
    for column, cell in facts.items():
        if column.lower() != _ID_COLUMN and cell not in entry.get(column, "").split("; "):
            entry[column] = "; ".join(filter(None, [entry.get(column, ""), cell]))


def _text(cell: object) -> str:
    """Text of a cell; numbers without the ``.0`` that the format gives whole ones."""
    whole = isinstance(cell, float) and cell.is_integer()
    return "" if cell is None else " ".join(str(int(cell) if whole else cell).split())  # type: ignore[call-overload]
