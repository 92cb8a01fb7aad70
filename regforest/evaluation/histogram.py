"""How localization errors spread: counts in bins of 2 mm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["error_histogram"]

_WIDTH_MM, _LAST_MM = 2.0, 40.0


def error_histogram(errors_mm: Iterable[float]) -> dict[str, Any]:
    """Count errors in bins of 2 mm up to 40 mm, and those from there on.

    Parameters
    ----------
    errors_mm : iterable of float
        Distances in mm; NaN (a level that only one side has) is left out.

    Returns
    -------
    dict
        ``edges_mm``: 0, 2, ... 40; ``counts``: one for each bin, its lower edge included; ``beyond``: from 40 mm on.

    Examples
    --------
    >>> found = error_histogram([0.5, 2.0, 3.9, 55.0, float("nan")])
    >>> found["counts"][:3], found["beyond"]
    ([1, 2, 0], 1)
    """
    edges = np.arange(0.0, _LAST_MM + _WIDTH_MM, _WIDTH_MM)
    values = np.fromiter(errors_mm, dtype=np.float64)
    values = values[np.isfinite(values)]
    # the last bin of numpy's holds its upper edge, here it belongs to what lies beyond
    counts, _ = np.histogram(values[values < _LAST_MM], edges)
    return {"edges_mm": edges.tolist(), "counts": counts.tolist(), "beyond": int((values >= _LAST_MM).sum())}
