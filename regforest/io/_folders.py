"""What lies in folders, whatever stands in the way: links that lead nowhere or in circles, folders without rights.

`Path.is_file` and its like raise where a link leads to itself or a folder may not be entered; nothing here does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from regforest.errors import FileError

__all__ = ["is_shown", "leads_back", "list_folder", "walk_files"]


def list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """List what lies in a folder, hidden entries left out.

    Returns
    -------
    folders : list of Path
        Sorted; links to folders among them.
    files : list of Path
        Sorted; everything else, also links that lead nowhere or to themselves: whoever reads one is told.

    Raises
    ------
    FileError
        If the folder cannot be listed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     Path(place, "scan").mkdir()
    ...     Path(place, "endless").symlink_to("endless")
    ...     [[path.name for path in paths] for paths in list_folder(Path(place))]
    [['scan'], ['endless']]
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        raise FileError(folder, "a readable folder", error.strerror or str(error), "correct its rights") from error
    folders: list[Path] = []
    files: list[Path] = []
    for entry in entries:
        (folders if _is_folder(entry) else files).append(Path(entry.path))
    return folders, files


def walk_files(root: Path, notes: list[str]) -> Iterator[Path]:
    """Regular files in a folder and below, sorted; hidden ones are passed over, linked folders visited once."""

    def unreadable(error: OSError) -> None:
        notes.append(f"{error.filename}: passed over, the folder cannot be read ({error.strerror})")

    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        places = {name: os.path.realpath(os.path.join(folder, name)) for name in sorted(folders)}
        folders[:] = [name for name, place in places.items() if place not in seen and is_shown(name)]
        seen.update(places.values())
        for path in (Path(folder, name) for name in sorted(names) if is_shown(name)):
            try:
                if stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for without end
                    yield path
            except OSError as error:
                notes.append(f"{path}: passed over ({error.strerror})")


def leads_back(folder: Path, root: Path) -> bool:
    """Tell whether a folder is a link to a place in `root`, where it is found by itself; `root` may be a link."""
    return (
        folder != root
        and os.path.islink(folder)
        and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))
    )


def is_shown(name: str) -> bool:
    """Tell whether a file or folder is neither hidden nor what macOS adds to archives."""
    return not name.startswith(".") and name != "__MACOSX"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to a place that may not be looked at
        return False
