"""The exceptions that regforest raises on purpose.

Everything derives from :class:`RegForestError`, so that a batch can catch one type, note the case as failed
and go on. A message says which file, what was expected, what was found and what to do.
"""

from __future__ import annotations

from pathlib import Path


class RegForestError(Exception):
    """Root of all errors raised on purpose by this package."""


class FileError(RegForestError):
    """A file or folder cannot be used.

    Parameters
    ----------
    path : str or Path
        The file or folder.
    expected : str
        What should have been there.
    found : str
        What was there instead.
    advice : str, optional
        What the user can do about it.

    Examples
    --------
    >>> print(FileError("a.lml", "a number in column x", "'abc' in line 3", "correct the line"))
    a.lml: expected a number in column x, found 'abc' in line 3; correct the line
    """

    def __init__(self, path: str | Path, expected: str, found: str, advice: str = "") -> None:
        self.path = Path(path)
        self.expected, self.found, self.advice = expected, found, advice
        super().__init__(f"{path}: expected {expected}, found {found}" + (f"; {advice}" if advice else ""))

    def __reduce__(self) -> tuple[type[FileError], tuple[Path, str, str, str]]:
        # an exception with several arguments does not survive the trip from a worker process by itself
        return type(self), (self.path, self.expected, self.found, self.advice)


class DataError(RegForestError):
    """Data were read but make no sense for what was asked (no annotations, shapes that differ, one class)."""


class TooLargeError(DataError):
    """Work does not fit into the memory that it may take."""


class FrameError(RegForestError):
    """Coordinates of different frames were mixed, or millimetres asked of a frame that does not hold them."""


class LevelError(RegForestError):
    """A name is not that of a known vertebra or disc."""


class ModelError(RegForestError):
    """A model file is damaged, hostile, of another kind or of a version that cannot be read."""


class UsageError(RegForestError):
    """Options that contradict each other, or a folder that holds another run."""


def may_pass(error: BaseException) -> bool:
    """Tell whether the same work may succeed another time: with more memory or disk, or when a file is back.

    Examples
    --------
    >>> may_pass(MemoryError()), may_pass(FileError("a.nii", "an image", "no file")), may_pass(DataError("one class"))
    (True, True, False)
    """
    if isinstance(error, (MemoryError, OSError, FileError, TooLargeError)):
        return True
    return error.__cause__ is not None and may_pass(error.__cause__)
