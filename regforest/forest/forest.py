"""A trained forest as flat read-only arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from regforest._threads import run_in_threads
from regforest.errors import DataError, ModelError
from regforest.forest._kernels import NODE, Trees, apply_rows, pair_siblings, predict_rows
from regforest.forest.bridge import trees_from_sklearn

__all__ = ["Forest"]

_PART = 4096  # rows that one thread takes at a time
_CHUNK_LEAVES = 4096  # that are rounded at a time, in double precision
_DTYPES = {
    "roots": np.int32, "feature": np.int32, "threshold": np.float32, "left": np.int32, "right": np.int32,
    "leaf": np.int32, "values": np.float32,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Forest:
    """Decision trees behind each other in flat arrays; a prediction is the mean of the leaves that are reached.

    At an inner node a sample goes left where its feature is <= the threshold. Children stand behind their parent
    in the arrays, so that every walk ends. All of this is checked when a forest is made, also from a file.

    Attributes
    ----------
    roots : ndarray of int32, shape (trees,)
        First node of each tree, ascending from 0.
    feature : ndarray of int32, shape (nodes,)
        Feature that an inner node asks for; -1 at a leaf.
    threshold : ndarray of float32, shape (nodes,)
    left, right : ndarray of int32, shape (nodes,)
        Children of an inner node; -1 at a leaf.
    leaf : ndarray of int32, shape (nodes,)
        Row of a leaf in `values`; -1 at an inner node.
    values : ndarray of float32, shape (leaves, outputs)
        Class probabilities, or means of the regression targets.
    n_features : int
        Number of features that the forest was trained on.

    Raises
    ------
    ModelError
        If the arrays do not describe a forest.

    Examples
    --------
    >>> stump = Forest.from_arrays({
    ...     "roots": np.array([0], np.int32), "feature": np.array([1, -1, -1], np.int32),
    ...     "threshold": np.array([0.5, 0, 0], np.float32), "left": np.array([1, -1, -1], np.int32),
    ...     "right": np.array([2, -1, -1], np.int32), "leaf": np.array([-1, 0, 1], np.int32),
    ...     "values": np.array([[1, 0], [0, 1]], np.float32), "n_features": np.array(2),
    ... })
    >>> stump.predict([[9, 0.5], [9, 0.6]])
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaf: NDArray[np.int32]
    values: NDArray[np.float32]
    n_features: int

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            given = np.asarray(getattr(self, name))
            if given.dtype != dtype or given.ndim != (2 if name == "values" else 1):
                raise ModelError(
                    f"forest array {name!r}: expected {np.dtype(dtype)}, got {given.dtype} {given.shape}"
                )
            array = np.array(given, order="C")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        count = np.asarray(self.n_features)
        if count.ndim or count.dtype.kind not in "iu" or count < 1:
            raise ModelError(f"forest: expected the number of features, got {self.n_features!r}")
        object.__setattr__(self, "n_features", int(count))
        problem = self._problem()
        if problem:
            raise ModelError(f"the forest's arrays are damaged: {problem}")

    def _problem(self) -> str:
        """Say what is wrong with the arrays, or nothing."""
        nodes, inner = len(self.feature), self.feature >= 0
        if {len(self.threshold), len(self.left), len(self.right), len(self.leaf)} != {nodes}:
            return "node arrays of different lengths"
        if len(self.roots) == 0 or self.roots[0] != 0 or (np.diff(self.roots) < 1).any() or self.roots[-1] >= nodes:
            return "tree roots out of order"
        if 0 in self.values.shape or not np.isfinite(self.values).all() or not np.isfinite(self.threshold).all():
            return "leaf values or thresholds missing or not finite"
        if (self.feature < -1).any() or (self.feature >= self.n_features).any():
            return f"a feature outside -1..{self.n_features - 1}"
        # the node numbers at which the tree of each node ends
        end = np.repeat(np.append(self.roots[1:], nodes), np.diff(np.append(self.roots, nodes)))[inner]
        for child in (self.left[inner], self.right[inner]):
            if (child <= np.flatnonzero(inner)).any() or (child >= end).any():
                return "a child that does not stand behind its parent in the same tree"
        # a walk ends, but a way through all nodes would take for ever where branches meet again
        children = np.concatenate([self.left[inner], self.right[inner]])
        if len(children) != nodes - len(self.roots) or np.bincount(children, minlength=1).max() > 1:
            return "a node that is not the child of exactly one other"
        absent = (self.left[~inner], self.right[~inner], self.leaf[inner])
        if any((numbers != -1).any() for numbers in absent):
            return "a leaf with children, or values at an inner node"
        if (self.leaf[~inner] < 0).any() or (self.leaf[~inner] >= len(self.values)).any():
            return "a leaf without values"
        return ""

    @property
    def n_outputs(self) -> int:
        """Number of classes or regression targets."""
        return int(self.values.shape[1])

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.roots)

    @cached_property
    def depth(self) -> int:
        """Number of splits on the longest way from a root to a leaf."""
        frontier, depth = self.roots, -1
        while frontier.size:
            inner = frontier[self.feature[frontier] >= 0]
            frontier, depth = np.concatenate([self.left[inner], self.right[inner]]), depth + 1
        return depth

    @cached_property
    def trees(self) -> Trees:
        """The forest as the kernels read it, with nodes packed for the cache."""
        number = np.empty(len(self.feature), np.int32)
        pair_siblings((self.roots, self.feature, self.left, self.right), number, np.empty_like(number))
        inner = self.feature >= 0
        nodes = np.empty(len(number), NODE)
        for name, values in (
            ("feature", np.where(inner, self.feature, -1 - self.leaf)),
            ("threshold", self.threshold),
            ("left", np.where(inner, number[self.left], -1)),
            ("right", np.where(inner, number[self.right], -1)),
        ):
            nodes[name][number] = values
        return Trees(number[self.roots], nodes, self.values)

    @cached_property
    def used_features(self) -> NDArray[np.int64]:
        """Features that any node asks for, ascending."""
        return np.unique(self.feature[self.feature >= 0]).astype(np.int64)

    def predict(self, X: ArrayLike, n_jobs: int | None = 1) -> NDArray[np.float32]:
        """Mean leaf values of feature rows.

        Parameters
        ----------
        X : array_like, shape (N, n_features)
            Feature rows, converted to float32.
        n_jobs : int or None
            Threads, as joblib counts them; the result does not depend on it.

        Returns
        -------
        ndarray of float32, shape (N, n_outputs)

        Raises
        ------
        DataError
            If the number of columns differs.
        """
        rows = self._rows(X)
        out = np.empty((len(rows), self.n_outputs), np.float32)
        parts = (
            (rows, self.trees, start, min(start + _PART, len(rows)), out) for start in range(0, len(rows), _PART)
        )
        run_in_threads(predict_rows, parts, n_jobs)
        return out

    def apply(self, X: ArrayLike) -> NDArray[np.int32]:
        """Row in `values` that each feature row reaches in each tree, shape (N, trees)."""
        rows = self._rows(X)
        out = np.empty((len(rows), self.n_trees), np.int32)
        apply_rows(rows, self.trees, out)
        return out

    def leaf_sums(self, X: ArrayLike, moments: NDArray[np.floating]) -> NDArray[np.float64]:
        """Sum what belongs to the samples of each leaf.

        Parameters
        ----------
        X : array_like, shape (N, F)
            Features of the samples.
        moments : ndarray, shape (N, K)
            What belongs to each.

        Returns
        -------
        ndarray of float64, shape (leaves, K)
        """
        reached = self.apply(X)
        samples = np.repeat(np.arange(len(reached)), self.n_trees)
        members = (np.ones(reached.size, moments.dtype), (reached.ravel(), samples))
        sums = sparse.csr_matrix(members, (len(self.values), len(reached))) @ moments
        return np.asarray(sums, dtype=np.float64)

    def _rows(self, X: ArrayLike) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(X, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise DataError(f"expected feature rows of shape (N, {self.n_features}), got {rows.shape}")
        return rows

    def rounded(self, steps: int = 256) -> Forest:
        """Return the forest of distributions with multiples of ``1 / steps`` as leaf values, which pack well.

        What rounding adds or takes goes to each leaf's largest value, so that they still sum to 1. The mean over the
        trees loses much less than a step.

        Examples
        --------
        >>> from regforest import ForestClassifier
        >>> forest = ForestClassifier(2, random_state=0).fit([[0.0], [1], [2]], [0, 1, 1]).forest_
        >>> bool((forest.rounded(4).values * 4 % 1 == 0).all())
        True
        """
        rounded = np.empty_like(self.values)
        for start in range(0, len(rounded), _CHUNK_LEAVES):
            leaves = slice(start, start + _CHUNK_LEAVES)
            values = np.rint(self.values[leaves] * np.float64(steps))
            values[np.arange(len(values)), values.argmax(axis=1)] += steps - values.sum(axis=1)
            rounded[leaves] = values / steps
        return replace(self, values=rounded)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that define the forest, for a model file."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Forest:
        """Rebuild from `to_arrays`; anything missing or damaged raises `ModelError`."""
        try:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"a forest cannot be read: {error}") from error

    @classmethod
    def from_trees(cls, trees: Sequence[Mapping[str, NDArray[Any]]], n_features: int) -> Forest:
        """Put single trees behind each other.

        Parameters
        ----------
        trees : sequence of mappings
            Arrays `feature`, `threshold`, `left`, `right`, `leaf` and `values` of each tree, numbered from 0.
        n_features : int
            Number of features that they were trained on.

        Raises
        ------
        ModelError
            If there is no tree, or the arrays do not describe trees.
        """
        if not trees:
            raise ModelError("a forest needs at least one tree")
        nodes = np.cumsum([0] + [len(tree["feature"]) for tree in trees])
        leaves = np.cumsum([0] + [len(tree["values"]) for tree in trees])
        arrays: dict[str, Any] = {
            name: np.concatenate([tree[name] for tree in trees]) for name in ("feature", "threshold", "values")
        }
        for name, starts in (("left", nodes), ("right", nodes), ("leaf", leaves)):
            parts = [np.where(t[name] >= 0, t[name] + start, -1) for t, start in zip(trees, starts, strict=False)]
            arrays[name] = np.concatenate(parts)
        typed: dict[str, Any] = {name: np.asarray(array, _DTYPES[name]) for name, array in arrays.items()}
        return cls(roots=nodes[:-1].astype(np.int32), n_features=n_features, **typed)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Forest:
        """Convert a fitted scikit-learn forest or tree, so that it predicts through the fast path.

        Parameters
        ----------
        estimator : RandomForest*, ExtraTrees*, DecisionTree* or ExtraTree*, classifier or regressor
            Fitted; a classifier with a single output.

        Returns
        -------
        Forest
            Outputs in the order of ``estimator.classes_``, or of the targets. Probabilities and means agree with
            scikit-learn's to 1e-6 (of the largest target, for regression).

        Raises
        ------
        ModelError
            If the estimator is not fitted, of another kind, or a classifier of several outputs.

        Examples
        --------
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> X, y = np.array([[0.0], [1.0]]), np.array([0, 1])
        >>> Forest.from_sklearn(RandomForestClassifier(3, bootstrap=False).fit(X, y)).predict([[0.1]])
        array([[1., 0.]], dtype=float32)
        """
        trees, n_features = trees_from_sklearn(estimator)
        return cls.from_trees(trees, n_features)
