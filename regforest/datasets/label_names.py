"""The file `labels.json`: which level each value of a data set's label images means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from regforest.errors import FileError, LevelError
from regforest.io import read_json, write_json
from regforest.spatial import level

__all__ = ["read_labels_json", "write_labels_json"]

_EXPECTED = 'label numbers with their levels, such as {"1": "T11", "2": "L1/L2"}'
_ADVICE = "see the layout 'labelled-folder' in the documentation"


def read_labels_json(path: Path) -> dict[int, str]:
    """Read ``{"1": "T11", ...}``; 0 is background by definition, whatever it is called.

    Returns
    -------
    dict of int to str
        Label value -> level.

    Raises
    ------
    FileError
        If the file cannot be read, a value is not a positive number, a level is unknown, or two values mean one.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not content:
        raise FileError(path, _EXPECTED, repr(content)[:80], _ADVICE)
    try:
        names = {int(value): level(name).name for value, name in content.items() if int(value) != 0}
    except (LevelError, ValueError, TypeError, AttributeError) as error:
        raise FileError(path, _EXPECTED, str(error), _ADVICE) from error
    if len(set(names.values())) < len(names) or min(names, default=0) < 1:
        raise FileError(path, "positive numbers and one number for each level", repr(content)[:200], _ADVICE)
    return names


def write_labels_json(path: Path, names: Mapping[int, str]) -> None:
    """Write label value -> level, sorted by value."""
    write_json(path, {str(value): names[value] for value in sorted(names)})
