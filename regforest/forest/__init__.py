"""Forests: training, flat storage, and prediction straight from summed-volume tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regforest.forest.coarse_to_fine import coarse_to_fine_memory_mb, predict_coarse_to_fine
from regforest.forest.dense import Labels, predict_labels, predict_points, predict_slabs, predict_volume
from regforest.forest.forest import Forest
from regforest.forest.grow import TreeSettings
from regforest.forest.grow_on_images import GrownOnImages, TrainingImage, grow_on_images
from regforest.forest.grow_on_pool import PoolRows, grow_on_pool
from regforest.forest.memory import forest_memory_mb, growing_memory

if TYPE_CHECKING:
    from regforest.forest.estimators import ForestClassifier, ForestRegressor

__all__ = [
    "Forest",
    "ForestClassifier",
    "ForestRegressor",
    "GrownOnImages",
    "Labels",
    "PoolRows",
    "TrainingImage",
    "TreeSettings",
    "coarse_to_fine_memory_mb",
    "forest_memory_mb",
    "grow_on_images",
    "grow_on_pool",
    "growing_memory",
    "predict_coarse_to_fine",
    "predict_labels",
    "predict_points",
    "predict_slabs",
    "predict_volume",
]


def __getattr__(name: str) -> Any:
    # scikit-learn takes a second to import, and a model needs it neither to be read nor to be applied
    if name not in ("ForestClassifier", "ForestRegressor"):
        raise AttributeError(f"module 'regforest.forest' has no attribute {name!r}")
    from regforest.forest import estimators

    return getattr(estimators, name)
