"""Prediction at voxels straight from summed-volume tables: only features that a node asks for are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError
from regforest.features import BoxFeatures, IntegralVolume
from regforest.features.compiled import block_order, check_index
from regforest.forest._kernels import predict_voxels
from regforest.forest.forest import Forest

__all__ = ["predict_points", "predict_volume"]


def predict_volume(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Sequence[NDArray[np.int16]] | IntegralVolume,
    spacing_mm: ArrayLike,
    *,
    stride: int = 1,
    outputs: Sequence[int] | None = None,
    n_jobs: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Predict at every voxel, or at every `stride`-th along each axis.

    Parameters
    ----------
    forest : Forest
        Trained on the features of `boxes`.
    boxes : BoxFeatures
        The pool, in millimetres.
    volumes : sequence of ndarray of int16, shape (z, y, x), or IntegralVolume
        The channels, on one grid; a table that was built by ``boxes.compile(spacing_mm).integrate(volumes)`` may
        stand in for them.
    spacing_mm : float or array_like, shape (3,)
        Spacing along x, y, z.
    stride : int
        Voxels 0, stride, 2 stride ... are predicted along each axis.
    outputs : sequence of int, optional
        Outputs (classes or targets) to return; all by default.
    n_jobs : int or None
        Threads, as joblib counts them; the result does not depend on it.
    progress : callable, optional
        Called with the number of planes done and their total, in the calling thread.

    Returns
    -------
    ndarray of float32, shape (n_outputs, ceil(z / stride), ceil(y / stride), ceil(x / stride))
        Class probabilities, or means of the regression targets.

    Raises
    ------
    DataError
        If the pool does not fit the forest or the channels, or the stride is not positive.
    """
    pruned, pool = _only_used_features(forest, boxes)
    if outputs is not None:
        pruned = _only_outputs(pruned, outputs)
    if stride < 1:
        raise DataError(f"expected a stride of at least 1, got {stride}")
    compiled = pool.compile(spacing_mm)
    integral = volumes if isinstance(volumes, IntegralVolume) else compiled.integrate(volumes)
    table, trees, depth = compiled.box_table(integral), pruned.trees, pruned.depth
    planes, lines, columns = (np.arange(0, n, stride) for n in integral.shape_zyx)
    out = np.empty((pruned.n_outputs, planes.size, lines.size, columns.size), np.float32)

    def predict(plane: int) -> None:
        index = np.stack(np.meshgrid(planes[plane], lines, columns, indexing="ij"), axis=-1).reshape(-1, 3)
        found = np.empty((len(index), pruned.n_outputs), np.float32)
        predict_voxels(table, trees, integral.flat_index(index), depth, found)
        out[:, plane] = found.T.reshape(out[:, plane].shape)

    tasks = (delayed(predict)(plane) for plane in range(planes.size))
    for done, _ in enumerate(Parallel(n_jobs, prefer="threads", return_as="generator")(tasks), start=1):
        if progress is not None:
            progress(done, planes.size)
    return out


def predict_points(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Sequence[NDArray[np.int16]] | IntegralVolume,
    spacing_mm: ArrayLike,
    index_zyx: ArrayLike,
) -> NDArray[np.float32]:
    """Predict at chosen voxels; equal to `predict_volume` there, bit for bit.

    Parameters
    ----------
    forest, boxes, volumes, spacing_mm
        As for `predict_volume`.
    index_zyx : array_like of int, shape (N, 3)
        Voxel indices inside the image.

    Returns
    -------
    ndarray of float32, shape (N, n_outputs)

    Raises
    ------
    DataError
        If the pool does not fit the forest or the channels, or an index lies outside.
    """
    pruned, pool = _only_used_features(forest, boxes)
    compiled = pool.compile(spacing_mm)
    integral = volumes if isinstance(volumes, IntegralVolume) else compiled.integrate(volumes)
    index = check_index(index_zyx, integral.shape_zyx)
    order = block_order(index)
    found = np.empty((len(index), pruned.n_outputs), np.float32)
    predict_voxels(
        compiled.box_table(integral), pruned.trees, integral.flat_index(index)[order], pruned.depth, found
    )  # fmt: skip
    out = np.empty_like(found)
    out[order] = found
    return out


def _only_used_features(forest: Forest, boxes: BoxFeatures) -> tuple[Forest, BoxFeatures]:
    """Drop features that no node asks for: less padding, and corner offsets that stay in the cache."""
    if forest.n_features != len(boxes):
        raise DataError(f"the forest was trained on {forest.n_features} features, the pool has {len(boxes)}")
    used = forest.used_features
    if used.size == 0:
        return forest, boxes
    number = np.full(forest.n_features + 1, -1, np.int32)  # the last entry is for the -1 of leaves
    number[used] = np.arange(used.size, dtype=np.int32)
    arrays = forest.to_arrays() | {"feature": number[forest.feature], "n_features": np.array(used.size)}
    return Forest.from_arrays(arrays), boxes.subset(used)


def _only_outputs(forest: Forest, outputs: Sequence[int]) -> Forest:
    chosen = np.asarray(outputs, np.int64)
    if chosen.ndim != 1 or chosen.size == 0 or (chosen < 0).any() or (chosen >= forest.n_outputs).any():
        raise DataError(f"expected outputs among 0..{forest.n_outputs - 1}, got {outputs}")
    return Forest.from_arrays(forest.to_arrays() | {"values": np.ascontiguousarray(forest.values[:, chosen])})
