"""Work through many cases: one that fails is named, the others go on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from regforest.errors import FileError, RegForestError, may_pass

__all__ = ["Failures", "each", "folder_to_write", "say", "with_progress"]

T = TypeVar("T")
R = TypeVar("R")


class Failures(dict[str, str]):
    """Case -> error; says each on stderr as it comes."""

    def add(self, case: str, error: Exception) -> None:
        """Note a case as failed."""
        self[case] = str(error) if isinstance(error, RegForestError) else f"{type(error).__name__}: {error}"
        named = self[case].startswith(case)
        say(f"failed: {self[case]}" if named else f"failed: {case}: {self[case]}")

    @property
    def exit_code(self) -> int:
        """1 if a case failed, else 0."""
        return int(bool(self))


def each(
    items: Iterable[T],
    name: Callable[[T], str],
    work: Callable[[T], R],
    failures: Failures,
    fatal: type[Exception] | tuple[()] = (),
    again: list[T] | None = None,
) -> Iterator[tuple[T, R]]:
    """Yield every item with its result; an item whose work fails goes to `failures`, unless the error is fatal.

    What may succeed at another try goes to `again` instead, if that is given.
    """
    for item in items:
        try:
            result = work(item)
        except fatal:
            raise
        except Exception as error:  # also what nobody foresaw: it must not end a run over many cases
            if again is not None and may_pass(error):
                again.append(item)
                say(f"{name(item)}: to be tried again with less memory: {error}")
            else:
                failures.add(name(item), error)
        else:
            yield item, result


def with_progress(items: Iterable[T], total: int, unit: str) -> Iterable[T]:
    """Show a progress bar on stderr while iterating, if it is a terminal."""
    from tqdm import tqdm

    shown: Iterable[T] = tqdm(items, total=total, unit=unit, disable=None, file=sys.stderr)
    return shown


def say(line: str) -> None:
    """Write a line to the log, stderr."""
    print(line, file=sys.stderr, flush=True)


def folder_to_write(path: Path) -> Path:
    """Make a folder and prove that it can be written to, before any work; raises `FileError`."""
    import os

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = "a file" if os.path.isfile(path) else error.strerror or str(error)
        raise FileError(path, "a folder to write to", found, "choose another place") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise FileError(path, "a folder to write to", "no right to write", "choose another place")
    return path
