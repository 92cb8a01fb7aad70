"""Headers of NRRD files: where their voxels lie, and in which space."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from regforest.errors import FileError
from regforest.io._voxel_files import Coding, VoxelFiles, beside

_MAX_HEADER_BYTES = 65_536
_DEFLATED, _TEXT = ("gzip", "gz"), ("hex", "text", "txt", "ascii")
_ENCODINGS = ("raw", *_DEFLATED, *_TEXT)
# those that ITK turns into LPS; it takes any other, scanner-xyz say, for LPS
_SPACES = (
    "lps", "left-posterior-superior", "ras", "right-anterior-superior", "las", "left-anterior-superior",
)  # fmt: skip
_MIRRORED, _RIGHT_SINCE = ("las", "left-anterior-superior"), (2, 5, 6)
_MILLIMETRES = ("", "mm", "millimeter", "millimeters", "millimetre", "millimetres")
_log = logging.getLogger(__name__)


def locate_nrrd(path: Path) -> VoxelFiles:
    """Read from the header where the voxels lie and how they are encoded.

    Raises
    ------
    FileError
        If the header is damaged, the encoding not one of those above (bzip2 unpacks to any size), lengths are not in
        millimetres, or the voxels lie in several files, or outside of the header's folder.
    """
    fields, end = _fields(path)
    encoding = fields.get("encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise FileError(path, f"an encoding of {', '.join(_ENCODINGS)}", f"{encoding!r}", "write it as gzip")
    _require_millimetres(path, fields)
    name = fields.get("datafile", "")
    start = None if {"byteskip", "lineskip"} & fields.keys() else 0 if name else end
    coding: Coding = "deflated" if encoding in _DEFLATED else "text" if encoding in _TEXT else "raw"
    big_endian = fields.get("endian", "").lower() == "big"
    return VoxelFiles(path, (beside(path, name) if name else path,), start, coding, big_endian)


def check_space(path: Path, reader_version: str) -> None:
    """Warn where the header names no anatomical space: which way is left is then a guess.

    Raises
    ------
    FileError
        If this version of SimpleITK mirrors the space (left-anterior-superior, before 2.5.6).
    """
    space = _fields(path)[0].get("space", "")
    if space.lower() in _MIRRORED and tuple(map(int, re.findall(r"\d+", reader_version)[:3])) < _RIGHT_SINCE:
        expected = f"a space that SimpleITK {reader_version} does not mirror"
        raise FileError(path, expected, repr(space), "pip install 'SimpleITK>=2.5.6', or convert it to LPS")
    if space.lower() not in _SPACES:
        found = f"its space is {space!r}" if space else "it names no space"
        _log.warning("%s: %s, not LPS, RAS or LAS; taken as LPS", path, found)


def _require_millimetres(path: Path, fields: Mapping[str, str]) -> None:
    for key in ("spaceunits", "units"):
        units = [unit.strip() for unit in fields.get(key, "").split('"')]
        if others := [unit for unit in units if unit.lower() not in _MILLIMETRES]:
            raise FileError(path, f"{key} of mm", ", ".join(others), "convert its header to millimetres")


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Fields of the header, their names in lower case without spaces, and where it ends."""
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    ends = [(head.index(mark), len(mark)) for mark in (b"\n\n", b"\r\n\r\n") if mark in head]
    length, mark = min(ends, default=(len(head), 0))
    lines = head[:length].decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if not lines[0].startswith("NRRD"):
        found = "a damaged or different file"
        raise FileError(path, "a NRRD header", found, "copy it again from its source")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        key, separator, value = line.partition(":")
        name = "".join(key.lower().split())
        if line.startswith("#") or not separator or value.startswith("="):  # comments, key := value
            continue
        if name in fields:
            raise FileError(path, f"{name} once in the header", "two of them", "repair the header")
        fields[name] = value.strip()
    return fields, length + mark
