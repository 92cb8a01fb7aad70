"""Which name the method gave to the body that was annotated as each level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.evaluation.localization import IDENTIFICATION_RADIUS_MM

__all__ = ["confusion"]

Points = Mapping[str, ArrayLike]


def confusion(cases: Iterable[tuple[Points, Points]]) -> Counter[tuple[str, str | None]]:
    """Count the names that annotated levels got.

    An annotated level is called what the closest prediction within 20 mm is called, whatever its right name; None
    where there is none.

    Parameters
    ----------
    cases : iterable of (mapping, mapping)
        Annotated and predicted points of each case: level -> (x, y, z) in LPS mm.

    Returns
    -------
    Counter
        (annotated level, its name in the prediction or None) -> number of cases.

    Examples
    --------
    >>> confusion([({"L1": (0, 0, 0), "L2": (0, 0, -35)}, {"T12": (0, 0, 2)})])
    Counter({('L1', 'T12'): 1, ('L2', None): 1})
    """
    return Counter(pair for annotated, predicted in cases for pair in _pairs(annotated, predicted))


def _pairs(annotated: Points, predicted: Points) -> Iterator[tuple[str, str | None]]:
    names = list(predicted)
    found: NDArray[np.float64] = np.array([predicted[name] for name in names], dtype=np.float64).reshape(-1, 3)
    for level, point in annotated.items():
        distances_mm = np.linalg.norm(found - np.asarray(point), axis=1)
        near = bool(len(names)) and distances_mm.min() <= IDENTIFICATION_RADIUS_MM
        yield level, names[int(distances_mm.argmin())] if near else None
