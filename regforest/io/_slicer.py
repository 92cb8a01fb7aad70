"""Markups of 3D Slicer (.mrk.json)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regforest.errors import FileError
from regforest.io._atomic import write_json
from regforest.io._records import Record, read_json, three, to_landmarks
from regforest.spatial import Landmarks

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
SIGNS = {"LPS": (1, 1, 1), "RAS": (-1, -1, 1)}
"""What turns a coordinate system of Slicer into LPS."""

_SCORE = re.compile(r"score (\S+)")
# Slicer has one colour for a list of points: it, and names large enough to read beside the points
_DISPLAY = {
    "visibility": True,
    "opacity": 1.0,
    "color": [0.9, 0.75, 0.2],
    "selectedColor": [0.95, 0.45, 0.15],
    "pointLabelsVisibility": True,
    "textScale": 3.0,
    "glyphType": "Sphere3D",
    "glyphScale": 2.0,
}


def read_slicer(path: Path) -> Landmarks:
    """Read control points of all markups in the file, LPS or RAS as each one states; undefined points are skipped."""
    return to_landmarks(path, _records(path, read_json(path)))


def write_slicer(landmarks: Landmarks, path: Path) -> None:
    """Write one list of named points in LPS, exactly; scores go into the descriptions."""
    points = [
        {
            "id": str(number),
            "label": name,
            "description": "" if np.isnan(score) else f"score {float(score)!r}",
            "position": point.tolist(),
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, (name, point, score) in enumerate(
            zip(landmarks.names, landmarks.points_lps_mm, landmarks.scores, strict=True), start=1
        )
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "labelFormat": "%N-%d",
        "controlPoints": points,
        "measurements": [],
        "display": _DISPLAY,
    }
    write_json(path, {"@schema": _SCHEMA, "markups": [markup]})


def _records(path: Path, content: Any) -> Iterator[Record]:
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(markup, dict) for markup in markups):
        raise FileError(path, 'markups of 3D Slicer (a list under "markups")', "none", "export it from 3D Slicer")
    for markup in markups:
        system, points = markup.get("coordinateSystem"), markup.get("controlPoints", [])
        if not isinstance(system, str) or system not in SIGNS:
            raise FileError(path, 'a coordinateSystem "LPS" or "RAS"', f"{system!r}", "say which of the two it is")
        _check_units(path, markup.get("coordinateUnits", "mm"))
        if not isinstance(points, list):
            raise FileError(path, "a list of controlPoints", f"{points!r}", "export it again from 3D Slicer")
        for number, point in enumerate(points, start=1):
            where = f"control point {number}"
            if not isinstance(point, dict):
                raise FileError(path, "an object", f"{point!r} as {where}", "export it again from 3D Slicer")
            if point.get("positionStatus", "defined") != "defined":
                continue
            position = three(path, where, point.get("position"))
            score = _SCORE.fullmatch(str(point.get("description", "")))
            yield Record(
                where, str(point.get("label", "")), signed(position, SIGNS[system]), score and score.group(1)
            )


def _check_units(path: Path, units: object) -> None:
    """Raise `FileError` unless the units are millimetres, written as text or as the list of a code."""
    if (units[0] if isinstance(units, list) and units else units) != "mm":
        raise FileError(path, 'coordinateUnits "mm"', f"{units!r}", "convert the points to millimetres")


def signed(position: Sequence[Any], signs: tuple[int, int, int]) -> list[Any]:
    """Give each coordinate its sign; what is no number passes as it is and is reported later."""
    return [sign * x if type(x) in (int, float) else x for sign, x in zip(signs, position, strict=True)]
