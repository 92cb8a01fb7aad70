"""LML, the landmark text of the Annotated Spine CT Database: grid millimetres, one vertebra a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from regforest.errors import FileError
from regforest.io._atomic import write_text
from regforest.io._records import ADVICE, Record, read_text, to_landmarks
from regforest.spatial import PAPER_LEVELS, Grid, Landmarks

_HEADER = "id\tname\tx\ty\tz"
# annotators clicked a little outside the first voxel (-0.75 mm was seen); further out is an error of another kind
_MAX_CLAMP_MM = 2.0
LML_IDS = {name: 10 * (i + 1) for i, name in enumerate(PAPER_LEVELS)} | {"T13": 195, "L6": 245}
"""Number of each vertebra, as in the database: 10 for C1 to 260 for S2; others lie between."""

_DISC_ID_OFFSET = 1000


def read_lml(path: Path, grid: Grid | None) -> Landmarks:
    """Read grid millimetres; with the scan's grid they become LPS and slightly negative ones are moved to 0."""
    landmarks = to_landmarks(path, (record for _, record in _lines(path, read_text(path))), "grid")
    if grid is None:
        return landmarks
    return landmarks.mapped(lambda mm: np.where((mm < 0) & (mm >= -_MAX_CLAMP_MM), 0.0, mm)).to_lps(grid)


def write_lml(landmarks: Landmarks, path: Path) -> None:
    """Write landmarks of the frame "grid"; ids as in the database, 195 for T13, 245 for L6."""
    rows = [
        "\t".join([str(_id(name)), name, *map(repr, point.tolist())])
        for name, point in zip(landmarks.names, landmarks.points, strict=True)
    ]
    write_text(path, "\n".join([_HEADER, *rows]) + "\n")


def lml_remarks(path: str | Path) -> list[str]:
    """Name the lines of an LML file whose number contradicts the name, which is what counts.

    Only files that number their levels as the database does (10 for C1 to 260 for S2), a few lines apart, are judged.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list of str
        Remarks; empty when numbers and names agree.

    Raises
    ------
    FileError
        If the file cannot be read.
    """
    file = Path(path)
    lines = list(_lines(file, read_text(file)))
    usual = {str(number): name for name, number in LML_IDS.items()}
    wrong = [
        f"number {number} in {record.where} is that of {usual[number]}, the name says {record.name}: the name counts"
        for number, record in lines
        if number in usual and usual[number] != record.name.partition("_")[0].strip().upper()
    ]
    return wrong if 2 * len(wrong) < len(lines) else []


def _id(name: str) -> int:
    upper, _, lower = name.partition("/")
    return LML_IDS[upper] + (_DISC_ID_OFFSET if lower else 0)


def _lines(path: Path, text: str) -> Iterator[tuple[str, Record]]:
    """Yield number and record of each line."""
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
        fields = [field for field in fields if field]
        if not fields or (number == 1 and not _looks_like_record(fields)):
            continue
        if len(fields) < 5:
            raise FileError(path, "id, name, x, y, z", f"{line.strip()!r} in line {number}", ADVICE)
        yield fields[0], Record(f"line {number}", fields[1], fields[2:5])


def _looks_like_record(fields: list[str]) -> bool:
    """Tell a record, also one with a wrong name or number, from the header line, which some files lack."""
    return len(fields) >= 5 and (fields[0].isdigit() or all(map(_is_number, fields[2:5])))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
