"""Points in LPS millimetres as plain JSON and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regforest.errors import FileError, FrameError
from regforest.io._atomic import write_json, write_text
from regforest.io._records import ADVICE, Record, from_voxels, read_text, separator_of, three, to_landmarks
from regforest.spatial import Grid, Landmarks

FRAME = "LPS mm"
_COORDINATES = ("x_mm", "y_mm", "z_mm")
_INDICES = ("index_i", "index_j", "index_k")


def read_points(path: Path, content: dict[str, Any]) -> Landmarks:
    """Read ``{"frame": "LPS mm", "points": {name: [x, y, z]}}`` with optional ``"scores"``.

    What a list ``"cut"`` names is left out: bodies cut by the border have no centre to go by.
    """
    _check_frame(path, content)
    points, scores = content.get("points"), content.get("scores", {})
    if not isinstance(points, dict) or not isinstance(scores, dict):
        raise FileError(path, 'an object under "points"', f"{type(points).__name__}", ADVICE)
    cut = content.get("cut", [])
    if not isinstance(cut, list):
        raise FileError(path, 'a list under "cut"', f"{cut!r}", ADVICE)
    records = (
        Record(repr(name), name, three(path, repr(name), point), scores.get(name))
        for name, point in points.items()
        if name not in cut
    )
    return to_landmarks(path, records)


def write_points(landmarks: Landmarks, path: Path) -> None:
    """Write the ``landmarks.json`` of a labelled folder."""
    points = {name: landmarks[name].tolist() for name in landmarks}
    scores = {name: landmarks.score(name) for name in landmarks if not np.isnan(landmarks.score(name))}
    content: dict[str, Any] = {"frame": FRAME, "points": points}
    if scores:
        content["scores"] = scores
    write_json(path, content)


def read_result(path: Path, content: dict[str, Any]) -> Landmarks:
    """Read the ``<stem>.json`` of `regforest label` and `discs`."""
    _check_frame(path, content)
    return to_landmarks(path, _result_records(path, content["levels"]))


def read_table(path: Path, grid: Grid | None) -> Landmarks:
    """Read a CSV with the columns name, x_mm, y_mm, z_mm (LPS) and, if present, score.

    Without millimetres, the columns index_i, index_j, index_k are read, which need the grid they count on. Columns
    may be separated by semicolons (numbers with a decimal comma, as spreadsheets write both) or tabs.
    """
    text = read_text(path)
    separator = separator_of(text.partition("\n")[0])
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        place = _place(path, reader.fieldnames)
        records = _table_records(reader, place, "," if separator == ";" else ".")
        if place == _COORDINATES:
            return to_landmarks(path, records)
        if grid is None:
            raise FrameError(f"{path}: its points are voxel indices; give the image they belong to (--reference)")
        return from_voxels(path, to_landmarks(path, records, "grid"), grid)
    except csv.Error as error:
        raise FileError(path, "a table of points", f"{error} in line {reader.line_num}", ADVICE) from error


def write_table(landmarks: Landmarks, path: Path, grid: Grid | None) -> None:
    """Write a CSV; with a grid also the voxel indices i, j, k along its x, y, z axes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *_COORDINATES, *(_INDICES if grid else ()), "score"])
    for name, point, score in zip(landmarks.names, landmarks.points_lps_mm, landmarks.scores, strict=True):
        numbers = [*point, *(grid.lps_to_index(point) if grid else ())]
        writer.writerow([name, *map(float, numbers), "" if np.isnan(score) else float(score)])
    write_text(path, text.getvalue())


def _place(path: Path, columns: Sequence[str]) -> tuple[str, str, str]:
    """Return the columns that hold the coordinates."""
    in_voxels = set(columns).isdisjoint(_COORDINATES) and set(columns).issuperset(_INDICES)
    place = _INDICES if in_voxels else _COORDINATES
    missing = [name for name in ("name", *place) if name not in columns]
    if missing:
        found = f"{', '.join(columns) or 'none'}"
        raise FileError(path, f"the columns {', '.join(missing)} (LPS millimetres)", found, "add a line with names")
    if repeated := [name for name in ("name", *place, "score") if list(columns).count(name) > 1]:
        raise FileError(path, "each column once", f"{', '.join(repeated)} again", ADVICE)
    return place


def _table_records(reader: csv.DictReader[str], place: tuple[str, str, str], decimal_mark: str) -> Iterator[Record]:
    for row in reader:
        name, *numbers = ((row.get(key) or "").strip() for key in ("name", *place, "score"))
        if name or any(numbers):  # spreadsheets write rows of nothing
            *point, score = (number.replace(decimal_mark, ".") for number in numbers)
            yield Record(f"line {reader.line_num}", name, point, score)


def _check_frame(path: Path, content: dict[str, Any]) -> None:
    if content.get("frame") != FRAME:
        raise FileError(
            path, f'"frame": "{FRAME}"', f"{content.get('frame')!r}", "convert the points to LPS millimetres"
        )


def _result_records(path: Path, levels: object) -> Iterator[Record]:
    for number, entry in enumerate(levels if isinstance(levels, list) else [levels], start=1):
        where = f"level {number}"
        if not isinstance(entry, dict) or "level" not in entry:
            raise FileError(path, "an object with level and point", f"{entry!r} as {where}", ADVICE)
        yield Record(where, entry["level"], three(path, where, entry.get("point")), entry.get("score"))
