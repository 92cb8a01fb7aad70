"""What all landmark formats share: records of a name, three numbers and a score, checked in one place."""

from __future__ import annotations

import codecs
import json
import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regforest.errors import FileError, LevelError
from regforest.io._names import require_file
from regforest.spatial import Grid, Landmarks, level

ADVICE = "correct it in the file"
_log = logging.getLogger(__name__)
_MAX_MM = 1e6  # a kilometre: no place in a scan; the square of far larger numbers would overflow


class Record(NamedTuple):
    """One landmark as found in a file; `where` names its line or entry for messages."""

    where: str
    name: str
    point: Sequence[Any]
    score: Any = None


def read_text(path: Path) -> str:
    """Read a text file of any encoding that keeps ASCII, or UTF-16; raises `FileError` if it cannot be read."""
    require_file(path, "a text file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(path, "a readable file", error.strerror or str(error), "check its rights") from error
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")


def separator_of(line: str) -> str:
    """Tell what stands between the columns of a table from its first line: a comma, a semicolon or a tab.

    Examples
    --------
    >>> separator_of("case;patient")
    ';'
    """
    return max(",;\t", key=line.count)


def read_json(path: Path) -> Any:
    """Parse a JSON file; raises `FileError` where it is damaged (with line and column) or has a key twice."""
    try:
        return json.loads(read_text(path), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise FileError(path, "valid JSON", str(error), "correct it, or copy it again from its source") from error


def parsed_object(text: str | bytes) -> dict[str, Any] | None:
    """Parse a JSON object that a run left behind; None where it is damaged, cut short or something else.

    Examples
    --------
    >>> parsed_object('{"event": "begun"}'), parsed_object('{"event": "beg')
    ({'event': 'begun'}, None)
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, of which JSON would let the last of two values for one key count."""
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {repeated!r} twice in one object")
    return content


def to_landmarks(path: Path, records: Iterable[Record], frame: str = "LPS") -> Landmarks:
    """Check records and collect them; what stands after ``_`` in a name is left out."""
    points: dict[str, list[float]] = {}
    scores: dict[str, float] = {}
    for record in records:
        name = _level_name(path, record)
        if name in points:
            raise FileError(path, "each level once", f"{name} again in {record.where}", ADVICE)
        point = zip("xyz", record.point, strict=True)
        points[name] = [_coordinate(path, record, axis, value) for axis, value in point]
        if record.score not in (None, ""):
            scores[name] = _number(path, record, "score", record.score)
    return Landmarks(points, scores, frame)


def three(path: Path, where: str, values: object) -> Sequence[Any]:
    """Return a list of three values, or raise `FileError` naming the entry."""
    if not isinstance(values, list) or len(values) != 3:
        raise FileError(path, "three coordinates", f"{values!r} in {where}", ADVICE)
    return values


def from_voxels(path: Path, landmarks: Landmarks, grid: Grid) -> Landmarks:
    """Turn voxel indices of an image into LPS millimetres, and warn of points that lie outside of it."""
    placed = landmarks.mapped(grid.index_to_lps, "LPS")
    outside = [name for name, fine in zip(placed, grid.contains(placed.points), strict=True) if not fine]
    if outside:
        _log.warning("%s: %s outside of the image; does it belong to these points?", path, ", ".join(outside))
    return placed


def _level_name(path: Path, record: Record) -> str:
    try:
        return level(str(record.name).partition("_")[0]).name
    except LevelError as error:
        raise FileError(
            path, "the name of a level", f"{record.name!r} in {record.where} ({error})", ADVICE
        ) from error


def _coordinate(path: Path, record: Record, axis: str, value: object) -> float:
    number = _number(path, record, axis, value)
    if abs(number) > _MAX_MM:
        raise FileError(path, f"millimetres for {axis}", f"{value!r} in {record.where}", ADVICE)
    return number


def _number(path: Path, record: Record, what: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise FileError(path, f"a number for {what}", f"{value!r} in {record.where}", ADVICE)
    return number
