"""Training that draws box features anew at every node, as the forests of the papers do."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._threads import Progress
from regforest.errors import DataError
from regforest.features import BoxFeatures, BoxSpace, IntegralVolume
from regforest.features.boxes import MAX_BOX_VOXELS
from regforest.features.compiled import check_index
from regforest.forest._candidates import BoxField, Source
from regforest.forest.forest import Forest
from regforest.forest.grow import TreeSettings, grow_trees

__all__ = ["GrownOnImages", "TrainingImage", "grow_on_images"]


class TrainingImage(NamedTuple):
    """Training voxels of one image.

    Attributes
    ----------
    volumes : sequence of ndarray of int16, shape (z, y, x)
        Its channels.
    index_zyx : array_like of int, shape (n, 3)
        The voxels to learn from.
    """

    volumes: Sequence[NDArray[np.int16]]
    index_zyx: ArrayLike


class GrownOnImages(NamedTuple):
    """What growing on images gives.

    Attributes
    ----------
    forest : Forest
        Each of its inner nodes has a feature of its own.
    boxes : BoxFeatures
        These features.
    """

    forest: Forest
    boxes: BoxFeatures


def grow_on_images(
    images: Sequence[TrainingImage],
    spacing_mm: ArrayLike,
    space: BoxSpace,
    targets: NDArray[Any],
    settings: TreeSettings,
    *,
    seed: int,
    n_trees: int,
    n_classes: int = 0,
    weights: NDArray[np.float32] | None = None,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
) -> GrownOnImages:
    """Grow trees that draw ``settings.max_features`` box features from an unlimited pool at each node.

    They are computed on the fly from summed-volume tables of all images, which stay in memory.

    Parameters
    ----------
    images : sequence of TrainingImage
        On grids of one spacing.
    spacing_mm : float or array_like, shape (3,)
        Spacing along x, y, z.
    space : BoxSpace
        What features are drawn from.
    targets : ndarray, shape (rows,) of int32 or (rows, outputs) of float32
        Class numbers; or class probabilities or regression targets; for the voxels of all images in their order.
    settings : TreeSettings
        How trees are grown.
    seed : int
        The trees' seeds are drawn from it before any is grown.
    n_trees : int
        Number of trees.
    n_classes : int
        Number of classes if `targets` are class numbers.
    weights : ndarray of float32, shape (rows,), optional
        Not negative; 1 by default.
    n_jobs : int or None
        Threads; the forest does not depend on it.
    progress : callable, optional
        Called as ``progress(done, total)`` after each tree.

    Raises
    ------
    DataError
        If there is no image or no tree, shapes or channels do not fit, a class number is out of range, or a box could
        be too large for the spacing.

    Examples
    --------
    >>> image = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    >>> index = np.argwhere(image >= 0)
    >>> space = BoxSpace(max_offset_mm=3, size_range_mm=(1, 4))
    >>> labels = (index[:, 0] > 4).astype(np.int32)
    >>> grown = grow_on_images(
    ...     [TrainingImage([image], index)], 1.0, space, labels, TreeSettings(5), seed=0, n_trees=3, n_classes=2
    ... )
    >>> X = grown.boxes.evaluate([image], 1.0, index)
    >>> float((grown.forest.predict(X).argmax(axis=1) == labels).mean()) > 0.95
    True
    """
    field = _field(images, np.broadcast_to(np.asarray(spacing_mm, np.float64), 3), space)
    rows = len(field.position)
    weights = np.ones(rows, np.float32) if weights is None else weights
    if n_trees < 1:
        raise DataError(f"expected at least one tree, got {n_trees}")
    source = Source(np.empty((0, rows), np.uint8), np.empty((rows, 0), np.uint8), np.empty((0, 0), np.float32), field)
    seeds = np.random.default_rng(seed).integers(2**31, size=n_trees)
    trees = grow_trees(source, targets, weights, seeds, settings, n_classes, n_jobs, progress)
    firsts = np.cumsum([0] + [len(tree["boxes"]) for tree in trees])
    for tree, first in zip(trees, firsts, strict=False):
        tree["feature"] = np.where(tree["feature"] >= 0, tree["feature"] + first, -1)
    boxes = np.concatenate([tree["boxes"] for tree in trees])
    if not len(boxes):  # bare leaves ask for nothing, but a pool has a feature
        boxes = np.array([[[0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, -1]]])
    pool = BoxFeatures.from_voxels(boxes[..., :3], boxes[..., 3:6], boxes[..., 6], spacing_mm)
    return GrownOnImages(Forest.from_trees(trees, len(boxes)), pool)


def _field(images: Sequence[TrainingImage], spacing_mm: NDArray[np.float64], space: BoxSpace) -> BoxField:
    """Integrate all images and put their tables behind each other."""
    largest = np.prod(np.floor(space.size_range_mm[1] / spacing_mm + 0.5))
    if not len(images) or largest >= MAX_BOX_VOXELS:
        raise DataError(
            f"expected at least one image, and boxes of fewer than {MAX_BOX_VOXELS} voxels; got {len(images)} images "
            f"and boxes of up to {largest:.0f}"
        )
    padding = (np.ceil(space.reach_mm / spacing_mm).astype(int) + 1)[::-1].tolist()
    integrals = [IntegralVolume.build(image.volumes, padding) for image in images]
    if any(integral.channels != space.channels for integral in integrals):
        raise DataError(f"expected {space.channels} channels of each image")
    firsts = itertools.accumulate([integral.flat.size for integral in integrals], initial=0)
    index = [check_index(image.index_zyx, table.shape_zyx) for image, table in zip(images, integrals, strict=True)]
    position = [
        first + table.flat_index(voxels + padding)  # corners are relative to the voxel, not to its padded place
        for first, table, voxels in zip(firsts, integrals, index, strict=False)
    ]
    return BoxField(
        np.concatenate([integral.flat for integral in integrals]),
        np.array([integral.strides[:3] for integral in integrals], np.int64),
        np.repeat(np.arange(len(images), dtype=np.int32), [len(voxels) for voxels in index]),
        np.concatenate(position),
        spacing_mm[::-1].copy(),
        space.radii_mm[::-1].copy(),
        np.log(np.asarray(space.size_range_mm, np.float64)),
        space.channels,
        float(space.two_box_share),
        float(space.local_share),
    )
