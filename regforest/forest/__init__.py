"""Forests: training, flat storage, and prediction straight from summed-volume tables."""

from regforest.forest.coarse_to_fine import predict_coarse_to_fine
from regforest.forest.dense import predict_points, predict_volume
from regforest.forest.estimators import ForestClassifier, ForestRegressor
from regforest.forest.forest import Forest

__all__ = [
    "Forest",
    "ForestClassifier",
    "ForestRegressor",
    "predict_coarse_to_fine",
    "predict_points",
    "predict_volume",
]
