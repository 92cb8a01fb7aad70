"""Prediction over a whole volume that looks closely only where something may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._threads import run_in_threads
from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest._descent import BRICK_Z
from regforest.forest._refining import refine_plane
from regforest.forest.forest import Forest
from regforest.forest.slabs import SlabPrediction, VoxelForest, slab_bytes

__all__ = ["coarse_to_fine_memory_mb", "predict_coarse_to_fine"]

_MASK_BYTES = 1  # of a voxel: which ones are looked at
_SHARE = 0.4  # of the foreground that matters, between voxels 2 apart: so much is left of most bodies' rims


def predict_coarse_to_fine(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Sequence[NDArray[np.int16]],
    spacing_mm: ArrayLike,
    *,
    background: int,
    doubt: float = 0.1,
    stride: int = 4,
    max_memory_mb: float | None = None,
    n_jobs: int | None = 1,
) -> NDArray[np.float32]:
    """Predict every `stride`-th voxel, then those between wherever the background is not all but certain.

    The stride is halved step by step. At each step the voxels next to one whose foreground (all but the background)
    has a probability above ``doubt / stride`` are predicted; the others take the value of the coarser voxel whose
    block they are in.

    Parameters
    ----------
    forest, boxes, volumes, spacing_mm
        As for `predict_volume`.
    background : int
        Output that holds the probability of the background.
    doubt : float
        Less looks at more voxels; below 0 at all. Where classes are as sharp as hard labels make them and only the
        most probable one counts, 0.4 is enough.
    stride : int
        Step of the first prediction along each axis, a power of 2.
    max_memory_mb : float, optional
        Bound for the memory that the work takes beside the volumes and the result, as for `predict_volume`.
    n_jobs : int or None
        Threads; the result does not depend on it.

    Returns
    -------
    ndarray of float32, shape (n_outputs, z, y, x)

    Raises
    ------
    DataError
        If the pool does not fit the forest or the channels, there is no such output, the stride is no power of 2, or
        the work does not fit into the memory.
    """
    if not 0 <= background < forest.n_outputs:
        raise DataError(f"expected a background among the outputs 0..{forest.n_outputs - 1}, got {background}")
    if stride < 1 or stride & (stride - 1):
        raise DataError(f"expected a stride of 1, 2, 4, 8 ..., got {stride}")
    ready = VoxelForest.compile(forest, boxes, spacing_mm)
    # one table serves all strides; in slabs it is made anew for each
    seen = volumes if max_memory_mb is not None else ready.boxes.integrate(volumes, n_jobs=n_jobs)
    work = SlabPrediction(ready, seen, stride, n_jobs)
    maps = np.empty((ready.n_outputs, *work.shape_zyx), np.float32)
    for planes in work.slabs(max_memory_mb):
        work.fill(planes, maps=maps)
    while stride > 1:
        least = _SHARE * doubt * (2 / stride) ** 2
        stride //= 2
        maps = _refine(maps, background, least, SlabPrediction(ready, seen, stride, n_jobs), max_memory_mb)
    return maps


def coarse_to_fine_memory_mb(
    forest: Forest,
    boxes: BoxFeatures,
    shape_zyx: Sequence[int],
    spacing_mm: ArrayLike,
    *,
    stride: int = 4,
    n_jobs: int | None = 1,
) -> tuple[float, float, float]:
    """Bound what `predict_coarse_to_fine` takes, in megabytes, before there is a volume.

    Parameters
    ----------
    forest, boxes, spacing_mm, stride, n_jobs
        As for `predict_coarse_to_fine`.
    shape_zyx : sequence of int
        Of the volume.

    Returns
    -------
    result, whole, thinnest : float
        The result with what was found at the stride before; the rest of the work with a table of the whole image, and
        with the thinnest slabs that are worth it, of as many planes as a brick.
    """
    ready = VoxelForest.compile(forest, boxes, spacing_mm)
    voxels = float(np.prod(shape_zyx, dtype=np.float64))
    fixed, each = slab_bytes(ready, shape_zyx, stride, n_jobs)  # the first stride needs the most
    planes = -(-shape_zyx[0] // stride)
    result = voxels * (ready.n_outputs * 4.5 + _MASK_BYTES)
    return result / 1e6, (fixed + planes * each) / 1e6, (fixed + min(BRICK_Z, planes) * each) / 1e6


def _refine(
    coarse: NDArray[np.float32], background: int, least: float, work: SlabPrediction, max_memory_mb: float | None
) -> NDArray[np.float32]:
    """Go over to half the stride: predict where the foreground may be `least`, spread the other values."""
    maps = np.empty((len(coarse), *work.shape_zyx), np.float32)
    wanted = np.empty(work.shape_zyx, np.bool_)
    parts = ((coarse, background, least, z, maps, wanted) for z in range(len(wanted)))
    run_in_threads(refine_plane, parts, work.n_jobs)
    for planes in work.slabs(max_memory_mb):
        work.fill(planes, maps=maps, wanted=wanted)
    return maps
