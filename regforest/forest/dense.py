"""Prediction at voxels straight from summed-volume tables: only features that a node asks for are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._threads import Progress
from regforest.features import BoxFeatures, IntegralVolume
from regforest.features.compiled import block_order, check_index
from regforest.forest import _kernels
from regforest.forest.forest import Forest
from regforest.forest.slabs import Channels, SlabPrediction, VoxelForest

__all__ = ["Labels", "predict_labels", "predict_points", "predict_slabs", "predict_volume"]


def predict_volume(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Channels,
    spacing_mm: ArrayLike,
    *,
    stride: int = 1,
    outputs: Sequence[int] | None = None,
    max_memory_mb: float | None = None,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
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
    max_memory_mb : float, optional
        Bound for the memory that the work takes beside the volumes and the result: the image is integrated and
        predicted slab by slab. No bound by default.
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
        If the pool does not fit the forest or the channels, the stride is not positive, or the work does not fit
        into the memory.

    Examples
    --------
    >>> from regforest import ForestClassifier
    >>> image = np.arange(512, dtype=np.int16).reshape(8, 8, 8)
    >>> pool = BoxFeatures.random(9, seed=0, max_offset_mm=3, size_range_mm=(1, 4))
    >>> index = np.argwhere(image >= 0)
    >>> model = ForestClassifier(4, random_state=0).fit(pool.evaluate([image], 1.0, index), index[:, 0] > 3)
    >>> predict_volume(model.forest_, pool, [image], 1.0, stride=2).shape
    (2, 4, 4, 4)
    """
    work = SlabPrediction(VoxelForest.compile(forest, boxes, spacing_mm, outputs), volumes, stride, n_jobs, progress)
    maps = np.empty((work.forest.n_outputs, *work.shape_zyx), np.float32)
    for planes in work.slabs(max_memory_mb):
        work.fill(planes, maps=maps)
    return maps


class Labels(NamedTuple):
    """Most probable class of each voxel.

    Attributes
    ----------
    label : ndarray of int16, shape (z, y, x)
        Number of the output; the lowest where several are equal.
    probability : ndarray of float32, shape (z, y, x)
        Its value.
    """

    label: NDArray[np.int16]
    probability: NDArray[np.float32]


def predict_labels(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Channels,
    spacing_mm: ArrayLike,
    *,
    stride: int = 1,
    max_memory_mb: float | None = None,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
) -> Labels:
    """Predict the most probable class and its probability, without the memory for all the others.

    Parameters and errors as for `predict_volume`.

    Returns
    -------
    Labels
        ``label`` equals ``predict_volume(...).argmax(axis=0)``, and ``probability`` the maximum.

    Examples
    --------
    >>> from regforest import ForestClassifier
    >>> image = np.arange(512, dtype=np.int16).reshape(8, 8, 8)
    >>> pool = BoxFeatures.random(9, seed=0, max_offset_mm=3, size_range_mm=(1, 4))
    >>> index = np.argwhere(image >= 0)
    >>> model = ForestClassifier(4, random_state=0).fit(pool.evaluate([image], 1.0, index), index[:, 0] > 3)
    >>> predict_labels(model.forest_, pool, [image], 1.0).label[:, 4, 4]
    array([0, 0, 0, 0, 1, 1, 1, 1], dtype=int16)
    """
    work = SlabPrediction(VoxelForest.compile(forest, boxes, spacing_mm), volumes, stride, n_jobs, progress)
    found = Labels(np.empty(work.shape_zyx, np.int16), np.empty(work.shape_zyx, np.float32))
    for planes in work.slabs(max_memory_mb):
        work.fill(planes, labels=found.label, best=found.probability)
    return found


def predict_slabs(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Channels,
    spacing_mm: ArrayLike,
    *,
    max_memory_mb: float,
    stride: int = 1,
    outputs: Sequence[int] | None = None,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Predict slab by slab, for volumes whose full answer does not fit into memory.

    Parameters and errors as for `predict_volume`; here `max_memory_mb` bounds the result's slab too.

    Yields
    ------
    planes : slice
        Planes of the (strided) volume, one slab behind the other.
    maps : ndarray of float32, shape (n_outputs, planes, y, x)
        Equal to ``predict_volume(...)[:, planes]``, bit for bit.
    """
    work = SlabPrediction(VoxelForest.compile(forest, boxes, spacing_mm, outputs), volumes, stride, n_jobs, progress)
    _, rows, columns = work.shape_zyx
    for planes in work.slabs(max_memory_mb, result_values=work.forest.n_outputs * rows * columns):
        maps = np.empty((work.forest.n_outputs, planes.stop - planes.start, rows, columns), np.float32)
        work.fill(planes, maps=maps, first_plane=0)
        yield planes, maps


def predict_points(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Channels,
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
    ready = VoxelForest.compile(forest, boxes, spacing_mm)
    integral = volumes if isinstance(volumes, IntegralVolume) else ready.boxes.integrate(volumes)
    index = check_index(index_zyx, integral.shape_zyx)
    order = block_order(index)
    found = np.empty((len(index), ready.n_outputs), np.float32)
    _kernels.predict_points(ready.boxes.box_table(integral), ready.trees, integral.flat_index(index)[order], found)
    out = np.empty_like(found)
    out[order] = found
    return out
