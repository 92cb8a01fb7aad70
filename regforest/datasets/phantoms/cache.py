"""Folders that are made once and kept between runs, outside the project."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from regforest.errors import FileError

__all__ = ["CACHE_VERSION", "cache_root", "cached_folder"]

CACHE_VERSION = 1
"""Part of every key: raise it when anything that all cached folders share has changed."""


def cache_root() -> Path:
    """Folder for everything cached: ``$REGFOREST_CACHE``, or ``~/.cache/regforest``."""
    override = os.environ.get("REGFOREST_CACHE", "")
    return Path(override).expanduser() if override else Path.home() / ".cache" / "regforest"


def cached_folder(name: str, settings: Mapping[str, Any], write: Callable[[Path], None]) -> Path:
    """Return the folder that belongs to the settings, writing it first if it is not there yet.

    The folder is written under a temporary name beside its place and renamed when complete, so that it is never
    seen half written; of two processes that make it at once the first wins and the other's copy is dropped.

    Parameters
    ----------
    name : str
        First part of the folder's name, for people.
    settings : mapping
        Everything that the content depends on, JSON values only; include a version of the writer.
    write : callable
        Fills the empty folder that it is given.

    Returns
    -------
    Path
        ``<cache_root>/<name>-<hash of the settings>``.

    Raises
    ------
    FileError
        If the cache cannot be written; the message names ``REGFOREST_CACHE``.
    """
    key = json.dumps({"version": CACHE_VERSION, **settings}, sort_keys=True)
    root = cache_root()
    folder = root / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    partial = root / f".{folder.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise FileError(root, "a folder that can be written", str(error), "set REGFOREST_CACHE to another") from error
    try:
        write(partial)
        _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _publish(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # not the other process's doing
            raise
