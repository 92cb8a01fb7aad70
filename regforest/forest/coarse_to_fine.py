"""Prediction over a whole volume that looks closely only where something may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from regforest._threads import run_in_threads
from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest._descent import spread_blocks
from regforest.forest.forest import Forest
from regforest.forest.slabs import SlabPrediction, VoxelForest

__all__ = ["predict_coarse_to_fine"]


def predict_coarse_to_fine(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Sequence[NDArray[np.int16]],
    spacing_mm: ArrayLike,
    *,
    background: int,
    doubt: float = 0.1,
    stride: int = 4,
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
    n_jobs : int or None
        Threads; the result does not depend on it.

    Returns
    -------
    ndarray of float32, shape (n_outputs, z, y, x)

    Raises
    ------
    DataError
        If the pool does not fit the forest or the channels, there is no such output, or the stride is no power of 2.
    """
    if not 0 <= background < forest.n_outputs:
        raise DataError(f"expected a background among the outputs 0..{forest.n_outputs - 1}, got {background}")
    if stride < 1 or stride & (stride - 1):
        raise DataError(f"expected a stride of 1, 2, 4, 8 ..., got {stride}")
    ready = VoxelForest.compile(forest, boxes, spacing_mm)
    integral = ready.boxes.integrate(volumes, n_jobs=n_jobs)
    work = SlabPrediction(ready, integral, stride, n_jobs)
    maps = np.empty((ready.n_outputs, *work.shape_zyx), np.float32)
    work.fill(slice(0, maps.shape[1]), maps=maps)
    while stride > 1:
        foreground = maps[background] < 1 - doubt / stride
        stride //= 2
        maps = _refine(maps, foreground, SlabPrediction(ready, integral, stride, n_jobs))
    return maps


def _refine(coarse: NDArray[np.float32], foreground: NDArray[np.bool_], work: SlabPrediction) -> NDArray[np.float32]:
    """Go over to half the stride: predict the neighbours of the foreground, spread the other values."""
    maps = np.empty((len(coarse), *work.shape_zyx), np.float32)
    run_in_threads(spread_blocks, ((coarse, plane, maps) for plane in range(maps.shape[1])), work.n_jobs)
    wanted = np.zeros(work.shape_zyx, np.bool_)
    wanted[::2, ::2, ::2] = foreground
    wanted = ndimage.binary_dilation(wanted, np.ones((3, 3, 3)))
    wanted[::2, ::2, ::2] = False  # known already
    work.fill(slice(0, maps.shape[1]), maps=maps, wanted=wanted)
    return maps
