"""Change of sampling: separable linear interpolation, anti-aliased when shrinking; nearest labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regforest._threads import run_in_threads
from regforest.spatial.grid import Grid, nearest_axes

if TYPE_CHECKING:
    from regforest.spatial._kernels import Taps

__all__ = ["resample_labels", "resample_linear"]

# numba and joblib take most of a second to import and are loaded where they are used: the registry of levels, which
# stands in the same package, has to be at hand at once
_MAX_SEPARABLE_SHEAR = 1e-6
_COMPILED_TYPES = tuple(map(np.dtype, ("u1", "i2", "u2", "i4", "f4", "f8")))  # what images are stored in
_PLANES = 8  # of the result, in one task: the number of jobs does not change the tasks

Shape = tuple[int, int, int]
FloatArray = NDArray[np.float64]


def resample_linear(
    voxels: NDArray[np.generic], source: Grid, target: Grid, n_jobs: int | None = 1
) -> NDArray[np.float32]:
    """Interpolate a volume linearly on another grid; beyond its border the edge value is repeated.

    Grids with parallel axes, in whatever order and direction, are resampled axis by axis, with a hat function that
    widens when the target is coarser (no aliasing). For other grids the volume is interpolated between eight voxels,
    after hats along its own axes where the target is coarser; the two blur as much as the one does.

    Parameters
    ----------
    voxels : ndarray, shape (z, y, x)
        Values on `source`. A value that is not finite reaches the samples that use it.
    source, target : Grid
        Where the voxels are, and where they are wanted.
    n_jobs : int or None
        Threads, as joblib counts them; the result does not depend on it.

    Returns
    -------
    ndarray of float32, shape ``target.shape_zyx``
    """
    to_source, shape, axes = _in_source_order(source, target)
    stored = np.ascontiguousarray(voxels, dtype=voxels.dtype if voxels.dtype in _COMPILED_TYPES else np.float32)
    if _is_parallel(to_source):
        step = np.diag(to_source)[:3]
        result = _separably(stored, step, to_source[:3, 3], np.maximum(1.0, np.abs(step)), shape, n_jobs)
    else:
        result = _turned(stored, to_source, shape, n_jobs)
    return np.ascontiguousarray(result.transpose(axes))


def resample_labels(
    labels: NDArray[np.generic], source: Grid, target: Grid, n_jobs: int | None = 1
) -> NDArray[np.generic]:
    """Take the nearest voxel's label on another grid; 0 beyond the border.

    Parameters
    ----------
    labels : ndarray, shape (z, y, x)
        Labels on `source`.
    source, target : Grid
        Where the labels are, and where they are wanted.
    n_jobs : int or None
        Threads, as joblib counts them.

    Returns
    -------
    ndarray, shape ``target.shape_zyx``
        Of the dtype of `labels`. Halfway between two voxels it is the later one's.
    """
    from regforest.spatial._kernels import pick_affine, pick_parallel

    # copied bit by bit, so that one kernel for each width serves all types and byte orders
    bits = np.ascontiguousarray(labels).view(f"u{labels.dtype.itemsize}")
    to_source, shape, axes = _in_source_order(source, target)
    if _is_parallel(to_source):
        out = np.empty(shape, bits.dtype)
        z, y, x = (_nearest(to_source[xyz], xyz, shape[2 - xyz], source.size_xyz[xyz]) for xyz in (2, 1, 0))
        _by_planes(lambda first, last: pick_parallel(bits, z, y, x, first, last, out), shape[0], n_jobs)
        return np.ascontiguousarray(out.transpose(axes)).view(labels.dtype)
    out, matrix = np.empty(target.shape_zyx, bits.dtype), _to_source(source, target)
    _by_planes(lambda first, last: pick_affine(bits, matrix, first, last, out), len(out), n_jobs)
    return out.view(labels.dtype)


def _to_source(source: Grid, target: Grid) -> FloatArray:
    """Matrix (4, 4) from an index (x, y, z) on `target` to the one on `source`."""
    return np.asarray(np.linalg.inv(source.matrix) @ target.matrix)


def _in_source_order(source: Grid, target: Grid) -> tuple[FloatArray, Shape, tuple[int, ...]]:
    """Put the target's axes into the order of the source's, so that memory is read in runs.

    Returns
    -------
    to_source : ndarray, shape (4, 4)
        As `_to_source`, from an index on the target with its axes in the new order.
    shape : tuple of int
        Of that target (z, y, x).
    axes : tuple of int
        The transposition that brings an array of that shape back to the target's own order.
    """
    to_source = _to_source(source, target)
    follows, _ = nearest_axes(to_source[:3, :3] / np.linalg.norm(to_source[:3, :3], axis=0))
    order = np.argsort(follows)
    x, y, z = (target.size_xyz[axis] for axis in order)
    return to_source[:, [*order, 3]], (z, y, x), tuple(2 - follows[2 - axis] for axis in range(3))


def _is_parallel(to_source: FloatArray) -> bool:
    step = np.diag(np.diag(to_source)[:3])
    return bool(np.abs(to_source[:3, :3] - step).max() <= _MAX_SEPARABLE_SHEAR * np.abs(step).max())


def _separably(
    voxels: NDArray[Any],
    step_xyz: FloatArray,
    start_xyz: FloatArray,
    half_width_xyz: FloatArray,
    shape: Shape,
    n_jobs: int | None,
) -> NDArray[np.float32]:
    """Resample along each axis with hats about the source indices start + step * i."""
    from regforest.spatial._kernels import ROWS, resample_rows

    taps = [
        _hat_taps(shape[axis], step_xyz[xyz], start_xyz[xyz], half_width_xyz[xyz], voxels.shape[axis])
        for axis, xyz in ((0, 2), (1, 1), (2, 0))
    ]
    out = np.empty(shape, np.float32)
    tops = range(0, shape[1], ROWS)
    run_in_threads(resample_rows, ((voxels, *taps, top, out) for top in tops), n_jobs)
    return out


def _turned(voxels: NDArray[Any], to_source: FloatArray, shape: Shape, n_jobs: int | None) -> NDArray[np.float32]:
    """Interpolate between eight voxels, of an image that is smoothed along its own axes first where it is too fine.

    The hat of the smoothing and that of the interpolation, one after the other, have the variance (half width squared
    / 6) of the one hat that parallel grids get. The smoothed image's spacing is half its hat's half width, so that
    every voxel counts alike.
    """
    from regforest.spatial._kernels import interpolate_affine

    width = np.linalg.norm(to_source[:3, :3], axis=1)  # source voxels per target voxel, along x, y, z of the source
    step = np.maximum(1.0, width / np.sqrt(5))
    half_width = np.sqrt(np.maximum(1.0, width**2 - step**2))
    if half_width.max() > 1:
        last = np.array(voxels.shape[::-1]) - 1
        count = np.ceil(last / step - 1e-6).astype(int) + 1
        start = (last - (count - 1) * step) / 2  # in the middle, so that a flipped image gives the flipped result
        x, y, z = count.tolist()
        voxels = _separably(voxels, step, start, half_width, (z, y, x), n_jobs)
        to_source = (to_source[:3] - np.outer(start, [0, 0, 0, 1])) / step[:, None]
    matrix, out = np.ascontiguousarray(to_source[:3]), np.empty(shape, np.float32)
    _by_planes(lambda first, last: interpolate_affine(voxels, matrix, first, last, out), shape[0], n_jobs)
    return out


def _by_planes(fill: Callable[[int, int], None], count: int, n_jobs: int | None) -> None:
    firsts = range(0, count, _PLANES)
    run_in_threads(fill, ((first, min(first + _PLANES, count)) for first in firsts), n_jobs)


def _nearest(row: FloatArray, xyz: int, count: int, length: int) -> NDArray[np.int64]:
    """Source index of each sample along an axis, -1 outside; `row` of the matrix of parallel axes."""
    index = np.floor(row[3] + row[xyz] * np.arange(count) + 0.5).astype(np.int64)
    return np.where((index >= 0) & (index < length), index, -1)


def _hat_taps(count: int, step: float, start: float, half_width: float, length: int) -> Taps:
    """Weights for each of `count` samples at start + step * i along an axis of `length` voxels.

    The weights are a hat of unit sum whose centre of mass is the sample's place, so that linear ramps stay ramps
    (a wide hat read at whole indices alone would lean to one side by up to a tenth of a voxel). Taps that reach past
    an end use the end.
    """
    from regforest.spatial._kernels import Taps

    centre = start + step * np.arange(count)
    first = np.floor(centre - half_width).astype(np.int64) + 1
    index = first[:, None] + np.arange(int(np.ceil(2 * half_width)) + 1)
    weights = np.maximum(0.0, 1 - np.abs(index - centre[:, None]) / half_width)
    weights /= weights.sum(axis=1, keepdims=True)
    offset = index - (weights * index).sum(axis=1, keepdims=True)
    lean = (weights * (index - centre[:, None])).sum(axis=1, keepdims=True)
    variance = (weights * offset**2).sum(axis=1, keepdims=True)
    weights *= 1 - lean * offset / np.maximum(variance, 1e-6)  # no variance: a single tap, which does not lean
    used = weights.any(axis=0)
    heaviest = np.take_along_axis(index, weights.argmax(axis=1)[:, None], axis=1)
    index = np.clip(np.where(weights != 0, index, heaviest), 0, length - 1)
    return Taps(np.ascontiguousarray(index[:, used]), np.ascontiguousarray(weights[:, used], dtype=np.float32))
