"""Centroid files of the VerSe data sets, in both variants.

Subject-based files (``*_ctd.json``) begin with ``{"direction": ["P", "I", "R"]}`` and hold voxel indices of the
image turned to these axes; the letters say where an axis points to. Files of the challenge (``*_iso-ctd.json``)
lack that entry and hold millimetres along P, I and R from the first voxel. (Readme files of VerSe'20.)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.errors import FileError, FrameError, LevelError
from regforest.io._atomic import write_text
from regforest.io._records import ADVICE, Record, from_voxels, read_json, to_landmarks
from regforest.spatial import Grid, Landmarks, level, level_of_number

_CHALLENGE_DIRECTION = "PIR"
_OPPOSITE = dict(zip("LPSRAI", "RAILPS", strict=True))
_COCCYX = 27
_log = logging.getLogger(__name__)


def read_verse(path: Path, grid: Grid | None) -> Landmarks:
    """Read either variant; both count voxels of an image, so its grid is needed to know where they are."""
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FileError(path, "a list of centroids as in VerSe", type(entries).__name__, ADVICE)
    directions = [entry["direction"] for entry in entries if "direction" in entry]
    if any(direction != directions[0] for direction in directions):
        raise FileError(path, "one direction", " and ".join(map(repr, directions)), ADVICE)
    if grid is None:
        raise FrameError(f"{path}: VerSe centroids are voxel indices; give the image they belong to (--reference)")
    code = _direction(path, directions[0]) if directions else _CHALLENGE_DIRECTION
    raw = to_landmarks(path, _records(path, entries), "grid")
    turned = raw.mapped(lambda points: _to_grid_axes(points, code, grid, in_mm=not directions))
    return from_voxels(path, turned, grid)


def write_verse(landmarks: Landmarks, path: Path, grid: Grid | None) -> None:
    """Write the subject-based variant: voxel indices along the grid's own axes."""
    if grid is None:
        raise FrameError(f"{path}: VerSe centroids are voxel indices; give the image they belong to (--reference)")
    ambiguous = [name for name in landmarks if level_of_number(level(name).number).name != name]
    if ambiguous:
        raise FileError(path, "levels with a number of their own", ", ".join(ambiguous), "write .csv or .mrk.json")
    rows = [
        {"label": level(name).number} | dict(zip("XYZ", index.tolist(), strict=True))
        for name, index in zip(landmarks.names, grid.lps_to_index(landmarks.points_lps_mm), strict=True)
    ]
    write_text(path, json.dumps([{"direction": list(grid.axis_code)}, *rows]) + "\n")


def _direction(path: Path, letters: object) -> str:
    code = "".join(map(str, letters)) if isinstance(letters, list) else ""
    if sorted(min(letter, _OPPOSITE.get(letter, "?")) for letter in code) != ["A", "I", "L"]:
        raise FileError(path, 'three axes as ["P", "I", "R"]', f"{letters!r} as direction", ADVICE)
    return code


def _records(path: Path, entries: list[dict[str, Any]]) -> Iterator[Record]:
    for number, entry in enumerate(entries, start=1):
        if "direction" in entry:
            continue
        where = f"entry {number}"
        if not {"label", "X", "Y", "Z"} <= entry.keys():
            raise FileError(path, "label, X, Y and Z", f"{entry!r} as {where}", ADVICE)
        if entry["label"] == _COCCYX or any(value != value for value in entry.values()):
            _log.warning("%s: %s is the coccyx or has no coordinates: left out", path, where)
            continue
        try:
            name = level_of_number(_whole(entry["label"])).name
        except (LevelError, TypeError, ValueError, OverflowError) as error:
            found = f"{entry['label']!r} in {where} ({error})"
            raise FileError(path, "VerSe's number of a vertebra", found, ADVICE) from error
        yield Record(where, name, [entry["X"], entry["Y"], entry["Z"]])


def _whole(label: Any) -> int:
    if isinstance(label, bool) or (isinstance(label, float) and not label.is_integer()):
        raise ValueError("no whole number")
    return int(label)


def _to_grid_axes(points: NDArray[np.float64], code: Sequence[str], grid: Grid, in_mm: bool) -> NDArray[np.float64]:
    """Turn voxel indices (or millimetres) along `code` into indices on the grid, shape (N, 3)."""
    index = np.empty_like(points)
    for axis, letter in enumerate(grid.axis_code):
        same = letter in code
        column = points[:, code.index(letter if same else _OPPOSITE[letter])]
        steps = column / grid.spacing_mm[axis] if in_mm else column
        index[:, axis] = steps if same else grid.size_xyz[axis] - 1 - steps
    return index
