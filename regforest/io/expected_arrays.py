"""What the arrays of a model have to look like, and whether they do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from regforest.errors import ModelError

__all__ = ["Expected", "check_arrays"]


@dataclass(frozen=True)
class Expected:
    """An array of a model.

    Attributes
    ----------
    dtype : str
        Its type, such as ``"f4"``.
    shape : tuple of int or str
        Length of each axis; a name stands for the same length wherever it is used.
    low, high : float
        Smallest and largest value that is allowed; infinite values never are.
    or_nan : bool
        Whether values may be NaN: absent.
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: float = -1e6
    high: float = 1e6
    or_nan: bool = False


def check_arrays(arrays: Mapping[str, Any], expected: Mapping[str, Expected], sizes: Mapping[str, int]) -> None:
    """Raise `ModelError` unless every array is there and as expected.

    Parameters
    ----------
    arrays : mapping
        Name -> array.
    expected : mapping of str to Expected
        What is needed.
    sizes : mapping of str to int
        Names of axes whose length is known; the others get theirs where they are met first, at least 1.

    Examples
    --------
    >>> rows = Expected("f4", ("rows", 3))
    >>> check_arrays({"a": np.zeros((5, 3), "f4"), "b": np.zeros((4, 3), "f4")}, {"a": rows, "b": rows}, {})
    Traceback (most recent call last):
    ...
    regforest.errors.ModelError: array b: expected float32 of shape (5, 3), found float32 (4, 3)
    """
    known = dict(sizes)
    for name, about in expected.items():
        array = arrays.get(name)
        if not isinstance(array, np.ndarray):
            raise ModelError(f"array {name}: expected {about.dtype}, found {type(array).__name__}")
        shape = tuple(known.get(n, n) if isinstance(n, str) else n for n in about.shape)
        if array.dtype != about.dtype or not _bound(known, about.shape, array.shape):
            wanted = str(shape).replace("'", "")
            raise ModelError(
                f"array {name}: expected {np.dtype(about.dtype)} of shape {wanted}, found {array.dtype} {array.shape}"
            )
        lowest, highest = _range(array, about.or_nan)
        if not (about.low <= lowest and highest <= about.high):
            raise ModelError(
                f"array {name}: expected values from {about.low:g} to {about.high:g}, found {lowest} to {highest}"
            )


def _bound(known: dict[str, int], axes: tuple[int | str, ...], shape: tuple[int, ...]) -> bool:
    """Whether a shape fits; axes not known yet get their length."""
    if len(axes) != len(shape):
        return False
    for axis, length in zip(axes, shape, strict=True):
        wanted = known.setdefault(axis, max(length, 1)) if isinstance(axis, str) else axis
        if wanted != length:
            return False
    return True


def _range(array: Any, or_nan: bool) -> tuple[float, float]:
    """Smallest and largest value; NaN counts as such unless it is allowed."""
    if or_nan:
        array = array[~np.isnan(array)]
    if not array.size:
        return math.inf, -math.inf
    return float(array.min()), float(array.max())
