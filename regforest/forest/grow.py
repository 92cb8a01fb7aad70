"""Growing of forests, a tree for each seed, on 8-bit columns or on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._threads import Progress, in_threads
from regforest.errors import DataError
from regforest.forest._candidates import BoxField, Source
from regforest.forest._growing import grow_tree
from regforest.forest._nodes import Limits, Samples, TreeArrays
from regforest.forest._outputs import padded
from regforest.forest.binned import BinnedColumns
from regforest.forest.forest import Forest
from regforest.forest.thresholds import settle_thresholds

__all__ = ["Grown", "TreeSettings", "bag_counts", "grow_forest", "grow_trees", "tree_seeds"]

_MAX_SEED = 2**31 - 1
_DEEPEST = 10_000  # stands for "no limit": deeper than any tree of balanced or skewed data gets in practice


_NO_FIELD = BoxField(
    np.empty(0, np.int32), np.empty((0, 3), np.int64), np.empty(0, np.int32), np.empty(0, np.int64),
    np.empty(3), np.empty(3), np.empty(2), 1, 0.0, 0.0,
)  # fmt: skip


@dataclass(frozen=True)
class TreeSettings:
    """How trees are grown, in the sense of scikit-learn's parameters of the same names."""

    max_features: int
    max_depth: int | None = None
    min_samples_split: int = 2
    min_samples_leaf: int = 1
    bootstrap: bool = True


class _Seeds(NamedTuple):
    """Of each tree, and of the choice of rows that bins are made from."""

    trees: NDArray[np.int64]
    binning: int


def tree_seeds(random: np.random.RandomState, n_trees: int) -> _Seeds:
    """Draw all seeds of a forest before any tree is grown."""
    *trees, binning = random.randint(_MAX_SEED, size=n_trees + 1).tolist()
    return _Seeds(np.array(trees, np.int64), binning)


class Grown(NamedTuple):
    """What growing gives.

    Attributes
    ----------
    forest : Forest
    decrease : ndarray of float64, shape (trees, features)
        By how much the splits at each feature have lowered the impurity: the Gini impurity, or the variance summed
        over the targets, times the weight of the node.
    """

    forest: Forest
    decrease: NDArray[np.float64]


def grow_forest(
    columns: BinnedColumns,
    targets: NDArray[Any],
    weights: NDArray[np.float32],
    seeds: NDArray[np.int64],
    settings: TreeSettings,
    *,
    n_classes: int = 0,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
) -> Grown:
    """Grow one tree per seed; the forest does not depend on `n_jobs`.

    Parameters
    ----------
    columns : BinnedColumns
        Training features.
    targets : ndarray, shape (rows,) of int32 or (rows, outputs) of float32
        Class numbers; or class probabilities or regression targets.
    weights : ndarray of float32, shape (rows,)
        Not negative; rows of weight 0 take no part.
    seeds : ndarray of int64, shape (trees,)
        One for each tree.
    settings : TreeSettings
        How trees are grown.
    n_classes : int
        Number of classes if `targets` are class numbers.
    n_jobs : int or None
        Threads.
    progress : callable, optional
        Called as ``progress(done, total)`` after each tree.

    Raises
    ------
    DataError
        If targets or weights do not fit the rows, or a class number is out of range.
    """
    source = Source(columns.codes, columns.row_codes, columns.edges, _NO_FIELD)
    trees = grow_trees(source, targets, weights, seeds, settings, n_classes, n_jobs, progress)
    settle_thresholds(trees, columns.rows, n_jobs)
    features = len(columns.codes)
    del source, columns  # codes that nobody else holds make room for the second copy of the trees
    return Grown(Forest.from_trees(trees, features), np.stack([tree["decrease"] for tree in trees]))


def grow_trees(
    source: Source,
    targets: NDArray[Any],
    weights: NDArray[np.float32],
    seeds: NDArray[np.int64],
    settings: TreeSettings,
    n_classes: int,
    n_jobs: int | None,
    progress: Progress | None = None,
) -> list[dict[str, NDArray[Any]]]:
    """Grow one tree per seed on columns or on images; parameters and errors as for `grow_forest`.

    Returns the arrays of each tree, cut to their lengths, under the names of `TreeArrays`, and the rows in its bag as
    packed bits, ``"bag"``. Thresholds of columns are edges of bins.
    """
    _check_targets(targets, weights, source.columns.shape[1], n_classes)
    parts = ((source, targets, weights, int(seed), settings, n_classes) for seed in seeds)
    trees = []
    for tree in in_threads(_grow_one, parts, n_jobs):
        trees.append(tree)
        if progress is not None:
            progress(len(trees), len(seeds))
    return trees


