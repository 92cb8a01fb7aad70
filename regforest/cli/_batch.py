"""Work through many cases: one that fails is named, the others go on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from regforest.errors import FileError, RegForestError, may_pass

__all__ = ["Failures", "counted", "detail", "each", "folder_to_write", "result", "say", "with_progress"]

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")


class Failures(dict[str, str]):
    """Case -> error; says each on stderr as it comes."""

    def add(self, case: str, error: Exception) -> None:
        """Note a case as failed."""
        self[case] = str(error) if isinstance(error, RegForestError) else f"{type(error).__name__}: {error}"
        named = self[case].startswith(case)
        unforeseen = None if isinstance(error, RegForestError) or not _LOG.isEnabledFor(logging.DEBUG) else error
        _LOG.error(f"failed: {self[case]}" if named else f"failed: {case}: {self[case]}", exc_info=unforeseen)

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
                # a file that cannot be read is named once, if it cannot be read then either
                tell = detail if isinstance(error, FileError) else say
                tell(f"{name(item)}: to be tried again with less memory: {error}")
            else:
                failures.add(name(item), error)
        else:
            yield item, result


def with_progress(items: Iterable[T], total: int, unit: str, stage: str) -> Iterable[T]:
    """Show stage, rate and time left on stderr while iterating, if it is a terminal."""
    shown: Iterable[T] = _bar(stage, unit, total, items)
    return shown


def counted(stage: str, unit: str) -> Callable[[int, int], None]:
    """Return what a long computation calls as ``progress(done, total)``, to show the same."""
    bars: list[Any] = []

    def show(done: int, total: int) -> None:
        if not bars:
            bars.append(_bar(stage, unit, total))
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return show


def _bar(stage: str, unit: str, total: int, items: Iterable[T] | None = None) -> Any:
    from tqdm import tqdm

    silent = None if _LOG.isEnabledFor(logging.INFO) else True  # None: silent where stderr is no terminal
    return tqdm(items, desc=stage, total=total, unit=unit, disable=silent, file=sys.stderr, dynamic_ncols=True)


def say(line: str) -> None:
    """Write a line to the log, stderr; ``--quiet`` hides it."""
    _LOG.info(line)


def result(line: str) -> None:
    """Write a line of the result to stdout, above the bars of progress."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def detail(line: str) -> None:
    """Write a line to the log that only ``--verbose`` shows."""
    _LOG.debug(line)


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
