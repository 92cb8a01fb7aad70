"""A scan made small enough to travel inside a page: what lies around its spine, coarse, in 8 bits."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from regforest.report.picture import grey_window, is_ct
from regforest.spatial import Grid, Volume

__all__ = ["small_volume"]

FloatArray = NDArray[np.float64]
_SPACINGS_MM = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)
_RADIUS_MM = 50.0
_BONE_HU = (120.0, 650.0)  # soft tissue would hide the spine in three dimensions and make the file large
_STEP = 4  # of the 256 grey values: the noise between them costs room


def small_volume(volume: Volume, spine_lps_mm: FloatArray, max_bytes: int) -> Volume:
    """Reduce a scan for the 3-D view.

    Parameters
    ----------
    volume : Volume
        Of any orientation and spacing.
    spine_lps_mm : ndarray, shape (N, 3)
        Points along the spine; what is further than 50 mm from their curve becomes 0. Without points all is kept.
    max_bytes : int
        The finest spacing is taken with which the voxels need no more than this when compressed.

    Returns
    -------
    Volume
        uint8, isotropic, canonical axes; CT shows bone alone.
    """
    for spacing_mm in _SPACINGS_MM:
        small = _reduced(volume, spine_lps_mm, spacing_mm)
        if len(zlib.compress(small.voxels.tobytes(), 6)) <= max_bytes:
            break
    return small


def _reduced(volume: Volume, spine: FloatArray, spacing_mm: float) -> Volume:
    coarse = volume.resampled(_around(volume, spine, spacing_mm))
    low, high = _BONE_HU if is_ct(volume) else grey_window(coarse.voxels)
    grey = np.clip((coarse.voxels - low) * (255 / (high - low)), 0, 255).astype(np.uint8) // _STEP * _STEP
    if len(spine):
        grey[~_near(coarse.grid, spine)] = 0
    return Volume(grey, coarse.grid)


def _around(volume: Volume, spine: FloatArray, spacing_mm: float) -> Grid:
    """Return an isotropic grid that holds the volume, as far as it is near the spine."""
    corners = volume.grid.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    if len(spine):
        low = np.maximum(low, spine.min(axis=0) - _RADIUS_MM)
        high = np.minimum(high, spine.max(axis=0) + _RADIUS_MM)
    x, y, z = (max(int(extent // spacing_mm) + 1, 2) for extent in high - low)
    return Grid.from_parts((z, y, x), (spacing_mm,) * 3, low)


def _near(grid: Grid, spine: FloatArray) -> NDArray[np.bool_]:
    """Whether each voxel lies near the curve through the points."""
    ordered = spine[np.argsort(spine[:, 2], kind="stable")]
    heights = np.arange(ordered[0, 2], ordered[-1, 2] + 5, 5.0)
    curve = np.stack([*(np.interp(heights, ordered[:, 2], ordered[:, axis]) for axis in (0, 1)), heights], axis=1)
    zyx = np.stack(np.meshgrid(*map(np.arange, grid.shape_zyx), indexing="ij"), axis=-1)
    distance_mm, _ = cKDTree(curve).query(grid.index_to_lps(zyx[..., ::-1]), distance_upper_bound=_RADIUS_MM)
    return np.asarray(np.isfinite(distance_mm))
