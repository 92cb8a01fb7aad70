"""One run at a time in a folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from regforest.errors import FileError, UsageError
from regforest.io._records import parsed_object

__all__ = ["folder_lock"]

_NAME = ".lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if missing, against every other run.

    The system lets go of the lock when its process ends, however it ends, so that a killed run is no obstacle on the
    same machine. Not every network file system tells one machine what another one locks: there the file itself
    counts, which only a run that ended by itself removes.

    Raises
    ------
    UsageError
        If another run holds the folder, or did on another machine and may still do so.
    FileError
        If the folder cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name, folder_lock(Path(name)):
    ...     sorted(os.listdir(name))
    ['.lock']
    """
    file = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _opened(file)
    except OSError as error:
        raise FileError(folder, "a folder to write to", error.strerror or str(error), "choose another") from error
    try:
        _claim(handle, folder)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _opened(file: Path) -> int:
    """Open the lock file that is there now: one that its holder removes meanwhile guards nothing."""
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(file)):
                return handle
        os.close(handle)


def _claim(handle: int, folder: Path) -> None:
    """Write who holds the lock into its file."""
    holder, host = _holder(handle), socket.gethostname()
    who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{folder} is in use by {who}; wait for it, or choose another folder") from None
    if holder.get("host", host) != host:
        raise UsageError(f"{folder} was in use by {who}; if that has ended, delete {folder / _NAME} and start again")
    content = {"pid": os.getpid(), "host": host, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(content).encode(), 0)


def _holder(handle: int) -> dict[str, Any]:
    return parsed_object(os.pread(handle, 4096, 0)) or {}  # empty, or cut short by a power cut
