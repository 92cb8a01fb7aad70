"""Images as 16-bit numbers, and the summed-volume table that box means are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError
from regforest.features._kernels import integrate

__all__ = ["IntegralVolume", "Quantisation", "quantise"]

_LIMITS = np.iinfo(np.int16)
_CORE_STEPS = 16384  # a quarter of the 16-bit range for the bulk of the values, the rest for outliers
_MAX_PERCENTILE_VALUES = 1_000_000
_MAX_TABLE_VALUES = 2**31 - 1


@dataclass(frozen=True)
class Quantisation:
    """Affine map from image values to 16-bit numbers: ``number = rint((value - offset) / scale)``, clipped.

    Keep it with a model, so that later images are brought to the numbers that the model has learned from.

    Parameters
    ----------
    scale : float
        Image units per step; finite and positive.
    offset : float
        Image value that becomes 0.

    Examples
    --------
    >>> Quantisation(scale=0.5, offset=10.0).apply([[[9.0, 10.0, 12.0]]])
    array([[[-2,  0,  4]]], dtype=int16)
    """

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and np.isfinite(self.offset) and self.scale > 0):
            raise DataError(f"a quantisation needs a finite offset and a positive scale, got {self}")

    def apply(self, voxels: ArrayLike) -> NDArray[np.int16]:
        """Convert image values of any shape; values beyond the 16-bit range become its ends.

        Raises
        ------
        DataError
            If there are NaN or infinite values.
        """
        array: NDArray[Any] = np.asarray(voxels)
        if array.dtype == np.int16 and self == Quantisation():
            return np.ascontiguousarray(array)
        _check_finite(array)
        with np.errstate(over="ignore"):  # float32 infinities are clipped
            values: NDArray[np.floating[Any]] = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
            steps = np.clip((values - self.offset) / self.scale, _LIMITS.min, _LIMITS.max)
        return np.ascontiguousarray(np.rint(steps).astype(np.int16))

    def to_json(self) -> dict[str, float]:
        """Return ``{"scale": .., "offset": ..}``."""
        return {"scale": self.scale, "offset": self.offset}

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Quantisation:
        """Rebuild from what `to_json` returned."""
        return cls(float(settings["scale"]), float(settings["offset"]))


def quantise(voxels: ArrayLike, quantisation: Quantisation | None = None) -> tuple[NDArray[np.int16], Quantisation]:
    """Bring image values to 16-bit numbers.

    Integers within the 16-bit range pass unchanged. Other values are scaled so that the 0.5th and the 99.5th
    percentile are 16384 steps apart with 0 midway; what lies far beyond them is clipped. A constant image becomes 0.

    Parameters
    ----------
    voxels : array_like, any shape
        Image values.
    quantisation : Quantisation, optional
        A map to use instead (that of a model).

    Returns
    -------
    numbers : ndarray of int16, the shape of `voxels`
    quantisation : Quantisation
        The map that was used.

    Raises
    ------
    DataError
        If the image is empty, not numeric, or holds NaN or infinite values.
    """
    array = np.asarray(voxels)
    if array.size == 0 or array.dtype.kind not in "biuf":
        raise DataError(f"expected an image of numbers, got shape {array.shape} of type {array.dtype}")
    chosen = _quantisation_of(array) if quantisation is None else quantisation
    return chosen.apply(array), chosen


def _quantisation_of(array: NDArray[Any]) -> Quantisation:
    if array.dtype.kind in "biu" and array.min() >= _LIMITS.min and array.max() <= _LIMITS.max:
        return Quantisation()
    _check_finite(array)
    sample = array.reshape(-1)[:: max(1, array.size // _MAX_PERCENTILE_VALUES)].astype(np.float64)
    low, high = np.percentile(sample, [0.5, 99.5])
    if low == high:  # a few bright voxels on a constant ground
        low, high = float(array.min()), float(array.max())
    scale = high / _CORE_STEPS - low / _CORE_STEPS
    return Quantisation(scale if scale > 0 else 1.0, low / 2 + high / 2)


def _check_finite(array: NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise DataError(f"the image holds {bad} NaN or infinite values of {array.size}; replace them first")


@dataclass(frozen=True, eq=False)
class IntegralVolume:
    """Summed-volume tables of one or several channels on one grid, edge-padded.

    ``table[c, z, y, x]`` is the sum of padded channel `c` over all indices before z, y and x, in 32 bits with
    wrap-around: the sum of a box, cut back to 32 bits, is exact while the box holds fewer than 65536 voxels.

    Attributes
    ----------
    table : ndarray of int32, shape (channels, z + 2 pad_z + 1, y + 2 pad_y + 1, x + 2 pad_x + 1)
    shape_zyx : tuple of int
        Shape of the image.
    padding_zyx : tuple of int
        Voxels added at either end of each axis, with the value at the border.

    Examples
    --------
    >>> IntegralVolume.build(np.ones((2, 3, 4), np.int16), (0, 0, 0)).table[0, -1, -1, -1]
    np.int32(24)
    """

    table: NDArray[np.int32]
    shape_zyx: tuple[int, int, int]
    padding_zyx: tuple[int, int, int]

    @classmethod
    def build(
        cls, volumes: NDArray[np.int16] | Sequence[NDArray[np.int16]], padding_zyx: Sequence[int] = (0, 0, 0)
    ) -> IntegralVolume:
        """Integrate in one pass over the image; the padding is never stored by itself.

        Parameters
        ----------
        volumes : ndarray of int16, shape (z, y, x), or a sequence of such
            One channel, or several of one shape.
        padding_zyx : sequence of int
            How far boxes reach beyond the image.

        Raises
        ------
        DataError
            If a channel is not a three-dimensional array of int16, shapes differ, or the table would hold more than
            2**31 numbers.
        """
        channels = [volumes] if isinstance(volumes, np.ndarray) and volumes.ndim == 3 else list(volumes)
        found = [(channel.shape, str(channel.dtype)) for channel in channels]
        if not found or len(set(found)) > 1 or len(found[0][0]) != 3 or found[0][1] != "int16" or 0 in found[0][0]:
            raise DataError(f"expected int16 channels of one shape (z, y, x), got {found}; see quantise()")
        shape = channels[0].shape
        pad_z, pad_y, pad_x = padding = (int(padding_zyx[0]), int(padding_zyx[1]), int(padding_zyx[2]))
        padded = [n + 2 * p + 1 for n, p in zip(shape, padding, strict=True)]
        if len(channels) * np.prod(padded, dtype=np.float64) > _MAX_TABLE_VALUES:
            raise DataError(f"an image of shape {shape} padded by {padding} voxels is too large; use a coarser grid")
        table = np.empty((len(channels), *padded), np.int32)
        for channel, target in zip(channels, table, strict=True):
            integrate(np.ascontiguousarray(channel), pad_z, pad_y, pad_x, target)
        return cls(table, (shape[0], shape[1], shape[2]), padding)

    def flat_index(self, index_zyx: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Positions in the flat table of voxel indices (..., 3): where a box's low corner at offset 0 is read."""
        return np.asarray((np.asarray(index_zyx, np.int64) + self.padding_zyx) @ self.strides_zyx)

    @property
    def strides_zyx(self) -> NDArray[np.int64]:
        """Step in the flat table from a voxel to the next along z, y and x."""
        return np.array([self.table.shape[2] * self.table.shape[3], self.table.shape[3], 1], np.int64)
