"""File names: where the stem ends and a suffix such as ``.nii.gz`` begins."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from regforest.errors import FileError

__all__ = ["require_file", "split_name"]


def split_name(path: str | Path, suffixes: Iterable[str]) -> tuple[str, str]:
    """Split a file name into stem and one of the known suffixes (lower case), ``""`` if it has none of them.

    Examples
    --------
    >>> split_name("scans/a.b.NII.gz", (".nii", ".nii.gz"))
    ('a.b', '.nii.gz')
    """
    name = Path(path).name
    for suffix in sorted(suffixes, key=len, reverse=True):
        # a stem of dots alone would lead results into another folder
        if name.lower().endswith(suffix) and name[: -len(suffix)].strip("."):
            return name[: -len(suffix)], suffix
    return name, ""


def require_file(path: Path, kind: str) -> None:
    """Raise `FileError` unless the path is a file with something in it that may be read."""
    try:
        if path.is_dir():
            raise FileError(path, kind, "a folder", "name the file itself")
        if not path.is_file():
            raise FileError(path, kind, "nothing", "check the path")
        if path.stat().st_size == 0:
            raise FileError(path, kind, "an empty file", "copy it again from its source")
        if not os.access(path, os.R_OK):
            raise FileError(path, kind, "no right to read it", "change its rights")
    except OSError as error:
        raise FileError(path, kind, error.strerror or str(error), "check the path and its rights") from error
