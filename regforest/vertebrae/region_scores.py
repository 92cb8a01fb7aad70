"""Scores of whole regions (cervical, thoracic, lumbar) as evidence for levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError
from regforest.spatial import LEVELS

__all__ = ["spread_region_scores"]

Floats = NDArray[np.float64]

# of what a detector of bodies scores as lumbar: it seldom marks the sacrum, and below L5 annotations of bodies know a
# sixth body alone, so that the doubt between the two goes to L6 (chosen on detections in real scans, as is the odds'
# exponent of 1)
_LUMBAR_SHARE = {"L6": 8.0, "S1": 0.05, "S2": 0.05}
_CERTAIN = 0.005  # a score is believed up to this from 0 and 1


def spread_region_scores(cervical: ArrayLike, thoracic: ArrayLike, lumbar: ArrayLike) -> Floats:
    """Spread the scores of regions over their levels, as `identify` wants them.

    The odds of the scores, not their ratios, tell regions apart: where one body is scored 0.98 thoracic and 0.75
    lumbar, the doubt is all on the lumbar side.

    Parameters
    ----------
    cervical, thoracic, lumbar : array_like, shape (N,)
        How much each detection looks like a body of the region, each in [0, 1]; they need not sum to 1, and what they
        leave of 1 speaks for a false detection.

    Returns
    -------
    ndarray, shape (N, 28)
        Natural logarithms. L6, S1 and S2 take their shares of the lumbar score.

    Raises
    ------
    DataError
        If a score is negative or not finite.

    Examples
    --------
    >>> scores = spread_region_scores([0.0], [0.9], [0.1])
    >>> [LEVELS[i] for i in np.flatnonzero(scores[0] == scores[0].max())][:2]
    ['T1', 'T2']
    """
    regions = np.stack([np.asarray(r, dtype=np.float64).ravel() for r in (cervical, thoracic, lumbar)], axis=1)
    if not (np.isfinite(regions).all() and (regions >= 0).all()):
        raise DataError("region scores must be finite and not negative")
    column = ["CTL".find(name[0]) if name[0] != "S" else 2 for name in LEVELS]
    share = np.array([_LUMBAR_SHARE.get(name, 1.0) for name in LEVELS])
    believed = np.clip(regions, _CERTAIN, 1 - _CERTAIN)
    odds = believed / (1 - believed)
    region = odds / odds.sum(axis=1, keepdims=True) * np.minimum(regions.sum(axis=1, keepdims=True), 1.0)
    # one density per level whatever the size of its region: a border body does not lean to the smaller region
    return np.asarray(np.log(np.maximum(region, 1e-6)[:, column] * share / 14))
