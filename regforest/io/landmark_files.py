"""Landmarks in and out: LML, 3D Slicer, VerSe, CSV and plain JSON; fcsv in."""

from __future__ import annotations

import difflib
from pathlib import Path

from regforest.errors import FileError, FrameError
from regforest.io._fcsv import read_fcsv
from regforest.io._lml import read_lml, write_lml
from regforest.io._names import split_name
from regforest.io._points import read_points, read_result, read_table, write_points, write_table
from regforest.io._records import read_json
from regforest.io._slicer import read_slicer, write_slicer
from regforest.io._verse import read_verse, write_verse
from regforest.spatial import Grid, Landmarks

__all__ = ["LANDMARK_SUFFIXES", "landmark_stem", "read_landmarks", "write_landmarks"]

LANDMARK_SUFFIXES: tuple[str, ...] = (".lml", ".mrk.json", ".csv", ".json", ".fcsv")
"""Suffixes of landmark files, in lower case; all can be read, all but ``.fcsv`` written."""

POINTS_FILE = "landmarks.json"


def read_landmarks(path: str | Path, grid: Grid | None = None) -> Landmarks:
    """Read landmarks of any known format; it follows from the suffix and, for ``.json``, from the content.

    Names are those of the level registry; what stands after ``_`` in a name is left out.

    Parameters
    ----------
    path : str or Path
        ``.lml`` (Annotated Spine CT Database), ``.mrk.json`` or ``.fcsv`` (3D Slicer, LPS or RAS), ``.csv`` (columns
        name, x_mm, y_mm, z_mm, score, or index_i, index_j, index_k in place of millimetres), or ``.json``: centroids
        of VerSe (both variants), ``landmarks.json`` of a labelled folder, or a result of `regforest label`.
    grid : Grid, optional
        Grid of the scan: needed where a file holds voxel indices, as VerSe's do. LML without it stays in the frame
        ``"grid"``; with it, coordinates down to -2 mm are moved to 0 and all become LPS.

    Returns
    -------
    Landmarks
        In the frame ``"LPS"``, or ``"grid"`` for LML read without a grid.

    Raises
    ------
    FileError
        If the file is missing, damaged, of an unknown kind, or holds unknown or repeated names or bad numbers; the
        message names the line or entry.
    FrameError
        If the format needs a grid and there is none.
    """
    file, suffix = Path(path), _suffix(path)
    if suffix == ".lml":
        return read_lml(file, grid)
    if suffix == ".mrk.json":
        return read_slicer(file)
    if suffix == ".csv":
        return read_table(file, grid)
    if suffix == ".fcsv":
        return read_fcsv(file, grid)
    content = read_json(file)
    if isinstance(content, list):
        return read_verse(file, grid)
    if isinstance(content, dict) and "markups" in content:
        return read_slicer(file)
    if isinstance(content, dict) and "levels" in content:
        return read_result(file, content)
    if isinstance(content, dict) and ("points" in content or "frame" in content):
        return read_points(file, content)
    raise FileError(file, "landmarks of 3D Slicer, VerSe or a labelled folder", "other JSON", "check the file")


def write_landmarks(landmarks: Landmarks, path: str | Path, grid: Grid | None = None) -> None:
    """Write landmarks; the format follows from the file name, the file appears whole or not at all.

    Coordinates are written with all their digits: reading them back gives the same numbers, bit for bit where the
    format holds the landmarks' own frame.

    Parameters
    ----------
    landmarks : Landmarks
        In either frame; a grid converts between them.
    path : str or Path
        ``.lml``, ``.mrk.json``, ``.csv``, ``landmarks.json`` (labelled folder) or any other ``.json`` (VerSe,
        subject-based variant: voxel indices).
    grid : Grid, optional
        Grid of the scan: needed to write LML from LPS millimetres (or the reverse) and for VerSe; adds the voxel
        indices to a CSV.

    Raises
    ------
    FrameError
        If the format needs another frame and there is no grid.
    FileError
        If the suffix is unknown or the place cannot be written to.
    """
    file, suffix = Path(path), _suffix(path)
    if suffix == ".fcsv":
        raise FileError(
            file, "a format that is written", ".fcsv, which is only read", "write .mrk.json for 3D Slicer"
        )
    wanted = "grid" if suffix == ".lml" else "LPS"
    if landmarks.frame != wanted:
        if grid is None:
            advice = "give the image they belong to (--reference)"
            raise FrameError(f"{file}: landmarks in the frame {landmarks.frame!r}, {wanted!r} is needed; {advice}")
        landmarks = landmarks.to_grid(grid) if wanted == "grid" else landmarks.to_lps(grid)
    if suffix == ".lml":
        write_lml(landmarks, file)
    elif suffix == ".mrk.json":
        write_slicer(landmarks, file)
    elif suffix == ".csv":
        write_table(landmarks, file, grid)
    elif file.name.lower() == POINTS_FILE:
        write_points(landmarks, file)
    else:
        write_verse(landmarks, file, grid)


def landmark_stem(path: str | Path) -> str:
    """Name of a landmark file without its suffix: ``"a"`` for ``"dir/a.mrk.json"``."""
    return split_name(path, LANDMARK_SUFFIXES)[0]


def _suffix(path: str | Path) -> str:
    suffix = split_name(path, LANDMARK_SUFFIXES)[1]
    if not suffix:
        found = "".join(Path(path).suffixes[-2:]) or "no suffix"
        near = difflib.get_close_matches(found.lower(), LANDMARK_SUFFIXES, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else "check the name"
        raise FileError(path, f"a landmark file ({', '.join(LANDMARK_SUFFIXES)})", found, advice)
    return suffix
