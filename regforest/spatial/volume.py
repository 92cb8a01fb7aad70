"""An image: voxels and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._notebook import Shown
from regforest.errors import DataError
from regforest.spatial.grid import Grid, nearest_axes
from regforest.spatial.resampling import resample_labels, resample_linear

__all__ = ["Volume"]


@dataclass(frozen=True, eq=False)
class Volume(Shown):
    """Voxels on a grid.

    Parameters
    ----------
    voxels : ndarray, shape (z, y, x)
        Values of any number type, x fastest.
    grid : Grid
        Where the voxels lie; its shape must be that of `voxels`.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> grid = Grid.from_parts((2, 3, 4), spacing_mm=(1, 1, 2))
    >>> Volume(np.zeros((2, 3, 4), np.int16), grid).isotropic(1.0).voxels.shape
    (4, 3, 4)
    """

    voxels: NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape_zyx:
            raise DataError(f"voxels of shape {self.voxels.shape} do not fit a grid of shape {self.grid.shape_zyx}")

    def canonical(self) -> Volume:
        """Permute and flip the axes to the order nearest to LPS; no value changes."""
        axes, signs = nearest_axes(self.grid.direction)
        flipped = self.voxels[tuple(slice(None, None, sign) for sign in signs[::-1])]
        voxels = flipped.transpose([2 - axes.index(2 - axis) for axis in range(3)])
        return Volume(np.ascontiguousarray(voxels), self.grid.canonical())

    def resampled(self, target: Grid, n_jobs: int | None = 1) -> Volume:
        """Interpolate linearly on another grid (float32, anti-aliased when shrinking, edges repeated)."""
        return Volume(resample_linear(self.voxels, self.grid, target, n_jobs), target)

    def resampled_labels(self, target: Grid, n_jobs: int | None = 1) -> Volume:
        """Take the nearest voxel's label on another grid, 0 outside."""
        return Volume(resample_labels(self.voxels, self.grid, target, n_jobs), target)

    def isotropic(self, spacing_mm: float, n_jobs: int | None = 1) -> Volume:
        """Bring the volume to canonical axis order and one spacing: the working grid of both methods.

        Parameters
        ----------
        spacing_mm : float
            Distance of neighbouring voxels.
        n_jobs : int or None
            Threads, as joblib counts them; the result does not depend on it.

        Raises
        ------
        DataError
            If the image would be larger than a person: its voxel sizes are wrong.
        """
        return self.resampled(self.grid.canonical().isotropic(spacing_mm), n_jobs)

    def cropped(self, start_xyz: ArrayLike, shape_zyx: tuple[int, int, int]) -> Volume:
        """Cut out a block of voxels; parts outside the volume are filled with the nearest voxel."""
        start = np.asarray(start_xyz, dtype=int)
        index = [
            np.clip(np.arange(start[2 - axis], start[2 - axis] + count), 0, self.voxels.shape[axis] - 1)
            for axis, count in enumerate(shape_zyx)
        ]
        return Volume(self.voxels[np.ix_(*index)], self.grid.cropped(start, shape_zyx))
