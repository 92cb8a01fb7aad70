"""What the values of a label image mean, for other programs: ITK-SNAP, 3D Slicer, BIDS."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from regforest.errors import FileError, LevelError
from regforest.io._atomic import write_text
from regforest.io._records import ADVICE, read_text
from regforest.spatial import level

__all__ = ["read_bids_labels", "write_bids_labels", "write_label_tables"]

_INDEX = re.compile(r"\d{1,18}")  # no label image has larger numbers

_ITK_SNAP_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
"""


def write_label_tables(names: Mapping[int, str], stem: str | Path) -> None:
    """Write names and colours of labels beside a segmentation, for the two programs that show it.

    Parameters
    ----------
    names : mapping of int to str
        Value in the label image -> level.
    stem : str or Path
        Path of the label image without its suffix; ``<stem>.itksnap.txt`` (label descriptions of ITK-SNAP) and
        ``<stem>.ctbl`` (colour table of 3D Slicer) are written.

    Raises
    ------
    FileError
        If the place cannot be written to.
    """
    rows = list(_rows(names))
    itk_snap = "".join(f'{value:5} {r:5} {g:4} {b:4}        1  1  1    "{name}"\n' for value, name, (r, g, b) in rows)
    write_text(f"{stem}.itksnap.txt", _ITK_SNAP_HEADER + itk_snap)
    slicer = "".join(f"{value} {name} {r} {g} {b} 255\n" for value, name, (r, g, b) in rows)
    write_text(f"{stem}.ctbl", f"# Color table file {Path(stem).name}.ctbl\n0 background 0 0 0 0\n{slicer}")


def write_bids_labels(names: Mapping[int, str], path: str | Path) -> None:
    """Write the table ``<entities>_dseg.tsv`` of a BIDS segmentation: index, name and colour."""
    lines = [f"{value}\t{name}\t#{r:02x}{g:02x}{b:02x}\n" for value, name, (r, g, b) in _rows(names)]
    write_text(path, "index\tname\tcolor\n" + "".join(lines))


def read_bids_labels(path: str | Path) -> dict[int, str]:
    """Read index and name of a ``dseg.tsv``; rows that name no level (background, cord) are left out.

    Raises
    ------
    FileError
        If the file cannot be read, lacks a column, or a level's index is no whole number above 0.
    """
    file = Path(path)
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), delimiter="\t")
    try:
        if not {"index", "name"} <= set(reader.fieldnames or ()):
            found = ", ".join(reader.fieldnames or ()) or "none"
            raise FileError(file, "the columns index and name, separated by tabs", found, ADVICE)
        return dict(_levels(file, reader))
    except csv.Error as error:
        raise FileError(file, "a table of labels", f"{error} in line {reader.line_num}", ADVICE) from error


def _levels(file: Path, reader: csv.DictReader[str]) -> Iterator[tuple[int, str]]:
    for row in reader:
        try:
            name = level(row["name"] or "").name
        except LevelError:
            continue
        index = row["index"] or ""
        if not _INDEX.fullmatch(index) or not int(index):
            raise FileError(file, "a whole number above 0", f"{index[:20]!r} in line {reader.line_num}", ADVICE)
        yield int(index), name


def _rows(names: Mapping[int, str]) -> Iterator[tuple[int, str, tuple[int, int, int]]]:
    for value in sorted(names):
        red, green, blue = (round(255 * part) for part in level(names[value]).colour)
        yield value, names[value], (red, green, blue)
