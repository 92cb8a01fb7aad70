"""Prediction over a whole volume that looks closely only where something may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest.dense import predict_points, predict_volume
from regforest.forest.forest import Forest

__all__ = ["predict_coarse_to_fine"]

_BATCH_VOXELS = 50_000

Scalar = TypeVar("Scalar", bound=np.generic)


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
    integral = boxes.compile(spacing_mm).integrate(volumes)
    coarse = predict_volume(forest, boxes, integral, spacing_mm, stride=stride, n_jobs=n_jobs)
    # a body may lie between coarse voxels: their neighbours count as uncertain too
    uncertain = ndimage.binary_dilation(coarse[background] < certain, np.ones((3, 3, 3)))
    out = _blocks(coarse, integral.shape_zyx, stride)
    index = np.argwhere(_blocks(uncertain[None], integral.shape_zyx, stride)[0])
    batches = np.array_split(index, max(effective_n_jobs(n_jobs), len(index) // _BATCH_VOXELS))

    def refine(batch: NDArray[np.int64]) -> None:
        z, y, x = batch.T
        out[:, z, y, x] = predict_points(forest, boxes, integral, spacing_mm, batch).T

    Parallel(n_jobs, prefer="threads")(delayed(refine)(batch) for batch in batches if len(batch))
    return out


def _blocks(coarse: NDArray[Scalar], shape_zyx: Sequence[int], stride: int) -> NDArray[Scalar]:
    """Spread each coarse voxel over its block of the fine grid."""
    fine = coarse
    for axis, count in enumerate(shape_zyx, start=1):
        fine = np.take(fine, np.arange(count) // stride, axis=axis)
    return fine
