"""Images as 16-bit numbers, and the summed-volume table that box means are read from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray

from regforest._threads import run_in_threads
from regforest.errors import DataError
from regforest.features._kernels import integrate, regroup_columns
from regforest.features._lanes import LANES

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
    flat : ndarray of int32, shape (N + LANES,)
        The tables one behind the other, and a few spare numbers that vectors may read beyond their end.
    channels : int
    shape_zyx : tuple of int
        Shape of the image, or of the planes of it that the tables are made for.
    padding_zyx : tuple of int
        Voxels added at either end of each axis, with the value at the border.
    step_x : int
        1, or the step of `every`.

    Examples
    --------
    >>> IntegralVolume.build(np.ones((2, 3, 4), np.int16), (0, 0, 0)).table[0, -1, -1, -1]
    np.int32(24)
    """

    flat: NDArray[np.int32]
    channels: int
    shape_zyx: tuple[int, int, int]
    padding_zyx: tuple[int, int, int]
    step_x: int = 1

    @classmethod
    def build(
        cls,
        volumes: NDArray[np.int16] | Sequence[NDArray[np.int16]],
        padding_zyx: Sequence[int] = (0, 0, 0),
        *,
        planes: tuple[int, int] | None = None,
        n_jobs: int | None = 1,
    ) -> IntegralVolume:
        """Integrate in one pass over the image; the padding is never stored by itself.

        Parameters
        ----------
        volumes : ndarray of int16, shape (z, y, x), or a sequence of such
            One channel, or several of one shape.
        padding_zyx : sequence of int
            How far boxes reach beyond the image.
        planes : (int, int), optional
            Make tables for the voxels of planes ``planes[0] <= z < planes[1]`` alone; all by default. Boxes around
            them see what they see in the table of the whole image.
        n_jobs : int or None
            Threads; the table does not depend on it.

        Raises
        ------
        DataError
            If a channel is not a three-dimensional array of int16, shapes differ, planes are not of the image, or
            the table would hold more than 2**31 numbers.
        """
        channels = [volumes] if isinstance(volumes, np.ndarray) and volumes.ndim == 3 else list(volumes)
        found = [(channel.shape, str(channel.dtype)) for channel in channels]
        if not found or len(set(found)) > 1 or len(found[0][0]) != 3 or found[0][1] != "int16" or 0 in found[0][0]:
            raise DataError(f"expected int16 channels of one shape (z, y, x), got {found}; see quantise()")
        size_z, size_y, size_x = channels[0].shape
        start, stop = planes or (0, size_z)
        if not 0 <= start < stop <= size_z:
            raise DataError(f"expected planes within 0..{size_z}, got {start} to {stop}")
        padding = (int(padding_zyx[0]), int(padding_zyx[1]), int(padding_zyx[2]))
        shape = (stop - start, size_y, size_x)
        if len(channels) * np.prod(_padded(shape, padding), dtype=np.float64) > _MAX_TABLE_VALUES:
            raise DataError(f"an image of shape {shape} padded by {padding} voxels is too large; use a coarser grid")
        flat = np.empty(len(channels) * int(np.prod(_padded(shape, padding))) + LANES, np.int32)
        flat[-LANES:] = 0
        integral = cls(flat, len(channels), shape, padding)
        bounds = np.linspace(0, integral.table.shape[2], effective_n_jobs(n_jobs) + 1).astype(int)
        parts = (
            (np.ascontiguousarray(channel), padding, start, low, high, target)
            for channel, target in zip(channels, integral.table, strict=True)
            for low, high in itertools.pairwise(bounds)
            if low < high
        )
        run_in_threads(integrate, parts, n_jobs)
        return integral

    @property
    def table(self) -> NDArray[np.int32]:
        """The tables, shape (channels, z + 2 pad_z + 1, y + 2 pad_y + 1, x + 2 pad_x + 1); of step 1 alone."""
        return self.flat[:-LANES].reshape(self.channels, *_padded(self.shape_zyx, self.padding_zyx))

    def every(self, step: int) -> IntegralVolume:
        """Reorder the numbers for work on every `step`-th voxel along x: what follows each other is side by side.

        The features of these voxels are the same, bit for bit.
        """
        if step == 1:
            return self
        table = self.table
        columns = -(-table.shape[3] // step)
        flat = np.zeros(table[..., 0].size * step * columns + LANES, np.int32)
        regroup_columns(
            table.reshape(-1, *table.shape[2:]), step, flat[:-LANES].reshape(-1, table.shape[2], step, columns)
        )
        return IntegralVolume(flat, self.channels, self.shape_zyx, self.padding_zyx, step)

    @property
    def strides(self) -> tuple[int, int, int, int]:
        """Steps in the flat table from a channel, a plane, a row, and a phase of `every` to the next."""
        planes, rows, columns = _padded(self.shape_zyx, self.padding_zyx)
        phase = -(-columns // self.step_x)
        row = phase * self.step_x
        return planes * rows * row, rows * row, row, phase

    def flat_index(self, index_zyx: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Positions of voxels (..., 3) in the flat table, to which the offsets of corners are added.

        With a step, x must be a multiple of it.
        """
        _, plane, row, _ = self.strides
        z, y, x = np.moveaxis(np.asarray(index_zyx, np.int64), -1, 0)
        return np.asarray(z * plane + y * row + x // self.step_x)

    def flat_offset(self, corner_zyx: NDArray[np.int64], channel: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Offsets in the flat table of corners (..., 3) given in voxels from a voxel, in a channel (...)."""
        table, plane, row, phase = self.strides
        z, y, x = np.moveaxis(corner_zyx + self.padding_zyx, -1, 0)
        return np.asarray(channel * table + z * plane + y * row + x % self.step_x * phase + x // self.step_x)


def _padded(shape_zyx: Sequence[int], padding_zyx: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = (n + 2 * p + 1 for n, p in zip(shape_zyx, padding_zyx, strict=True))
    return z, y, x
