"""Forests: training, flat storage, and prediction straight from summed-volume tables."""

from regforest.forest.dense import predict_points, predict_volume
from regforest.forest.estimators import ForestClassifier, ForestRegressor
from regforest.forest.forest import Forest

__all__ = [
    "Forest",
    "ForestClassifier",
    "ForestRegressor",
    "predict_points",
    "predict_volume",
]