def _check_targets(targets: NDArray[Any], weights: NDArray[np.float32], rows: int, n_classes: int) -> None:
    """Refuse what the kernels, which check nothing, would read or write beyond their arrays for."""
    if len(targets) != rows or len(weights) != rows or not rows:
        raise DataError(f"expected targets and weights for {rows} rows, got {len(targets)} and {len(weights)}")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise DataError("weights must be finite and not negative, and one of them positive")
    if targets.ndim == 1 and (targets.min() < 0 or targets.max() >= n_classes):
        raise DataError(f"expected class numbers 0..{n_classes - 1}, got {targets.min()} to {targets.max()}")
    if targets.ndim == 2 and not np.isfinite(targets).all():
        raise DataError("targets must be finite")


def bag_counts(seed: int, weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """How often each row is in the bag of the tree of this seed; -1 for rows of weight 0, which take no part."""
    rows = np.flatnonzero(weights > 0)
    counts = np.full(len(weights), -1)
    counts[rows] = np.bincount(np.random.default_rng(seed).integers(rows.size, size=rows.size), minlength=rows.size)
    return counts


def _grow_one(
    source: Source,
    targets: NDArray[Any],
    weights: NDArray[np.float32],
    seed: int,
    settings: TreeSettings,
    n_classes: int,
) -> dict[str, NDArray[Any]]:
    if settings.bootstrap:
        weights = weights * np.maximum(bag_counts(seed, weights), 0).astype(np.float32)
    in_bag = weights > 0
    outputs = n_classes if targets.ndim == 1 else targets.shape[1]
    samples = _samples(np.flatnonzero(in_bag).astype(np.int32), targets, weights, outputs)
    depth = min(settings.max_depth or _DEEPEST, _DEEPEST)
    leaves = min(max(1, len(samples.rows) // settings.min_samples_leaf), 2 ** min(depth, 40))
    tree = _room_for(leaves, len(source.columns), outputs)
    limits = Limits(depth, settings.max_features, settings.min_samples_split, settings.min_samples_leaf)
    n_nodes, n_leaves = grow_tree(source, samples, limits, np.array([seed], np.uint64), tree)
    return _cut(tree, n_nodes, n_leaves) | {"bag": np.packbits(in_bag)}


def _samples(rows: NDArray[np.int32], targets: NDArray[Any], weights: NDArray[np.float32], outputs: int) -> Samples:
    """Gather what belongs to the rows in the bag; class numbers or targets, whichever there are."""
    if targets.ndim == 1:
        return Samples(rows, targets[rows], np.zeros((0, padded(outputs)), np.float32), weights[rows])
    dense = np.zeros((rows.size, padded(outputs)), np.float32)
    dense[:, :outputs] = targets[rows]
    return Samples(rows, np.empty(0, np.int32), dense, weights[rows])


def _room_for(leaves: int, features: int, outputs: int) -> TreeArrays:
    """Arrays for so many leaves; without features each inner node has boxes of its own."""
    feature, left, right, leaf = np.empty((4, 2 * leaves), np.int32)
    return TreeArrays(
        feature,
        left,
        right,
        leaf,
        np.empty(2 * leaves, np.float32),
        np.empty((leaves, outputs), np.float32),
        np.zeros(features or leaves),
        np.empty((0 if features else leaves, 2, 7), np.int32),
    )


def _cut(tree: TreeArrays, n_nodes: int, n_leaves: int) -> dict[str, NDArray[Any]]:
    """Copy the part of the arrays that is in use."""
    of_nodes = {
        name: getattr(tree, name)[:n_nodes].copy() for name in ("feature", "threshold", "left", "right", "leaf")
    }
    return of_nodes | {
        "values": tree.values[:n_leaves].copy(),
        "decrease": tree.decrease,
        "boxes": tree.boxes[: n_leaves - 1].copy(),
    }
