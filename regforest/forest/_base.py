"""What the classifier and the regressor share: parameters, growing, importances, and rows out of the bag."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from regforest._threads import Progress
from regforest.forest.binned import BinnedColumns
from regforest.forest.forest import Forest
from regforest.forest.grow import TreeSettings, bag_counts, grow_forest, tree_seeds
from regforest.forest.rows import MatrixRows

__all__ = ["BaseForest"]


class BaseForest(BaseEstimator):  # type: ignore[misc]
    """Parameters and learned state of a forest; the estimators document them."""

    def __init__(
        self,
        n_estimators: int = 16,
        *,
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: str | int | float | None = "sqrt",
        bootstrap: bool = True,
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _grow(
        self,
        X: NDArray[np.float32],
        targets: NDArray[Any],
        sample_weight: Any,
        n_classes: int = 0,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Grow the trees; return what `_out_of_bag` needs: the trees' seeds and the rows' weights."""
        settings = self._tree_settings(X.shape[1])
        weights = _check_sample_weight(sample_weight, X, dtype=np.float32, ensure_non_negative=True)
        seeds = tree_seeds(check_random_state(self.random_state), self.n_estimators)
        columns = BinnedColumns.from_rows(MatrixRows(X, self.n_jobs), seed=seeds.binning, n_jobs=self.n_jobs)
        self.forest_, self._decrease = grow_forest(
            columns, targets, weights, seeds.trees, settings,
            n_classes=n_classes, n_jobs=self.n_jobs, progress=progress,
        )  # fmt: skip
        return seeds.trees, weights

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Share of each feature in the decrease of impurity, mean over the trees; of sum 1, or 0 without splits."""
        check_is_fitted(self)
        total = self._decrease.sum(axis=1, keepdims=True)
        mean = (self._decrease / np.where(total > 0, total, 1)).mean(axis=0)
        return np.asarray(mean / (mean.sum() or 1))

    def _out_of_bag(
        self, X: NDArray[np.float32], seeds: NDArray[np.int64], weights: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Mean leaf values of each row over the trees that did not see it; NaN where all have."""
        leaves = self.forest_.apply(X)
        sums, votes = np.zeros((len(X), self.forest_.n_outputs)), np.zeros(len(X))
        for tree, seed in enumerate(seeds):
            unseen = bag_counts(int(seed), weights) == 0
            sums[unseen] += self.forest_.values[leaves[unseen, tree]]
            votes[unseen] += 1
        if not votes.all():
            warnings.warn("some rows are in the bag of every tree and have no out-of-bag score", stacklevel=3)
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / votes[:, None])

    def _tree_settings(self, n_features: int) -> TreeSettings:
        for name, least in (("n_estimators", 1), ("min_samples_split", 2), ("min_samples_leaf", 1)):
            _check_whole(name, getattr(self, name), least)
        if self.oob_score and not self.bootstrap:
            raise ValueError("oob_score needs bootstrap=True: without it every tree sees every row")
        if self.max_depth is not None:
            _check_whole("max_depth", self.max_depth, 1)
        return TreeSettings(
            _feature_count(self.max_features, n_features), self.max_depth, self.min_samples_split,
            self.min_samples_leaf, bool(self.bootstrap),
        )  # fmt: skip

    def _predict(self, X: ArrayLike) -> NDArray[np.float32]:
        check_is_fitted(self)
        forest: Forest = self.forest_
        return forest.predict(validate_data(self, X, dtype=np.float32, order="C", reset=False), self.n_jobs)

    def apply(self, X: ArrayLike) -> NDArray[np.int32]:
        """Row in ``forest_.values`` that each sample reaches in each tree, shape (N, n_estimators)."""
        check_is_fitted(self)
        forest: Forest = self.forest_
        return forest.apply(validate_data(self, X, dtype=np.float32, order="C", reset=False))


def _check_whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _feature_count(rule: Any, n_features: int) -> int:
    """Features to try at each node, from scikit-learn's `max_features`."""
    if rule is None:
        return n_features
    if rule in ("sqrt", "log2"):
        return max(1, int(np.sqrt(n_features) if rule == "sqrt" else np.log2(n_features)))
    if isinstance(rule, Integral) and int(rule) >= 1:
        return min(int(rule), n_features)
    if isinstance(rule, Real) and not isinstance(rule, Integral) and 0 < float(rule) <= 1:
        return max(1, int(float(rule) * n_features))
    raise ValueError(f"max_features must be 'sqrt', 'log2', None, a number or a share of features, got {rule!r}")
