"""NRRD files on disk: where their voxels lie, and how many bytes of them there can be."""

from __future__ import annotations

from pathlib import Path

from regforest.errors import FileError
from regforest.io._names import require_file, require_inside

_MAX_HEADER_BYTES = 65_536
_ENCODINGS = ("raw", "gzip", "gz", "hex", "text", "txt", "ascii")
_TEXT_GAIN = 4  # a digit and a blank may stand for a number of eight bytes


def check_nrrd(path: Path) -> tuple[int, bool]:
    """Read from the header where the voxels lie and how they are encoded.

    Returns
    -------
    present : int
        Bytes that there are for the voxels.
    compressed : bool
        Whether they have to be inflated.

    Raises
    ------
    FileError
        If the header is damaged, the encoding not one of those above (bzip2 unpacks to any size), or the voxels lie
        in several files, or outside of the header's folder.
    """
    fields = _fields(path)
    encoding = fields.get("encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise FileError(path, f"an encoding of {', '.join(_ENCODINGS)}", f"{encoding!r}", "write it as gzip")
    present = _data_file(path, fields.get("datafile", "")).stat().st_size
    return present * (_TEXT_GAIN if encoding in ("text", "txt", "ascii") else 1), encoding in ("gzip", "gz")


def _data_file(path: Path, name: str) -> Path:
    if not name:
        return path
    require_inside(path, name)
    file = path.parent / name
    require_file(file, f"the voxels that {path.name} points to")
    return file


def _fields(path: Path) -> dict[str, str]:
    """Fields of the header, their names in lower case without spaces."""
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    lines = head.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace").split("\n")
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
    return fields
