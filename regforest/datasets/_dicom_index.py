"""What the tags of many DICOM files say, kept between runs in the user's cache: nothing is written beside the data.

A file counts as unchanged while its size and time of change are. The store holds places and series, no persons.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from regforest.datasets.phantoms.cache import cache_root
from regforest.errors import FileError
from regforest.io import walk_files, write_text
from regforest.io.dicom import DicomFile, Frame, Skipped, StackTags, import_pydicom, read_frames

__all__ = ["Content", "read_index"]

_VERSION = 2  # raise it when other tags are kept, or are understood in another way
_KEPT = [field.name for field in fields(Frame) if field.name not in ("file", "tags", "patient")]
_log = logging.getLogger(__name__)

Content = list[Frame] | Skipped
"""Slices of a file, or why it has none."""

_Index = dict[str, tuple[tuple[int, int], Content]]  # by path below the root: size and time of change, content


def read_index(root: Path) -> tuple[dict[Path, Content], list[str]]:
    """Read the tags of all files in a folder and below, of unchanged ones from the cache.

    Returns
    -------
    contents : dict of Path to list of Frame or Skipped
        By file, sorted within each folder.
    notes : list of str
        Folders and files that cannot be read.

    Raises
    ------
    FileError
        If pydicom is not installed.
    """
    import_pydicom(root)
    notes: list[str] = []
    store = cache_root() / "dicom-index" / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}.json"
    known = _load(store, root)
    index: _Index = {}
    for path in walk_files(root, notes):
        name, status = path.relative_to(root).as_posix(), path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
        kept = known.get(name)
        index[name] = kept if kept and kept[0] == stamp else (stamp, read_frames(DicomFile.on_disk(path)))
    if {name: stamp for name, (stamp, _) in index.items()} != {name: stamp for name, (stamp, _) in known.items()}:
        _save(store, index)
    return {root / name: content for name, (_, content) in index.items()}, notes


def _save(store: Path, index: _Index) -> None:
    """Write the store; what all slices of a stack share stands there once."""
    ranks: dict[StackTags, int] = {}
    files: dict[str, Any] = {}
    for name, (stamp, content) in index.items():
        if isinstance(content, Skipped):
            files[name] = [*stamp, {"reason": content.reason, "series_uid": content.series_uid}]
        else:
            rows = [
                [ranks.setdefault(frame.tags, len(ranks)), *(getattr(frame, key) for key in _KEPT)]
                for frame in content
            ]
            files[name] = [*stamp, rows]
    content_json = {"version": _VERSION, "tags": [astuple(tags) for tags in ranks], "files": files}
    try:
        write_text(store, json.dumps(content_json, separators=(",", ":")))
    except FileError as error:  # the next run reads the tags again, no more
        _log.warning("the index is not kept: %s", error)


def _load(store: Path, root: Path) -> _Index:
    """Read the store; empty if there is none, or it is of another version or damaged."""
    try:
        content = json.loads(store.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            return {}
        tags = [_tags(row) for row in content["tags"]]
        return {
            name: ((size, changed), _unpacked(DicomFile.on_disk(root / name), packed, tags))
            for name, (size, changed, packed) in content["files"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return {}


def _tags(row: list[Any]) -> StackTags:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in row]
    return StackTags(*values)


def _unpacked(file: DicomFile, packed: Any, tags: list[StackTags]) -> Content:
    if isinstance(packed, Mapping):
        return Skipped(file, **packed)
    return [_frame(file, tags[rank], dict(zip(_KEPT, values, strict=True))) for rank, *values in packed]


def _frame(file: DicomFile, tags: StackTags, values: dict[str, Any]) -> Frame:
    for key in ("position_lps_mm", "orientation"):
        values[key] = tuple(map(float, values[key]))
    return Frame(file, tags=tags, **values)
