"""Files appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regforest.errors import FileError

__all__ = ["clear_unfinished", "staged", "write_bytes", "write_json", "write_text"]

_HIDDEN = ".writing-"


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a path of the same file name to write to; on success, what was written takes its final place.

    The writing happens in a hidden folder beside the target, so that the last step is a rename. What is renamed is on
    the disk by then, and so is the rename when this returns: a power cut leaves the old file or the new one.
    Companion files (the ``.raw`` of an ``.mhd``) move along, before the named one. Missing parent folders are made.

    Raises
    ------
    FileError
        If the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield folder / path.name
        for written in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
            _sync(written)
            os.replace(written, path.parent / written.name)
        _sync(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically; raises `FileError` where that is impossible."""
    with staged(Path(path)) as target:
        target.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically; raises `FileError` where that is impossible."""
    with staged(Path(path)) as target:
        target.write_bytes(content)


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON types atomically, UTF-8 and indented by one; raises `FileError` where that is impossible."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed process was writing in a folder; nobody else may be writing there."""
    for left in folder.glob(f"{_HIDDEN}*"):
        shutil.rmtree(left, ignore_errors=True)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and needs none to be told
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> FileError:
    found = error.strerror or str(error)
    return FileError(path, "a place that can be written to", found, "choose another folder or change its rights")
