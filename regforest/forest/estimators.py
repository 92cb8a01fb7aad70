"""Forests with scikit-learn's estimator contract."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from regforest._threads import Progress
from regforest.forest._base import BaseForest
from regforest.forest.forest import Forest

__all__ = ["ForestClassifier", "ForestRegressor"]


class ForestClassifier(ClassifierMixin, BaseForest):  # type: ignore[misc]
    """Random forest for classification, with hard or soft labels.

    The parameters mean what they mean in `sklearn.ensemble.RandomForestClassifier`. Features are reduced to 256
    quantile steps for training; prediction uses them in full.

    Parameters
    ----------
    n_estimators : int
        Number of trees.
    max_depth : int, optional
        Splits from the root to a leaf at most; no limit by default.
    min_samples_split, min_samples_leaf : int
        Fewest samples of a node that is split, and of a leaf.
    max_features : {"sqrt", "log2"}, int, float or None
        Features tried at each node: a rule, a number, a share, or all of them.
    bootstrap : bool
        Whether each tree sees rows drawn with replacement.
    oob_score : bool
        Whether to judge each row by the trees that did not see it.
    class_weight : {"balanced"}, dict or None
        Weights of the classes, as in scikit-learn; ``"balanced"`` works for soft labels too.
    n_jobs : int or None
        Threads, as joblib counts them; the forest does not depend on it.
    random_state : int, RandomState or None
        Seeds of the trees are drawn from it before any tree is grown.

    Attributes
    ----------
    forest_ : Forest
        The trees; `Forest.values` holds class probabilities.
    classes_ : ndarray, shape (n_classes,)
        Labels; 0 .. K - 1 for soft labels.
    n_features_in_ : int
    feature_importances_ : ndarray of float64, shape (n_features_in_,)
        Share of each feature in the decrease of the Gini impurity.
    oob_decision_function_ : ndarray of float64, shape (N, n_classes)
        With `oob_score`: class probabilities of the training rows from trees that did not see them.
    oob_score_ : float
        With `oob_score`: accuracy of these; for soft labels against the most probable class.

    Examples
    --------
    >>> X = np.linspace(0, 1, 40)[:, None]
    >>> soft = np.hstack([1 - X, X])
    >>> model = ForestClassifier(8, min_samples_leaf=4, random_state=0).fit(X, soft)
    >>> bool(model.predict_proba([[0.1]])[0, 0] > 0.7)
    True
    """

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
        class_weight: str | dict[Any, float] | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_estimators, max_depth=max_depth, min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf, max_features=max_features, bootstrap=bootstrap,
            oob_score=oob_score, n_jobs=n_jobs, random_state=random_state,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : array_like, shape (N, F)
            Finite features; float32 is used as it is.
        y : array_like, shape (N,) or (N, K)
            Class labels; or the probabilities of K >= 2 classes, each row summing to 1.
        sample_weight : array_like, shape (N,), optional
            Not negative.
        progress : callable, optional
            Called as ``progress(done, total)`` after each tree.

        Raises
        ------
        ValueError
            As scikit-learn's forests do, and for soft labels that are not probabilities.
        """
        rows, labels = validate_data(self, X, y, dtype=np.float32, order="C", multi_output=True)
        soft = labels.ndim == 2 and labels.shape[1] > 1
        targets, n_classes = self._soft(labels) if soft else self._hard(labels)
        if self.class_weight is not None:
            balance = self._class_weights(targets, labels, soft)
            sample_weight = balance if sample_weight is None else balance * np.asarray(sample_weight)
        seeds, weights = self._grow(rows, targets, sample_weight, n_classes, progress)
        if self.oob_score:
            self.oob_decision_function_ = self._out_of_bag(rows, seeds, weights)
            known = ~np.isnan(self.oob_decision_function_[:, 0])
            best = self.oob_decision_function_[known].argmax(axis=1)
            truth = (targets.argmax(axis=1) if soft else targets)[known]
            self.oob_score_ = float(accuracy_score(truth, best, sample_weight=weights[known]))
        return self

    def _soft(self, y: Any) -> tuple[NDArray[np.float32], int]:
        targets = np.ascontiguousarray(y, np.float32)
        if (targets < 0).any() or np.abs(targets.sum(axis=1) - 1).max() > 1e-3:
            raise ValueError("soft labels need rows of probabilities that sum to 1; multi-label y is not supported")
        self.classes_ = np.arange(targets.shape[1])
        return targets, 0

    def _hard(self, y: Any) -> tuple[NDArray[np.int32], int]:
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int32), len(self.classes_)

    def _class_weights(self, targets: NDArray[Any], y: Any, soft: bool) -> NDArray[np.float64]:
        if not soft:
            return np.asarray(compute_sample_weight(self.class_weight, column_or_1d(y)))
        mass = targets.sum(axis=0, dtype=np.float64)
        if isinstance(self.class_weight, dict):
            per_class = np.array([self.class_weight.get(k, 1.0) for k in range(len(mass))])
        else:
            per_class = len(targets) / (np.count_nonzero(mass) * np.where(mass > 0, mass, np.inf))
        return np.asarray(targets @ per_class)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Mean class probabilities of the trees, shape (N, n_classes), columns as in `classes_`."""
        return self._predict(X)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label of the most probable class of each row, shape (N,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])


class ForestRegressor(RegressorMixin, BaseForest):  # type: ignore[misc]
    """Random forest for regression with one or several targets.

    A split minimises the variance summed over the targets, so give them in comparable units. Parameters as in
    `ForestClassifier`; all features are tried at each node by default.

    Attributes
    ----------
    forest_ : Forest
        The trees; `Forest.values` holds means of the targets.
    n_features_in_ : int
    feature_importances_ : ndarray of float64, shape (n_features_in_,)
        Share of each feature in the decrease of the variance, summed over the targets.
    oob_prediction_ : ndarray of float64, the shape of the targets
        With `oob_score`: predictions of the training rows by trees that did not see them.
    oob_score_ : float
        With `oob_score`: coefficient of determination of these.

    Examples
    --------
    >>> X = np.linspace(0, 1, 50)[:, None]
    >>> model = ForestRegressor(8, random_state=0).fit(X, np.hstack([X, 2 * X]))
    >>> model.predict([[0.5]]).round(1)
    array([[0.5, 1. ]], dtype=float32)
    """

    def __init__(
        self,
        n_estimators: int = 16,
        *,
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: str | int | float | None = 1.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_estimators, max_depth=max_depth, min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf, max_features=max_features, bootstrap=bootstrap,
            oob_score=oob_score, n_jobs=n_jobs, random_state=random_state,
        )  # fmt: skip

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : array_like, shape (N, F)
            Finite features; float32 is used as it is.
        y : array_like, shape (N,) or (N, K)
            Targets.
        sample_weight : array_like, shape (N,), optional
            Not negative.
        progress : callable, optional
            Called as ``progress(done, total)`` after each tree.

        Raises
        ------
        ValueError
            As scikit-learn's forests do.
        """
        rows, wanted = validate_data(self, X, y, dtype=np.float32, order="C", multi_output=True, y_numeric=True)
        if wanted.ndim == 2 and wanted.shape[1] == 1:
            wanted = column_or_1d(wanted, warn=True)
        self._single_target = wanted.ndim == 1
        targets = np.asarray(wanted, np.float64).reshape(len(rows), -1)
        centre = targets.mean(axis=0)  # small numbers keep the variances exact
        deviations = np.ascontiguousarray(targets - centre, np.float32)
        seeds, weights = self._grow(rows, deviations, sample_weight, progress=progress)
        arrays = self.forest_.to_arrays()
        self.forest_ = Forest.from_arrays(arrays | {"values": (arrays["values"] + centre).astype(np.float32)})
        if self.oob_score:
            found = self._out_of_bag(rows, seeds, weights)
            known = ~np.isnan(found[:, 0])
            self.oob_score_ = float(r2_score(targets[known], found[known], sample_weight=weights[known]))
            self.oob_prediction_ = found.reshape(wanted.shape)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float32]:
        """Mean of the trees, shape (N,) or (N, K) as the targets were."""
        values = self._predict(X)
        return values[:, 0] if self._single_target else values
