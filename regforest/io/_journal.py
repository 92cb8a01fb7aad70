"""What has happened in a run, line by line, for whoever goes on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regforest.errors import FileError
from regforest.io._records import parsed_object

__all__ = ["Journal", "differences"]


class Journal:
    """A file of JSON lines that only grows; a line is on the disk when `add` returns.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder) / "journal.jsonl")
    ...     journal.add("finished", case="a")
    ...     list(journal.entries())
    [{'event': 'finished', 'case': 'a'}]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, **details: Any) -> None:
        """Append an entry.

        Raises
        ------
        FileError
            If it cannot be written, the disk being full, say.
        """
        line = json.dumps({"event": event, **details}) + "\n"
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                # an entry that a power cut has cut short must not swallow this one
                size = os.fstat(handle).st_size
                torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
                os.write(handle, ("\n" * torn + line).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise FileError(self.path, "a file that can be written to", error.strerror or str(error)) from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield what was noted, oldest first; lines that are no entries are passed over."""
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = parsed_object(line)
            if entry is not None and "event" in entry:
                yield entry

    def unfinished(self) -> set[str]:
        """Return the cases that were begun last and neither finished nor failed: a kill may have been their doing."""
        open_cases: set[str] = set()
        for entry in self.entries():
            change = open_cases.add if entry["event"] == "begun" else open_cases.discard
            change(str(entry.get("case")))
        return open_cases


def differences(stored: Any, asked: Any, name: str = "") -> list[str]:
    """Say in words where two JSON values differ, key by key.

    Examples
    --------
    >>> differences({"seed": 0, "trees": 3}, {"seed": 1, "trees": 3})
    ['seed: 0 there, 1 now']
    """
    if isinstance(stored, Mapping) and isinstance(asked, Mapping):
        keys = sorted({*stored, *asked})
        return [
            line
            for key in keys
            for line in differences(stored.get(key), asked.get(key), f"{name}.{key}" if name else key)
        ]
    if stored == asked:
        return []
    return [f"{name}: {_short(stored)} there, {_short(asked)} now"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
