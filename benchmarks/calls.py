"""Calls of the package that the benchmarks measure: the one place to exchange them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.features import BoxFeatures, CompiledBoxes, IntegralVolume
from regforest.forest import Forest, predict_coarse_to_fine, predict_labels, predict_volume

__all__ = ["argmax", "chosen", "coarse_to_fine", "dense_slab", "full", "planes_of"]

Voxels = NDArray[np.int16]


def full(forest: Forest, boxes: BoxFeatures, voxels: Voxels, spacing_mm: float) -> Any:
    """Full distribution at every voxel."""
    return predict_volume(forest, boxes, [voxels], spacing_mm, n_jobs=2)


def chosen(forest: Forest, boxes: BoxFeatures, voxels: Voxels, spacing_mm: float) -> Any:
    """Probability of the last class alone (the background of the vertebra model)."""
    return predict_volume(forest, boxes, [voxels], spacing_mm, outputs=[forest.n_outputs - 1], n_jobs=2)


def argmax(forest: Forest, boxes: BoxFeatures, voxels: Voxels, spacing_mm: float) -> Any:
    """Most probable class at every voxel, without the full distribution."""
    return predict_labels(forest, boxes, [voxels], spacing_mm, n_jobs=2).label


def coarse_to_fine(forest: Forest, boxes: BoxFeatures, voxels: Voxels, spacing_mm: float, background: int) -> Any:
    """Full distribution, looked at closely only where something may be."""
    return predict_coarse_to_fine(forest, boxes, [voxels], spacing_mm, background=background, n_jobs=2)


def dense_slab(boxes: CompiledBoxes, integral: IntegralVolume, start: int, stop: int) -> NDArray[np.float32]:
    """All features of the planes start..stop, shape (F, voxels)."""
    return boxes.evaluate_dense(integral, (start, stop)).reshape(len(boxes.scales), -1)


def planes_of(voxels: Voxels, count: int) -> Sequence[int]:
    """Choose about `count` planes spread evenly over a volume."""
    return [int(z) for z in np.unique(np.linspace(0, len(voxels) - 1, count + 2)[1:-1].astype(int))]
