"""The registry of anatomical levels: vertebrae and discs, their order, numbers and colours.

Numbers are those of the VerSe data sets (C1..C7 1-7, T1..T12 8-19, L1..L6 20-25, S1 26, Co 27, T13 28), with
S2 = 29 and discs = 100 + the vertebra above by our own convention. The anatomical order is a list of its own:
T13 stands between T12 and L1 whatever its number.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from regforest.errors import LevelError

__all__ = [
    "DISCS",
    "LEVELS",
    "PAPER_LEVELS",
    "REGIONS",
    "Level",
    "anatomical_order",
    "level",
    "level_of_number",
    "sort_levels",
]

LEVELS: tuple[str, ...] = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 14)),
    *(f"L{i}" for i in range(1, 7)),
    "S1",
    "S2",
)
"""All vertebrae from cranial to caudal, transitional ones (T13, L6) included: 28 names."""

PAPER_LEVELS: tuple[str, ...] = tuple(name for name in LEVELS if name not in ("T13", "L6"))
"""The 26 vertebrae of Glocker et al. 2013."""

REGIONS: dict[str, str] = {"C": "cervical", "T": "thoracic", "L": "lumbar", "S": "sacral"}
"""First letter of a vertebra's name -> region."""

_NUMBERS = {
    **{f"C{i}": i for i in range(1, 8)},
    **{f"T{i}": 7 + i for i in range(1, 13)},
    **{f"L{i}": 19 + i for i in range(1, 7)},
    "S1": 26,
    "T13": 28,
    "S2": 29,
}
# transitional discs too: T12/T13, T13/L1, L5/L6, L6/S1 beside the discs that skip them
_DISCS = (*(f"{a}/{b}" for a, b in itertools.pairwise(LEVELS[1:])), "T12/L1", "L5/S1")


@dataclass(frozen=True)
class Level:
    """One anatomical level: a vertebra or an intervertebral disc.

    Attributes
    ----------
    name : str
        ``"L3"`` for a vertebra, ``"L3/L4"`` for a disc.
    number : int
        VerSe's number; 100 + that of the vertebra above for a disc.
    region : str
        ``"cervical"``, ``"thoracic"``, ``"lumbar"`` or ``"sacral"``; a disc belongs to the vertebra above.
    order : float
        Position from cranial to caudal; discs lie between vertebrae.
    colour : tuple of float
        Red, green, blue in [0, 1]; fixed per level. Neighbours can be told apart by the colour-blind too; there
        are seven, so that they repeat along the spine.
    """

    name: str
    number: int
    region: str
    order: float
    colour: tuple[float, float, float]

    @property
    def is_disc(self) -> bool:
        """Whether the level is an intervertebral disc."""
        return "/" in self.name


# eight-bit red, green, blue; Okabe and Ito's colours, told apart by all kinds of colour vision, ordered so that
# neighbours differ in lightness as well
_PALETTE = (
    (230, 159, 0), (86, 180, 233), (213, 94, 0), (240, 228, 66), (0, 114, 178), (204, 121, 167), (0, 158, 115),
)  # fmt: skip


def _colour(position: float) -> tuple[float, float, float]:
    # four steps for each half level: the vertebra below comes one colour on, the disc between them another
    red, green, blue = _PALETTE[int(2 * position) * 4 % len(_PALETTE)]
    return red / 255, green / 255, blue / 255


def _make(name: str) -> Level:
    upper, _, lower = name.partition("/")
    order = float(LEVELS.index(upper))
    number = _NUMBERS[upper]
    if lower:
        order = (order + LEVELS.index(lower)) / 2
        number += 100
    return Level(name, number, REGIONS[upper[0]], order, _colour(order))


_REGISTRY: dict[str, Level] = {name: _make(name) for name in (*LEVELS, *_DISCS)}

DISCS: tuple[str, ...] = tuple(sorted(_DISCS, key=lambda name: _REGISTRY[name].order))
"""All intervertebral discs from C2/C3 to S1/S2, cranial to caudal."""

# two discs can share a number (L5/S1 and L5/L6): the usual one is the answer to a number
_BY_NUMBER = {_REGISTRY[name].number: name for name in (*LEVELS, *_DISCS)}


def level(name: str) -> Level:
    """Look up a level by name; case and surrounding blanks do not matter.

    Raises
    ------
    LevelError
        If the name is unknown; the message suggests the nearest known one.

    Examples
    --------
    >>> level("l3").number, level("L3/L4").number
    (22, 122)
    """
    found = _REGISTRY.get(name) or _REGISTRY.get(name.strip().upper())
    if found is None:
        word = name.strip().upper()
        same_region = [known for known in _REGISTRY if known[0] == word[:1]]
        close = difflib.get_close_matches(word, same_region or _REGISTRY, n=1, cutoff=0.3)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise LevelError(f"unknown level {name!r}: expected one of C1..C7, T1..T13, L1..L6, S1, S2 or a disc{hint}")
    return found


def level_of_number(number: int) -> Level:
    """Look up a level by VerSe's number (100 + number of the vertebra above for a disc).

    Raises
    ------
    LevelError
        If no level has this number.
    """
    if number not in _BY_NUMBER:
        raise LevelError(f"no level has the number {number}: expected 1-26, 28, 29 or 102-129")
    return _REGISTRY[_BY_NUMBER[number]]


def anatomical_order(name: str) -> float:
    """Position of a level from cranial to caudal, to sort by; unknown names raise `LevelError`."""
    return level(name).order


def sort_levels(names: Iterable[str]) -> list[str]:
    """Sort level names from cranial to caudal.

    Examples
    --------
    >>> sort_levels(["L1", "T13", "C7", "T12"])
    ['C7', 'T12', 'T13', 'L1']
    """
    return sorted(names, key=anatomical_order)
