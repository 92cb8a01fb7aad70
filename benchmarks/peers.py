"""Peers that come with the extra ``bench``; each function returns None where its package is not installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["gather_features", "intel_forest", "is_accelerated", "onnx_predictor"]

Predict = Callable[[NDArray[np.float32]], Any]


def intel_forest(kind: str) -> Any:
    """Class ``RandomForestClassifier`` or ``RandomForestRegressor`` of scikit-learn-intelex; nothing is patched."""
    try:
        return getattr(importlib.import_module("sklearnex.ensemble"), kind)
    except ImportError:
        return None


def is_accelerated(model: Any) -> bool:
    """Whether a fitted model of scikit-learn-intelex is its own, and not scikit-learn's where it knows no way."""
    return hasattr(model, "_onedal_estimator")


def onnx_predictor(forest: Any) -> Predict | None:
    """Probabilities of a fitted scikit-learn classifier by onnxruntime, in two threads."""
    try:
        import onnxruntime
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType
    except ImportError:
        return None
    inputs = [("x", FloatTensorType([None, forest.n_features_in_]))]
    model = convert_sklearn(forest, initial_types=inputs, options={id(forest): {"zipmap": False}})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["probabilities"], {"x": np.ascontiguousarray(rows)})[0]


def gather_features(
    table: NDArray[np.int32], offsets: NDArray[np.int64], scales: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Box features at points as one writes them with numpy: eight look-ups a box in the flat summed-volume table.

    Column by column and with `take`, which is a third quicker than rows and brackets.
    """
    out = np.empty((len(offsets), len(positions)), np.float32)
    for column, corners, (first, second) in zip(out, offsets, scales, strict=True):
        column[:] = _box_sum(table, corners[:8], positions) * first
        if second:
            column -= _box_sum(table, corners[8:], positions) * second
    return out.T


def _box_sum(table: NDArray[np.int32], corners: NDArray[np.int64], positions: NDArray[np.int64]) -> Any:
    at = table.take(positions + corners[:, None])
    return (at[7] - at[6] - at[5] + at[4] - at[3] + at[2] + at[1] - at[0]).astype(np.float32)
