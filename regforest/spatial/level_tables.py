"""The numbers that other tools give to vertebrae and discs in their label images.

Sources, as of 2025:

- VerSe: the readme of VerSe'20; discs (100 + the vertebra above) and S2 by this package's own convention.
- TotalSegmentator: ``totalsegmentator/map_to_binary.py`` of wasserth/TotalSegmentator, the class maps ``total`` (of
  version 2), ``total_v1`` and ``vertebrae_mr``. Their "sacrum" is the whole bone and so no level here.
- TotalSpineSeg: list of classes in the readme of neuropoly/totalspineseg (the files in ``step2_output``), and
  ``resources/labels_maps/tss_map.json`` for L6. Versions before autumn 2024 used those of TotalSegmentator 1 and 200
  upwards for discs. The whole sacrum (50) is no level here.
- Spinal Cord Toolbox: levels are counted from C1 (T1 is 8, L1 20, S1 25); a disc carries the number of the vertebra
  below it ("labeling conventions" of its documentation, issues 1812 and 2608 of
  spinalcordtoolbox/spinalcordtoolbox; the same numbers stand in ``levels_maps.json`` of TotalSpineSeg).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from regforest.errors import LevelError, UsageError
from regforest.spatial.levels import DISCS, LEVELS, level, level_of_number

__all__ = ["LEVEL_TABLES", "level_table", "numbers_in"]

_CERVICAL = [f"C{i}" for i in range(1, 8)]
_THORACIC = [f"T{i}" for i in range(1, 13)]
_LUMBAR = [f"L{i}" for i in range(1, 6)]
_CHAIN = [*_CERVICAL, *_THORACIC, *_LUMBAR, "S1"]
_CAUDAL_TO_CRANIAL = [*reversed(_CHAIN[:-1])]


def _counted(names: Iterable[str], start: int) -> dict[int, str]:
    return dict(enumerate(names, start))


def _discs(vertebrae: Iterable[str], start: int) -> dict[int, str]:
    """Count the discs above these vertebrae."""
    return _counted((f"{_CHAIN[_CHAIN.index(name) - 1]}/{name}" for name in vertebrae), start)


def _verse() -> dict[int, str]:
    numbers = sorted({level(name).number for name in (*LEVELS, *DISCS)})
    return {number: level_of_number(number).name for number in numbers}


LEVEL_TABLES: Mapping[str, Mapping[int, str]] = {
    "verse": _verse(),
    "totalsegmentator": {26: "S1"} | _counted(_CAUDAL_TO_CRANIAL, 27),
    "totalsegmentator-v1": _counted(_CAUDAL_TO_CRANIAL, 18),
    "totalsegmentator-mr": _counted(_CAUDAL_TO_CRANIAL, 2),
    "totalspineseg": (
        _counted(_CERVICAL, 11) | _counted(_THORACIC, 21) | _counted([*_LUMBAR, "L6"], 41)
        | _discs(_CERVICAL[2:], 63) | _discs(_THORACIC, 71) | _discs(_LUMBAR, 91) | {100: "L5/S1"}
    ),
    "sct": _counted(_CHAIN, 1),
    "sct-discs": _discs(_CHAIN[2:], 3),
}  # fmt: skip
"""Name of a table -> number in a label image -> level."""


def level_table(name: str) -> Mapping[int, str]:
    """Look up a table by name.

    Parameters
    ----------
    name : str
        One of `LEVEL_TABLES`.

    Returns
    -------
    mapping of int to str
        Number in a label image -> level.

    Raises
    ------
    UsageError
        If there is no such table; the message suggests the nearest one.

    Examples
    --------
    >>> level_table("totalsegmentator")[27], level_table("totalspineseg")[95], level_table("sct-discs")[25]
    ('L5', 'L4/L5', 'L5/S1')
    """
    if name not in LEVEL_TABLES:
        near = difflib.get_close_matches(name.lower(), LEVEL_TABLES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"unknown table of labels {name!r}: expected {', '.join(LEVEL_TABLES)}{hint}")
    return LEVEL_TABLES[name]


def numbers_in(table: str, levels: Iterable[str]) -> dict[str, int]:
    """Give levels the numbers of a table.

    Parameters
    ----------
    table : str
        One of `LEVEL_TABLES`.
    levels : iterable of str
        Names of levels.

    Returns
    -------
    dict of str to int
        Level -> number.

    Raises
    ------
    LevelError
        If the table has no number for one of them; the message names all of these.
    UsageError
        If there is no such table.

    Examples
    --------
    >>> numbers_in("totalspineseg", ["L5", "L5/S1"])
    {'L5': 45, 'L5/S1': 100}
    """
    known = {name: number for number, name in level_table(table).items()}
    wanted = [level(name).name for name in levels]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise LevelError(f"the table {table!r} has no number for {', '.join(missing)}; take another table or format")
    return {name: known[name] for name in wanted}
