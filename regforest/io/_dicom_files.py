"""The files that may be DICOM: in a folder and below, in a zip archive, or one by itself.

An archive is read in place and never unpacked, so that no entry can reach a path of its own choice.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from regforest.errors import FileError
from regforest.io._folders import is_shown, walk_files
from regforest.io._names import require_file

__all__ = ["DicomFile", "begins_as_dicom", "dicom_files", "has_dicom_magic", "may_be_dicom"]

DICOM_SUFFIXES = (".dcm", ".ima")
_ZIP = ".zip"
_MAX_ZIP_BYTES = 8 * 2**30  # all entries together, as declared; reading stops at what is declared
_PREAMBLE_BYTES = 132


@dataclass(frozen=True)
class DicomFile:
    """A file on disk or an entry of an archive.

    Attributes
    ----------
    name : str
        Path for people; of an entry, that of its archive before it.
    open : callable
        Opens it for reading bytes.
    """

    name: str
    open: Callable[[], Any]

    @classmethod
    def on_disk(cls, path: str | Path) -> DicomFile:
        """Take a file of a folder."""
        return cls(str(path), partial(Path(path).open, "rb"))


def may_be_dicom(path: Path) -> bool:
    """Tell whether `path` is to be read as DICOM: a folder, a zip, a name or a beginning that says so."""
    suffix = path.suffix.lower()
    if os.path.isdir(path) or suffix in (*DICOM_SUFFIXES, _ZIP):
        return True
    return os.path.isfile(path) and has_dicom_magic(path)


def has_dicom_magic(path: Path) -> bool:
    """Tell whether a file on disk begins as DICOM does; False where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return begins_as_dicom(stream)
    except OSError:
        return False


def begins_as_dicom(stream: Any) -> bool:
    """Tell whether bytes begin as DICOM does, with its preamble or (older writers) with group 2 or 8; rewinds."""
    head = stream.read(_PREAMBLE_BYTES)
    stream.seek(0)
    # a first element of group 2 or 8, then two letters for its type or the upper half of a small length
    bare = head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0" and (head[4:6].isalpha() or head[6:8] == b"\0\0")
    return bool(head[128:] == b"DICM" or bare)


@contextmanager
def dicom_files(path: Path, notes: list[str]) -> Iterator[Iterator[DicomFile]]:
    """Open a folder, zip or file, and yield its files sorted by name; what is left out goes to `notes`.

    Raises
    ------
    FileError
        If there is nothing at `path`, or the archive is damaged, encrypted or too large.
    """
    if os.path.isdir(path):
        yield map(DicomFile.on_disk, walk_files(path, notes))
        return
    require_file(path, "DICOM: a folder, a zip or a file")
    if path.suffix.lower() != _ZIP:
        yield iter([DicomFile.on_disk(path)])
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise FileError(path, "a zip archive", f"a damaged one ({error})", "copy it again from its source") from error
    with archive:
        yield _entries(archive, path, notes)


def _entries(archive: zipfile.ZipFile, path: Path, notes: list[str]) -> Iterator[DicomFile]:
    entries = sorted((entry for entry in archive.infolist() if not entry.is_dir()), key=lambda entry: entry.filename)
    total = sum(entry.file_size for entry in entries)
    if total > _MAX_ZIP_BYTES:
        found = f"{total / 2**30:.1f} GiB"
        raise FileError(path, f"at most {_MAX_ZIP_BYTES >> 30} GiB in a zip", found, "unpack it and name the folder")
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        if entry.flag_bits & 1:
            raise FileError(path, "an archive without a password", "an encrypted one", "unpack it yourself")
        if ".." in parts or parts[0] == "/" or PureWindowsPath(entry.filename).anchor:
            notes.append(f"{path}: the entry {entry.filename!r} points out of the archive and was passed over")
        elif all(map(is_shown, parts)):
            yield DicomFile(f"{path}/{entry.filename}", partial(archive.open, entry))
