"""Numbers that may be undefined: NaN inside, null in files."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["defined", "spread"]


def defined(value: float | None) -> float | None:
    """Return a plain float, or None (JSON's null) for NaN, infinity and None."""
    return None if value is None or not math.isfinite(value) else float(value)


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, population standard deviation, median, min and max of the values; all None without values.

    Examples
    --------
    >>> spread([1.0, 3.0])
    {'mean': 2.0, 'std': 1.0, 'median': 2.0, 'min': 1.0, 'max': 3.0}
    """
    names = ("mean", "std", "median", "min", "max")
    array = np.asarray(values, dtype=np.float64)
    if not len(array):
        return dict.fromkeys(names)
    found = (array.mean(), array.std(), np.median(array), array.min(), array.max())
    return {name: defined(float(value)) for name, value in zip(names, found, strict=True)}
