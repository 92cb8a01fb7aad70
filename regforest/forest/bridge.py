"""From scikit-learn's forests to ours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.errors import ModelError

__all__ = ["trees_from_sklearn"]


def trees_from_sklearn(estimator: Any) -> tuple[list[dict[str, NDArray[Any]]], int]:
    """Return the trees' flat arrays and the number of features; see `Forest.from_sklearn`.

    scikit-learn compares float32 features with float64 thresholds; thresholds rounded DOWN to float32 split in the
    same way.

    Raises
    ------
    ModelError
        If the estimator is not fitted, of another kind, or a classifier of several outputs.
    """
    members = getattr(estimator, "estimators_", [estimator])
    if any(getattr(member, "tree_", None) is None for member in members):
        raise ModelError(f"expected a fitted scikit-learn forest or tree, got {estimator!r}")
    is_classifier = hasattr(estimator, "classes_")
    if is_classifier and members[0].tree_.n_outputs > 1:
        raise ModelError("a classifier of several outputs has no single table of probabilities")
    return [_tree(member.tree_, is_classifier) for member in members], int(members[0].n_features_in_)


def _tree(tree: Any, is_classifier: bool) -> dict[str, NDArray[Any]]:
    is_leaf = tree.children_left < 0
    values = tree.value[is_leaf, 0, :] if is_classifier else tree.value[is_leaf, :, 0]
    if is_classifier:  # weighted counts in older versions, fractions in newer ones
        values = values / values.sum(axis=1, keepdims=True)
    return {
        "feature": np.where(is_leaf, -1, tree.feature),
        "threshold": np.where(is_leaf, 0, round_down(tree.threshold)),
        "left": tree.children_left,
        "right": tree.children_right,
        "leaf": np.where(is_leaf, np.cumsum(is_leaf) - 1, -1),
        "values": values,
    }


def round_down(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 that is not above each float64."""
    nearest = numbers.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.asarray(np.where(nearest.astype(np.float64) > numbers, below, nearest))
