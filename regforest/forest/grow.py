"""Training of forests on 8-bit columns."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from regforest._threads import Progress, in_threads, run_in_threads
from regforest.errors import DataError
from regforest.forest._binning import encode, find_edges
from regforest.forest._candidates import BoxField, Source
from regforest.forest._gaps import note_gaps
from regforest.forest._growing import grow_tree
from regforest.forest._nodes import Limits, Samples, TreeArrays
from regforest.forest._outputs import padded
from regforest.forest.forest import Forest
from regforest.forest.rows import Rows

__all__ = ["BinnedColumns", "Grown", "TreeSettings", "bag_counts", "grow_forest", "grow_trees", "tree_seeds"]

_EDGES = 256
_MAX_SEED = 2**31 - 1
_GAP_ROWS = 256  # of a block that go down all trees while they lie in the cache
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


@dataclass(frozen=True, eq=False)
class BinnedColumns:
    """Feature columns as 8-bit codes.

    Attributes
    ----------
    codes : ndarray of uint8, shape (features, rows)
        Number of edges below each value.
    row_codes : ndarray of uint8, shape (rows, features)
        The same, row by row.
    edges : ndarray of float32, shape (features, 256)
        ``value <= edges[f, c]`` exactly where ``code <= c``; infinite beyond the last one used.
    rows : Rows
        Where the values themselves can be had.
    """

    codes: NDArray[np.uint8]
    row_codes: NDArray[np.uint8]
    edges: NDArray[np.float32]
    rows: Rows

    @classmethod
    def from_rows(cls, rows: Rows, *, seed: int, n_jobs: int | None = 1, quantile_rows: int = 4096) -> BinnedColumns:
        """Choose edges at the quantiles of a few thousand rows, and encode all rows, block by block.

        Parameters
        ----------
        rows : Rows
            Finite values.
        seed : int
            For the choice of rows.
        n_jobs : int or None
            Threads.
        quantile_rows : int
            Rows that the quantiles are taken from.
        """
        firsts = _firsts(rows)
        count = int(firsts[-1])
        chosen = np.arange(count)
        if count > quantile_rows:
            chosen = np.sort(np.random.default_rng(seed).choice(count, quantile_rows, replace=False))
        parts = np.split(chosen, np.searchsorted(chosen, firsts[1:-1]))
        asked = ((block, part - firsts[block]) for block, part in enumerate(parts) if part.size)
        sample = np.concatenate(list(in_threads(rows.block, asked, n_jobs)))
        edges = np.full((sample.shape[1], _EDGES), np.inf, np.float32)
        columns = np.array_split(np.arange(len(edges)), 4 * effective_n_jobs(n_jobs))
        run_in_threads(_find_edges, ((sample, edges, own) for own in columns if own.size), n_jobs)
        codes, row_codes = np.empty((len(edges), count), np.uint8), np.empty((count, len(edges)), np.uint8)
        own = [slice(*ends) for ends in itertools.pairwise(firsts)]
        blocks = ((rows, block, edges, row_codes[part], codes[:, part]) for block, part in enumerate(own))
        run_in_threads(_encode_block, blocks, n_jobs)
        return cls(codes, row_codes, edges, rows)


def _firsts(rows: Rows) -> NDArray[np.int64]:
    """First row of each block, and the number of all rows."""
    return np.cumsum([0, *rows.sizes])


def _find_edges(sample: NDArray[np.float32], edges: NDArray[np.float32], own: NDArray[np.int64]) -> None:
    """Find the edges of some columns, which lie side by side."""
    part = slice(own[0], own[-1] + 1)
    find_edges(np.sort(np.ascontiguousarray(sample[:, part].T), axis=1), edges[part])


def _encode_block(
    rows: Rows, block: int, edges: NDArray[np.float32], row_codes: NDArray[np.uint8], codes: NDArray[np.uint8]
) -> None:
    encode(rows.block(block), edges, row_codes)
    codes[:] = row_codes.T


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
    _settle_thresholds(trees, columns.rows, n_jobs)
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


class _Gap(NamedTuple):
    """The values on both sides of each node of a tree that are nearest to its threshold, so far."""

    below: NDArray[np.float32]
    above: NDArray[np.float32]
    lock: threading.Lock


def _settle_thresholds(trees: Sequence[dict[str, NDArray[Any]]], rows: Rows, n_jobs: int | None) -> None:
    """Move each threshold from the edge of a bin to the middle of the gap between the node's values around it."""
    shapes = [tree["feature"].shape for tree in trees]
    gaps = [
        _Gap(np.full(shape, -np.inf, np.float32), np.full(shape, np.inf, np.float32), threading.Lock())
        for shape in shapes
    ]
    firsts = _firsts(rows)
    blocks = ((rows, block, int(firsts[block]), trees, gaps) for block in range(len(rows.sizes)))
    run_in_threads(_note_block, blocks, n_jobs)
    for tree, gap in zip(trees, gaps, strict=True):
        inner = tree["feature"] >= 0
        below, above = gap.below[inner], gap.above[inner]
        half = below / np.float32(2) + above / np.float32(2)
        tree["threshold"][inner] = np.where((below <= half) & (half < above), half, below)


def _note_block(
    rows: Rows, block: int, first: int, trees: Sequence[dict[str, NDArray[Any]]], gaps: Sequence[_Gap]
) -> None:
    values = rows.block(block)
    for start in range(0, len(values), _GAP_ROWS):
        part = values[start : start + _GAP_ROWS]
        for tree, gap in zip(trees, gaps, strict=True):
            with gap.lock:
                note_gaps(
                    part, first + start, tree["bag"], tree["feature"], tree["threshold"], tree["left"],
                    tree["right"], gap.below, gap.above,
                )  # fmt: skip


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
    rows = np.flatnonzero(in_bag).astype(np.int32)
    hard = targets.ndim == 1
    outputs = n_classes if hard else targets.shape[1]
    dense = np.zeros((0 if hard else rows.size, padded(outputs)), np.float32)
    if not hard:
        dense[:, :outputs] = targets[rows]
    samples = Samples(rows, targets[rows] if hard else np.empty(0, np.int32), dense, weights[rows])
    depth = min(settings.max_depth or _DEEPEST, _DEEPEST)
    leaves = min(max(1, len(rows) // settings.min_samples_leaf), 2 ** min(depth, 40))
    features = len(source.columns)
    feature, left, right, leaf = np.empty((4, 2 * leaves), np.int32)
    tree = TreeArrays(
        feature,
        left,
        right,
        leaf,
        np.empty(2 * leaves, np.float32),
        np.empty((leaves, outputs), np.float32),
        np.zeros(features or leaves),
        np.empty((0 if features else leaves, 2, 7), np.int32),
    )
    limits = Limits(depth, settings.max_features, settings.min_samples_split, settings.min_samples_leaf)
    n_nodes, n_leaves = grow_tree(source, samples, limits, np.array([seed], np.uint64), tree)
    of_nodes = {
        name: getattr(tree, name)[:n_nodes].copy() for name in ("feature", "threshold", "left", "right", "leaf")
    }
    return of_nodes | {
        "bag": np.packbits(in_bag),
        "values": tree.values[:n_leaves].copy(),
        "decrease": tree.decrease,
        "boxes": tree.boxes[: n_leaves - 1].copy(),
    }
