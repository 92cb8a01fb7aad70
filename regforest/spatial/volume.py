"""An image: voxels and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError
from regforest.spatial.grid import Grid, nearest_axes
from regforest.spatial.resampling import resample_labels, resample_linear

__all__ = ["Volume"]

_MAX_EXTENT_MM = 5000.0  # voxel sizes in another unit would ask for a working grid that fills the memory


@dataclass(frozen=True, eq=False)
class Volume:
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
        source_axis = [axes.index(world) for world in range(3)]  # world axis -> grid axis (x, y, z)
        voxels = self.voxels.transpose([2 - source_axis[2 - i] for i in range(3)])
        size, start, matrix = self.grid.size_xyz, np.zeros(3), np.eye(4)
        for world, axis in enumerate(source_axis):
            matrix[:3, world] = self.grid.matrix[:3, axis] * signs[axis]
            if signs[axis] < 0:
                start[axis] = size[axis] - 1
                voxels = np.flip(voxels, 2 - world)
        matrix[:3, 3] = self.grid.index_to_lps(start)
        return Volume(np.ascontiguousarray(voxels), Grid(voxels.shape, matrix))

    def resampled(self, target: Grid) -> Volume:
        """Interpolate linearly on another grid (float32, anti-aliased when shrinking, edges repeated)."""
        return Volume(resample_linear(self.voxels, self.grid, target), target)

    def resampled_labels(self, target: Grid) -> Volume:
        """Take the nearest voxel's label on another grid, 0 outside."""
        return Volume(resample_labels(self.voxels, self.grid, target), target)

    def isotropic(self, spacing_mm: float) -> Volume:
        """Bring the volume to canonical axis order and one spacing: the working grid of both methods.

        Raises
        ------
        DataError
            If the image would be longer than 5 m: its voxel sizes are wrong.
        """
        extent_mm = np.asarray(self.grid.size_xyz) * self.grid.spacing_mm
        if extent_mm.max() > _MAX_EXTENT_MM:
            size = " x ".join(f"{mm:.3g}" for mm in extent_mm)
            raise DataError(f"expected an image of a part of a body, found one of {size} mm; correct its voxel sizes")
        canonical = self.canonical()
        return canonical.resampled(canonical.grid.isotropic(spacing_mm))

    def cropped(self, start_xyz: ArrayLike, shape_zyx: tuple[int, int, int]) -> Volume:
        """Cut out a block of voxels; parts outside the volume are filled with the nearest voxel."""
        start = np.asarray(start_xyz, dtype=int)
        index = [
            np.clip(np.arange(start[2 - axis], start[2 - axis] + count), 0, self.voxels.shape[axis] - 1)
            for axis, count in enumerate(shape_zyx)
        ]
        return Volume(self.voxels[np.ix_(*index)], self.grid.cropped(start, shape_zyx))
