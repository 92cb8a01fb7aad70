"""Box features in whole voxels of one grid spacing, and their values at voxels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError
from regforest.features._kernels import BoxTable, dense, gather
from regforest.features.integral import IntegralVolume

__all__ = ["CompiledBoxes", "block_order", "check_index"]

_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))  # z y x, 0 low and 1 high
_SORT_BLOCK = 16


@dataclass(frozen=True, eq=False)
class CompiledBoxes:
    """A pool in whole voxels of one grid spacing; made by `BoxFeatures.compile`.

    Attributes
    ----------
    low_zyx, high_zyx : ndarray of int64, shape (F, 2, 3)
        First voxel of each box and the one behind its last, relative to the point.
    channels : ndarray of int32, shape (F, 2)
    scales : ndarray of float32, shape (F, 2)
        One over the number of voxels; 0 for an absent second box.
    """

    low_zyx: NDArray[np.int64]
    high_zyx: NDArray[np.int64]
    channels: NDArray[np.int32]
    scales: NDArray[np.float32]

    @property
    def padding_zyx(self) -> tuple[int, int, int]:
        """Voxels by which boxes at border voxels reach beyond the image, along z, y, x."""
        reach = np.maximum(-self.low_zyx, self.high_zyx - 1).max(axis=(0, 1))
        z, y, x = np.maximum(reach, 0)
        return int(z), int(y), int(x)

    def integrate(
        self,
        volumes: Sequence[NDArray[np.int16]],
        *,
        planes: tuple[int, int] | None = None,
        n_jobs: int | None = 1,
    ) -> IntegralVolume:
        """Build the table that these boxes need; see `IntegralVolume.build`."""
        integral = IntegralVolume.build(volumes, self.padding_zyx, planes=planes, n_jobs=n_jobs)
        self._check(integral)
        return integral

    def box_table(self, integral: IntegralVolume) -> BoxTable:
        """Return what the kernels read: the flat table, and the corners of all boxes as flat offsets."""
        self._check(integral)
        bounds = np.stack([self.low_zyx, self.high_zyx], axis=2)  # F, box, low or high, zyx
        corners = bounds[:, :, _CORNERS, np.arange(3)]
        channel = np.maximum(self.channels, 0).astype(np.int64)[..., None]
        offsets = integral.flat_offset(corners, channel).reshape(-1, 16)
        return BoxTable(integral.flat, np.ascontiguousarray(offsets.astype(np.int32)), self.scales)

    def evaluate(self, integral: IntegralVolume, index_zyx: ArrayLike) -> NDArray[np.float32]:
        """Compute all features at voxel indices (N, 3), shape (N, F); see `BoxFeatures.evaluate`."""
        index = check_index(index_zyx, integral.shape_zyx)
        out = np.empty((len(index), len(self.scales)), np.float32)
        gather(self.box_table(integral), integral.flat_index(index), block_order(index), out)
        return out

    def evaluate_dense(self, integral: IntegralVolume, planes: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """Compute all features at all voxels, or at those of planes[0] <= z < planes[1], shape (F, z, y, x)."""
        start, stop = planes or (0, integral.shape_zyx[0])
        if not 0 <= start <= stop <= integral.shape_zyx[0]:
            raise DataError(f"expected planes within 0..{integral.shape_zyx[0]}, got {start} to {stop}")
        out = np.empty((len(self.scales), stop - start, *integral.shape_zyx[1:]), np.float32)
        step_z, step_y = (int(integral.flat_index(np.array(step))) for step in ((1, 0, 0), (0, 1, 0)))
        dense(self.box_table(integral), start * step_z, step_z, step_y, out)
        return out

    def _check(self, integral: IntegralVolume) -> None:
        needed, given = int(self.channels.max()) + 1, integral.channels
        if given < needed:
            raise DataError(f"the features read {needed} channels, got {given}")
        if any(have < need for have, need in zip(integral.padding_zyx, self.padding_zyx, strict=True)):
            raise DataError(f"the table is padded by {integral.padding_zyx}, the boxes need {self.padding_zyx}")


def check_index(index_zyx: ArrayLike, shape_zyx: Sequence[int]) -> NDArray[np.int64]:
    """Return voxel indices as int64 (N, 3); `DataError` where one is outside the image."""
    index = np.asarray(index_zyx)
    index = index.reshape(-1, 3) if index.size else np.zeros((0, 3), np.int64)
    if index.dtype.kind not in "iu":
        raise DataError(f"expected whole voxel indices (z, y, x), got {index.dtype}")
    if ((index < 0) | (index >= np.asarray(shape_zyx))).any():
        raise DataError(f"voxel indices must lie inside the image of shape {tuple(shape_zyx)}")
    return np.ascontiguousarray(index, np.int64)


def block_order(index_zyx: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order in which to visit voxels so that neighbours follow each other: by blocks of 16 x 16 x 16."""
    z, y, x = index_zyx.T
    block = index_zyx // _SORT_BLOCK
    return np.lexsort((x, y, z, block[:, 2], block[:, 1], block[:, 0]))
