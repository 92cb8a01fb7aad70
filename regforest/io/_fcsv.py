"""Point lists of older versions of 3D Slicer (.fcsv), read only."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from regforest.errors import FileError, FrameError
from regforest.io._records import ADVICE, Record, from_voxels, read_text, to_landmarks
from regforest.io._slicer import SIGNS, signed
from regforest.spatial import Grid, Landmarks

_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
# versions of Slicer before 4.11 wrote numbers; IJK are indices of a volume that the file does not name
_SYSTEMS = {"RAS": "RAS", "LPS": "LPS", "IJK": "IJK", "0": "RAS", "1": "LPS", "2": "IJK"}


def read_fcsv(path: Path, grid: Grid | None) -> Landmarks:
    """Read RAS or LPS millimetres, or voxel indices (IJK) with the image's grid, as the second line says."""
    lines = read_text(path).splitlines()
    header = dict(_header_fields(lines))
    found = header.get("CoordinateSystem", "none")
    system = _SYSTEMS.get(found.upper())
    if system is None:
        advice = "say in a line '# CoordinateSystem = LPS' (or RAS) which it is"
        raise FileError(path, "a CoordinateSystem LPS, RAS, 0 or 1", found, advice)
    records = _records(path, lines, header.get("columns", _COLUMNS).split(","))
    if system != "IJK":
        turned = (record._replace(point=signed(record.point, SIGNS[system])) for record in records)
        return to_landmarks(path, turned)
    if grid is None:
        raise FrameError(f"{path}: its points are voxel indices; give the image they belong to (--reference)")
    return from_voxels(path, to_landmarks(path, records, "grid"), grid)


def _header_fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("#"):
            key, _, value = line.removeprefix("#").partition("=")
            yield key.strip(), value.strip()


def _records(path: Path, lines: list[str], columns: list[str]) -> Iterator[Record]:
    missing = {"x", "y", "z", "label"} - set(columns)
    if missing:
        raise FileError(path, f"the columns {', '.join(sorted(missing))}", ", ".join(columns), ADVICE)
    for number, line in enumerate(lines, start=1):
        if line.startswith("#") or not line.strip():
            continue
        row = dict(zip(columns, next(csv.reader([line])), strict=False))
        point = [_number_or_text(row.get(axis)) for axis in "xyz"]
        yield Record(f"line {number}", row.get("label", ""), point)


def _number_or_text(text: str | None) -> float | str | None:
    try:
        return float(text or "")
    except ValueError:
        return text  # reported, with its line, where records are checked
