"""Files of chains: annotated bodies, and what a detector found in the same scans."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regforest.errors import FileError, LevelError
from regforest.spatial import Landmarks, level
from regforest.vertebrae.chain_context import RegionDetections

__all__ = ["ChainScan", "read_scans"]

_ADVICE = "correct it in the file"
_DETECTION_COLUMNS = ("x", "y", "z", "score_cervical", "score_thoracic", "score_lumbar")


@dataclass(frozen=True)
class ChainScan:
    """One scan: its true chain and what the detector gave."""

    name: str
    patient: str
    truth: Landmarks
    detections: RegionDetections


def read_scans(truth: Path, detections: Path) -> list[ChainScan]:
    """Read a pair of files; a scan without detections has none, one without truth is left out."""
    points: dict[str, dict[str, list[float]]] = {}
    patients: dict[str, str] = {}
    for row in _rows(truth, ("scan", "patient", "level", "x", "y", "z")):
        chain, name = points.setdefault(row["scan"], {}), _level_name(truth, row)
        if name in chain:
            raise FileError(truth, "each level of a scan once", f"scan {row['scan']}: {name} again", _ADVICE)
        chain[name] = _numbers(truth, row, ("x", "y", "z"))
        patients[row["scan"]] = row["patient"]
    found: dict[str, list[list[float]]] = {name: [] for name in points}
    for row in _rows(detections, ("scan", *_DETECTION_COLUMNS)):
        if row["scan"] in found:
            found[row["scan"]].append(_numbers(detections, row, _DETECTION_COLUMNS))
    scans = []
    for name in sorted(points):
        table = np.array(found[name], dtype=np.float64).reshape(-1, 6)
        detected = RegionDetections(table[:, :3], table[:, 3:])
        scans.append(ChainScan(name, patients[name], Landmarks(points[name]), detected))
    if not scans:
        raise FileError(truth, "at least one scan", "none")
    return scans


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            table = csv.DictReader(file)
            missing = [name for name in columns if name not in (table.fieldnames or ())]
            if missing:
                raise FileError(path, f"the columns {', '.join(columns)}", f"no {', '.join(missing)}")
            for row in table:
                if None in row.values():
                    raise FileError(path, "a cell for each column", f"a short row in line {table.line_num}", _ADVICE)
                yield row
    except (OSError, UnicodeDecodeError, EOFError, csv.Error, zlib.error) as error:
        raise FileError(path, "a csv or csv.gz file", str(error)) from error


def _numbers(path: Path, row: Mapping[str, str], columns: Sequence[str]) -> list[float]:
    found = [row[name] for name in columns]
    try:
        numbers = [float(text) for text in found]
    except (TypeError, ValueError):
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise FileError(path, f"numbers in {', '.join(columns)}", f"scan {row['scan']}: {found}", _ADVICE)
    return numbers


def _level_name(path: Path, row: Mapping[str, str]) -> str:
    try:
        return level(row["level"]).name
    except LevelError as error:
        raise FileError(path, "the name of a level", f"scan {row['scan']}: {error}", _ADVICE) from error
