"""Peers that come with the extra ``bench``; each function returns None where its package is not installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["gather_features", "intel_forest", "onnx_predictor"]

Predict = Callable[[NDArray[np.float32]], Any]


def intel_forest(kind: str) -> Any:
    """Class ``RandomForestClassifier`` or ``RandomForestRegressor`` of scikit-learn-intelex; nothing is patched."""
    try:
        return getattr(importlib.import_module("sklearnex.ensemble"), kind)
    except ImportError:
        return None


def onnx_predictor(forest: Any, threads: int = 2) -> Predict | None:
    """Probabilities of a fitted scikit-learn classifier by onnxruntime."""
    try:
        import onnxruntime
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType
    except ImportError:
        return None
    inputs = [("x", FloatTensorType([None, forest.n_features_in_]))]
    model = convert_sklearn(forest, initial_types=inputs, options={id(forest): {"zipmap": False}})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["probabilities"], {"x": np.ascontiguousarray(rows)})[0]


def gather_features(
    table: NDArray[np.int32], offsets: NDArray[np.int64], scales: NDArray[np.float32], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Box features at points as one writes them with numpy: eight look-ups a box in the flat summed-volume table."""
    out = np.empty((len(positions), len(offsets)), np.float32)
    for feature, corners in enumerate(offsets):
        first, second = scales[feature]
        out[:, feature] = _box_sum(table, corners[:8], positions) * first
        if second:
            out[:, feature] -= _box_sum(table, corners[8:], positions) * second
    return out


def _box_sum(table: NDArray[np.int32], corners: NDArray[np.int64], positions: NDArray[np.int64]) -> Any:
    at = [table[positions + corner] for corner in corners]
    return (at[7] - at[6] - at[5] + at[4] - at[3] + at[2] + at[1] - at[0]).astype(np.float32)
