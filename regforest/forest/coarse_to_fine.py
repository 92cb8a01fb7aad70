"""Prediction over a whole volume that looks closely only where something may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._threads import run_in_threads
from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest._descent import BRICK_Z
from regforest.forest._refining import mark_planes, spread_planes
from regforest.forest.forest import Forest
from regforest.forest.slabs import NO_MAPS, NO_MASK, SlabPrediction, VoxelForest, slab_bytes

__all__ = ["coarse_to_fine_memory_mb", "predict_coarse_to_fine"]

_MASK_BYTES = 1  # of a voxel: which ones are looked at
_SHARE = 0.4  # of the foreground that matters, that is suspicious between voxels 2 apart
_SETTLED = 0.25  # of what is suspicious at a stride: with less after the first trees the others are not asked
_MOST = 0.5  # of the voxels; to look at more closely takes longer than to predict all


def predict_coarse_to_fine(
    forest: Forest,
    boxes: BoxFeatures,
    volumes: Sequence[NDArray[np.int16]],
    spacing_mm: ArrayLike,
    *,
    background: int,
    doubt: float | None = None,
    stride: int = 4,
    max_memory_mb: float | None = None,
    n_jobs: int | None = 1,
) -> NDArray[np.float32]:
    """Predict every `stride`-th voxel, then those between wherever the background is not all but certain.

    The stride is halved step by step. At each step the foreground (all but the background) is interpolated between
    the voxels that are known. Where it is above ``0.4 * doubt``, or a quarter of that for each step that is still to
    come, voxels are predicted; the others take the value of the coarser voxel whose block they are in. Where this
    would be more than half of all voxels, all are predicted at once. Before the last step, voxels to which the first
    16 trees give less than a quarter of the foreground that is looked for take the mean of these trees alone.

    Parameters
    ----------
    forest, boxes, volumes, spacing_mm
        As for `predict_volume`.
    background : int
        Output that holds the probability of the background.
    doubt : float, optional
        Probability of the foreground that begins to matter: less looks at more voxels, below 0 at all. By default
        0.1; or 0.4 if most of the foreground that leaves hold outweighs the background there, as hard labels make it:
        then classes come out most probable, and what does not reach half can hardly matter.
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
    look = _Look(background, _SHARE * (_default_doubt(forest, background) if doubt is None else doubt), max_memory_mb)
    maps = look.predict(SlabPrediction(ready, seen, stride, n_jobs))
    while stride > 1:
        work = SlabPrediction(ready, seen, stride // 2, n_jobs)
        wanted = look.wanted(maps, work)
        if np.count_nonzero(wanted) > _MOST * wanted.size:
            return look.predict(SlabPrediction(ready, seen, 1, n_jobs))
        maps, stride = look.predict(work, maps, wanted), stride // 2
    return maps


def _default_doubt(forest: Forest, background: int) -> float:
    foreground = 1 - forest.values[:, background]
    outweighs = foreground[foreground > 0.5].sum() > foreground.sum() / 2
    return 0.4 if outweighs else 0.1


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


class _Look(NamedTuple):
    """How the steps from one stride to the next are made; `least` foreground is wanted between voxels 2 apart."""

    background: int
    least: float
    max_memory_mb: float | None

    def at(self, stride: int) -> float:
        """Foreground that is wanted between voxels so far apart."""
        return self.least * (2 / stride) ** 2

    def wanted(self, coarse: NDArray[np.float32], work: SlabPrediction) -> NDArray[np.bool_]:
        """Say which voxels to look at between those of twice the stride."""
        wanted = np.empty(work.shape_zyx, np.bool_)
        known, least = coarse[self.background], self.at(2 * work.stride)
        parts = ((known, least, start, stop, wanted) for start, stop in _layers(len(wanted)))
        run_in_threads(mark_planes, parts, work.n_jobs)
        return wanted

    def predict(
        self, work: SlabPrediction, coarse: NDArray[np.float32] = NO_MAPS, wanted: NDArray[np.bool_] = NO_MASK
    ) -> NDArray[np.float32]:
        """Predict all voxels, or those that are wanted; the others have the values of twice the stride."""
        maps = np.empty((work.forest.n_outputs, *work.shape_zyx), np.float32)
        if coarse.size:
            parts = ((coarse, start, stop, maps) for start, stop in _layers(maps.shape[1]))
            run_in_threads(spread_planes, parts, work.n_jobs)
        settled = _SETTLED * self.at(work.stride) if work.stride > 1 else 0.0
        for planes in work.slabs(self.max_memory_mb):
            work.fill(planes, maps=maps, wanted=wanted, background=self.background, settled=settled)
        return maps


def _layers(planes: int) -> Iterator[tuple[int, int]]:
    """Cut planes into pieces of work as thick as a brick."""
    return ((start, min(start + BRICK_Z, planes)) for start in range(0, planes, BRICK_Z))
