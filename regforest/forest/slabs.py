"""Work on a volume slab by slab: what `dense` and `coarse_to_fine` share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray

from regforest._threads import Progress, in_threads
from regforest.errors import DataError
from regforest.features import BoxFeatures, CompiledBoxes, IntegralVolume
from regforest.forest._descent import BRICK_Y, BRICK_Z, Lattice, predict_bricks, work_bytes
from regforest.forest._kernels import Trees
from regforest.forest.forest import Forest

__all__ = ["NO_MAPS", "NO_MASK", "Channels", "SlabPrediction", "VoxelForest", "slab_bytes"]

Channels = Sequence[NDArray[np.int16]] | IntegralVolume

NO_MAPS = np.empty((0, 0, 0, 0), np.float32)  # the kernels leave alone what is empty
_NO_LABELS = np.empty((0, 0, 0), np.int16)
_NO_BEST = np.empty((0, 0, 0), np.float32)
NO_MASK = np.empty((0, 0, 0), np.bool_)
_PIECES = 48  # of the work, if it has as many rows of bricks: they are uneven, but each costs some microseconds


@dataclass(frozen=True, eq=False)
class VoxelForest:
    """A forest and the boxes that it asks for, in whole voxels of one spacing."""

    trees: Trees
    depth: int
    boxes: CompiledBoxes

    @classmethod
    def compile(
        cls, forest: Forest, boxes: BoxFeatures, spacing_mm: ArrayLike, outputs: Sequence[int] | None = None
    ) -> VoxelForest:
        """Keep the features that a node asks for: less padding, and corner offsets that stay in the cache.

        Raises
        ------
        DataError
            If the pool does not fit the forest, or there is no such output.
        """
        if forest.n_features != len(boxes):
            raise DataError(f"the forest was trained on {forest.n_features} features, the pool has {len(boxes)}")
        used = forest.used_features if forest.used_features.size else np.arange(1)
        trees = forest.trees
        nodes = trees.nodes if used.size == forest.n_features else _renumbered(trees.nodes, used)
        values = trees.values if outputs is None else _chosen(trees.values, outputs)
        return cls(Trees(trees.roots, nodes, values), forest.depth, boxes.subset(used).compile(spacing_mm))

    @property
    def n_outputs(self) -> int:
        """Number of outputs that are asked for."""
        return int(self.trees.values.shape[1])


def _renumbered(nodes: NDArray[np.void], used: NDArray[np.int64]) -> NDArray[np.void]:
    nodes, feature = nodes.copy(), nodes["feature"]
    nodes["feature"] = np.where(feature < 0, feature, np.searchsorted(used, feature))
    return nodes


def _chosen(values: NDArray[np.float32], outputs: Sequence[int]) -> NDArray[np.float32]:
    chosen = np.asarray(outputs, np.int64)
    if chosen.ndim != 1 or chosen.size == 0 or (chosen < 0).any() or (chosen >= values.shape[1]).any():
        raise DataError(f"expected outputs among 0..{values.shape[1] - 1}, got {outputs}")
    return np.ascontiguousarray(values[:, chosen])


class SlabPrediction:
    """Prediction at every `stride`-th voxel of a volume, slab by slab; the slabs do not change the answer.

    Parameters
    ----------
    forest : VoxelForest
        What to apply.
    volumes : sequence of ndarray of int16, shape (z, y, x), or IntegralVolume
        Channels, integrated slab by slab, or a table of them all.
    stride : int
        Step along each axis.
    n_jobs : int or None
        Threads.
    progress : callable, optional
        Called with the number of planes done and their total.

    Raises
    ------
    DataError
        If the channels do not fit the boxes, or the stride is not positive.
    """

    def __init__(
        self,
        forest: VoxelForest,
        volumes: Channels,
        stride: int = 1,
        n_jobs: int | None = 1,
        progress: Progress | None = None,
    ) -> None:
        if stride < 1:
            raise DataError(f"expected a stride of at least 1, got {stride}")
        self.forest, self.stride = forest, stride
        self.n_jobs, self.progress = n_jobs, progress
        self._volumes = volumes.every(stride) if isinstance(volumes, IntegralVolume) else volumes
        self._image_shape = volumes.shape_zyx if isinstance(volumes, IntegralVolume) else _shape_of(volumes)
        z, y, x = (-(-n // stride) for n in self._image_shape)
        self.shape_zyx = z, y, x

    def slabs(self, max_memory_mb: float | None, result_values: int = 0) -> Iterator[slice]:
        """Cut the planes of the result into slabs whose work fits into memory; one slab if there is no bound.

        Parameters
        ----------
        max_memory_mb : float or None
            For the table of a slab, the threads' work space, and `result_values` float32 numbers a plane.
        result_values : int
            What of the result counts, for each plane.

        Raises
        ------
        DataError
            If a single plane does not fit.
        """
        planes = self.shape_zyx[0]
        if max_memory_mb is not None:
            fixed, each = slab_bytes(self.forest, self._image_shape, self.stride, self.n_jobs)
            each += 4 * result_values
            planes = min(planes, int((max_memory_mb * 1e6 - fixed) // each))
            if planes < 1:
                raise DataError(
                    f"a bound of {max_memory_mb} MB is too low: one plane needs {(fixed + each) / 1e6:.0f} MB; "
                    "raise it, use fewer threads, or a coarser grid"
                )
        for start in range(0, self.shape_zyx[0], planes):
            yield slice(start, min(start + planes, self.shape_zyx[0]))

    def fill(
        self,
        planes: slice,
        *,
        maps: NDArray[np.float32] = NO_MAPS,
        labels: NDArray[np.int16] = _NO_LABELS,
        best: NDArray[np.float32] = _NO_BEST,
        wanted: NDArray[np.bool_] = NO_MASK,
        first_plane: int | None = None,
        background: int = 0,
        settled: float = 0.0,
    ) -> None:
        """Predict some planes into the arrays that are given; others are left alone.

        Parameters
        ----------
        planes : slice
            Planes of the result.
        maps : ndarray of float32, shape (outputs, z, y, x)
            Mean leaf values.
        labels, best : ndarray of int16 and float32, shape (z, y, x)
            The largest output and its value.
        wanted : ndarray of bool, shape (z, y, x)
            Voxels to look at; all by default.
        first_plane : int, optional
            Plane of the arrays that ``planes.start`` belongs to; itself by default.
        background, settled : int, float
            Where the first trees leave less than this to the outputs other than the background, their mean is taken
            for that of all trees.
        """
        integral = self._integral(planes)
        table = self.forest.boxes.box_table(integral)
        step_z, step_y = (self.stride * int(integral.flat_index(np.array(step))) for step in ((1, 0, 0), (0, 1, 0)))
        start = planes.start if isinstance(self._volumes, IntegralVolume) else 0  # in the table
        shift = (planes.start if first_plane is None else first_plane) - start
        lattice = Lattice(*self.shape_zyx[1:], step_z, step_y, shift, wanted, maps, labels, best, background, settled)
        layers = range(start, start + planes.stop - planes.start, BRICK_Z)
        pieces = range(0, self.shape_zyx[1], _rows_of_piece(self.shape_zyx[1], len(layers)))
        trees, depth = self.forest.trees, self.forest.depth
        parts = (
            (table, trees, depth, lattice, z, min(z + BRICK_Z, layers.stop), y, min(y + pieces.step, pieces.stop))
            for z in layers
            for y in pieces
        )
        done = in_threads(predict_bricks, parts, self.n_jobs)
        for z in layers:
            for _ in pieces:
                next(done)
            if self.progress is not None:
                self.progress(planes.start + min(z + BRICK_Z, layers.stop) - start, self.shape_zyx[0])

    def _integral(self, planes: slice) -> IntegralVolume:
        if isinstance(self._volumes, IntegralVolume):
            return self._volumes
        last = min((planes.stop - 1) * self.stride + 1, self._image_shape[0])
        integral = self.forest.boxes.integrate(
            self._volumes, planes=(planes.start * self.stride, last), n_jobs=self.n_jobs
        )
        return integral.every(self.stride)


def slab_bytes(forest: VoxelForest, shape_zyx: Sequence[int], stride: int, n_jobs: int | None) -> tuple[int, int]:
    """Memory of the work on an image whatever the number of planes, and for each plane of the result."""
    pad_z, pad_y, pad_x = forest.boxes.padding_zyx
    _, rows, columns = shape_zyx
    tables = 4 * int(forest.boxes.channels.max() + 1) * (1 if stride == 1 else 2)
    plane = tables * (rows + 2 * pad_y + 1) * (columns + 2 * pad_x + stride)
    threads = effective_n_jobs(n_jobs) * work_bytes(forest.depth, forest.n_outputs)
    return threads + plane * (2 * pad_z + 1), plane * stride


def _rows_of_piece(rows: int, layers: int) -> int:
    """Rows that a thread takes of a layer of bricks: small enough for all to be done at about the same time."""
    pieces = -(-_PIECES // layers)
    return BRICK_Y * max(1, rows // (BRICK_Y * pieces))


def _shape_of(volumes: Sequence[NDArray[np.int16]]) -> tuple[int, int, int]:
    if not len(volumes) or any(np.ndim(volume) != 3 for volume in volumes):
        raise DataError("expected one or more channels of shape (z, y, x)")
    z, y, x = np.shape(volumes[0])
    return z, y, x
