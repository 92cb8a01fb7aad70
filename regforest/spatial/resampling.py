"""Change of sampling: separable linear interpolation, anti-aliased when shrinking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest.spatial.grid import Grid

__all__ = ["resample_labels", "resample_linear"]

# scipy and numba take most of a second to import and are loaded where they are used: the registry of levels, which
# stands in the same package, has to be at hand at once
_MAX_SEPARABLE_SHEAR = 1e-6


def resample_linear(voxels: NDArray[np.generic], source: Grid, target: Grid) -> NDArray[np.float32]:
    """Interpolate a volume linearly on another grid; beyond its border the edge value is repeated.

    Grids with parallel axes are resampled axis by axis, with a hat function that widens when the target is
    coarser (no aliasing). Other grids go through `scipy.ndimage`, after the same smoothing.

    Parameters
    ----------
    voxels : ndarray, shape (z, y, x)
        Values on `source`.
    source, target : Grid
        Where the voxels are, and where they are wanted.

    Returns
    -------
    ndarray of float32, shape ``target.shape_zyx``
    """
    to_source = np.linalg.inv(source.matrix) @ target.matrix  # index on target -> index on source
    steps = to_source[:3, :3]
    step = np.abs(np.diag(steps))
    if np.abs(steps - np.diag(np.diag(steps))).max() <= _MAX_SEPARABLE_SHEAR * step.max():
        result = np.ascontiguousarray(voxels, dtype=np.float32)
        for axis in range(3):
            xyz = 2 - axis
            first, weights = _hat_taps(target.shape_zyx[axis], steps[xyz, xyz], to_source[xyz, 3])
            result = _along_axis(result, axis, first, weights)
        return result
    from scipy import ndimage

    width = np.linalg.norm(steps, axis=1)[::-1]  # source voxels per target voxel, z y x
    sigma = np.where(width > 1, 0.4 * np.sqrt(np.maximum(width**2 - 1, 0)), 0)
    smooth = ndimage.gaussian_filter(np.asarray(voxels, dtype=np.float32), sigma, mode="nearest")
    flip = to_source[:3, 3][::-1]
    result = ndimage.affine_transform(
        smooth, steps[::-1, ::-1], flip, target.shape_zyx, order=1, mode="nearest", output=np.float32
    )
    return np.asarray(result)


def resample_labels(labels: NDArray[np.generic], source: Grid, target: Grid) -> NDArray[np.generic]:
    """Take the nearest voxel's label on another grid; 0 beyond the border.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x)
        Labels on `source`.
    source, target : Grid
        Where the labels are, and where they are wanted.

    Returns
    -------
    ndarray, shape ``target.shape_zyx``
        Of the dtype of `labels`.
    """
    from scipy import ndimage

    to_source = np.linalg.inv(source.matrix) @ target.matrix
    return np.asarray(
        ndimage.affine_transform(
            labels, to_source[:3, :3][::-1, ::-1], to_source[:3, 3][::-1], target.shape_zyx,
            order=0, mode="grid-constant", cval=0, output=labels.dtype,
        )
    )  # fmt: skip


def _hat_taps(count: int, step: float, start: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """First source index and weights for each of `count` samples at start + step * i.

    The weights are a hat of unit sum whose centre of mass is the sample's place, so that linear ramps stay ramps
    (a wide hat read at whole indices alone would lean to one side by up to a tenth of a voxel).
    """
    half_width = max(1.0, abs(step))
    centre = start + step * np.arange(count)
    first = np.floor(centre - half_width).astype(np.int64) + 1
    taps = first[:, None] + np.arange(int(np.ceil(2 * half_width)) + 1)
    weights = np.maximum(0.0, 1 - np.abs(taps - centre[:, None]) / half_width)
    weights /= weights.sum(axis=1, keepdims=True)
    offset = taps - (weights * taps).sum(axis=1, keepdims=True)
    lean = (weights * (taps - centre[:, None])).sum(axis=1, keepdims=True)
    variance = (weights * offset**2).sum(axis=1, keepdims=True)
    weights *= 1 - lean * offset / np.maximum(variance, 1e-6)  # no variance: a single tap, which does not lean
    return first, weights.astype(np.float32)


def _along_axis(
    voxels: NDArray[np.float32], axis: int, first: NDArray[np.int64], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    from regforest.spatial._kernels import weighted_rows

    count = len(first)
    shape = (*voxels.shape[:axis], count, *voxels.shape[axis + 1 :])
    inner = int(np.prod(voxels.shape[axis + 1 :], dtype=np.int64))
    source = voxels.reshape(-1, voxels.shape[axis], inner)
    out = np.empty((source.shape[0], count, inner), np.float32)
    weighted_rows(source, first, weights, out)
    return out.reshape(shape)
