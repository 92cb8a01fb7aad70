"""Training on a fixed pool of box features, computed from the images scan by scan instead of being kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._threads import Progress
from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest.binned import BinnedColumns
from regforest.forest.forest import Forest
from regforest.forest.grow import TreeSettings, grow_forest, tree_seeds
from regforest.forest.grow_on_images import TrainingImage
from regforest.forest.rows import Chosen

__all__ = ["PoolRows", "grow_on_pool"]


class PoolRows:
    """Features of the training voxels of each image: a block for each, made whenever it is asked for.

    Parameters
    ----------
    images : sequence of TrainingImage
        On grids of one spacing.
    spacing_mm : float or array_like, shape (3,)
        Spacing along x, y, z.
    boxes : BoxFeatures
        The pool.

    Examples
    --------
    >>> image = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    >>> boxes = BoxFeatures.random(4, seed=0, max_offset_mm=2, size_range_mm=(1, 2))
    >>> rows = PoolRows([TrainingImage([image], [[1, 1, 1], [0, 2, 1]])], 1.0, boxes)
    >>> rows.sizes, rows.block(0).shape, rows.matrix().shape
    ([2], (2, 4), (2, 4))
    """

    def __init__(self, images: Sequence[TrainingImage], spacing_mm: ArrayLike, boxes: BoxFeatures) -> None:
        self._images, self._boxes = images, boxes.compile(spacing_mm)
        self.sizes = [len(np.asarray(image.index_zyx)) for image in images]

    def block(self, number: int, chosen: Chosen = slice(None)) -> NDArray[np.float32]:
        """Compute the features of the voxels of an image, or of those chosen of them."""
        image = self._images[number]
        return self._boxes.evaluate(self._boxes.integrate(image.volumes), np.asarray(image.index_zyx)[chosen])

    def matrix(self) -> NDArray[np.float32]:
        """Return all rows."""
        rows = np.empty((sum(self.sizes), len(self._boxes.scales)), np.float32)
        for number, first in enumerate(np.cumsum([0, *self.sizes[:-1]])):
            rows[first : first + self.sizes[number]] = self.block(number)
        return rows


def grow_on_pool(
    images: Sequence[TrainingImage],
    spacing_mm: ArrayLike,
    boxes: BoxFeatures,
    targets: NDArray[Any],
    settings: TreeSettings,
    *,
    seed: int,
    n_trees: int,
    n_classes: int = 0,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
) -> Forest:
    """Grow the forest that an estimator of this seed would grow on the features of all voxels.

    Of the features 8-bit codes alone are kept, two bytes for each voxel and feature; the features of an image are
    computed anew when thresholds are settled.

    Parameters
    ----------
    images, spacing_mm, boxes
        As for `PoolRows`.
    targets, settings, seed, n_trees, n_classes, n_jobs, progress
        As for `grow_on_images`.

    Raises
    ------
    DataError
        If there is no image, or shapes, channels or class numbers do not fit.

    Examples
    --------
    >>> image = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    >>> index = np.argwhere(image >= 0)
    >>> boxes = BoxFeatures.random(20, seed=0, max_offset_mm=3, size_range_mm=(1, 4))
    >>> labels = (index[:, 0] > 4).astype(np.int32)
    >>> images = [TrainingImage([image], index)]
    >>> forest = grow_on_pool(images, 1.0, boxes, labels, TreeSettings(5), seed=0, n_trees=3, n_classes=2)
    >>> float((forest.predict(boxes.evaluate([image], 1.0, index)).argmax(axis=1) == labels).mean()) > 0.95
    True
    """
    if not len(images):
        raise DataError("expected at least one image to learn from, got none")
    seeds = tree_seeds(np.random.RandomState(seed), n_trees)
    rows, weights = PoolRows(images, spacing_mm, boxes), np.ones(len(targets), np.float32)
    return grow_forest(
        BinnedColumns.from_rows(rows, seed=seeds.binning, n_jobs=n_jobs), targets, weights, seeds.trees, settings,
        n_classes=n_classes, n_jobs=n_jobs, progress=progress,
    ).forest  # fmt: skip
