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
    certain: float = 0.92,
    stride: int = 2,
    n_jobs: int | None = 1,
) -> NDArray[np.float32]:
    """Predict every `stride`-th voxel, then all voxels near those where the background is not nearly certain.

    A voxel that is not looked at closely takes the value of the coarse voxel of its block.

    Parameters
    ----------
    forest, boxes, volumes, spacing_mm
        As for `predict_volume`.
    background : int
        Output that holds the probability of the background.
    certain : float
        Least probability of the background for a place to be left at the coarse prediction; above 1, every voxel is
        predicted.
    stride : int
        Step of the coarse prediction along each axis.
    n_jobs : int or None
        Threads; the result does not depend on it.

    Returns
    -------
    ndarray of float32, shape (n_outputs, z, y, x)

    Raises
    ------
    DataError
        If the pool does not fit the forest or the channels, or there is no such output.
    """
    if not 0 <= background < forest.n_outputs:
        raise DataError(f"expected a background among the outputs 0..{forest.n_outputs - 1}, got {background}")
    ready = VoxelForest.compile(forest, boxes, spacing_mm)
    integral = ready.boxes.integrate(volumes, n_jobs=n_jobs)
    coarse_work = SlabPrediction(ready, integral, stride, n_jobs)
    coarse = np.empty((ready.n_outputs, *coarse_work.shape_zyx), np.float32)
    coarse_work.fill(slice(0, coarse.shape[1]), maps=coarse)
    # a body may lie between coarse voxels: their neighbours count as uncertain too
    uncertain = ndimage.binary_dilation(coarse[background] < certain, np.ones((3, 3, 3)))
    out = np.empty((ready.n_outputs, *integral.shape_zyx), np.float32)
    run_in_threads(spread_blocks, ((coarse, stride, plane, out) for plane in range(out.shape[1])), n_jobs)
    z, y, x = (np.arange(n) // stride for n in integral.shape_zyx)
    wanted = uncertain[np.ix_(z, y, x)]
    wanted[::stride, ::stride, ::stride] = False  # known already
    SlabPrediction(ready, integral, 1, n_jobs).fill(slice(0, out.shape[1]), maps=out, wanted=wanted)
    return out
