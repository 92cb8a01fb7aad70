"""How much memory a forest takes, and growing it, before it is grown."""

from __future__ import annotations

from joblib import effective_n_jobs

from regforest._memory import Stage
from regforest.forest._nodes import BLOCK
from regforest.forest._outputs import padded
from regforest.forest.grow import TreeSettings

__all__ = ["forest_memory_mb", "growing_memory"]

_BAG = 0.65  # share of the rows that are in the bag of a tree: 1 - 1/e, and a little
_QUANTILE_ROWS = 4096
_NODE_BYTES = 40  # of a leaf and the inner node that comes with it


def forest_memory_mb(rows: int, outputs: int, settings: TreeSettings, n_trees: int) -> float:
    """Bound the size of a forest in megabytes, from the number of its training rows.

    Examples
    --------
    >>> round(forest_memory_mb(100_000, 27, TreeSettings(60, min_samples_leaf=4), n_trees=40))
    70
    """
    return n_trees * _leaves(rows, settings) * (_NODE_BYTES + 4 * outputs) / 1e6


def _leaves(rows: int, settings: TreeSettings) -> float:
    """Leaves of a tree: of those that cannot be split, between the least and twice as large, an average one."""
    least = settings.min_samples_leaf
    return min(_BAG * rows / ((3 * least - 1) / 2), 2.0 ** (settings.max_depth or 40)) + 1


def growing_memory(
    rows: int, features: int, outputs: int, settings: TreeSettings, n_trees: int, n_jobs: int | None,
    block_bytes: float = 0.0,
) -> Stage:  # fmt: skip
    """Bound what `grow_forest` takes beside rows and targets; `slab_mb` of the stage is what one thread takes.

    Parameters
    ----------
    rows, features, outputs : int
        Of the training set; no features if boxes are drawn at each node. Targets are soft or of a regression.
    settings : TreeSettings
        How trees are grown.
    n_trees : int
        Number of trees.
    n_jobs : int or None
        Threads.
    block_bytes : float
        What it takes to make the rows of a block.

    Examples
    --------
    >>> stage = growing_memory(100_000, 600, 27, TreeSettings(60, min_samples_leaf=4), n_trees=40, n_jobs=2)
    >>> round(stage.held_mb), round(stage.slab_mb)
    (191, 27)
    """
    most_leaves = min(_BAG * rows / settings.min_samples_leaf, 2.0 ** (settings.max_depth or 40)) + 1
    leaf_bytes = _NODE_BYTES + 4 * outputs + (0 if features else 64)
    trees = 1e6 * forest_memory_mb(rows, outputs, settings, n_trees) + n_trees * (rows / 8 + 8 * features)
    trees += 0 if features else 64 * n_trees * _leaves(rows, settings)
    codes = max(2 * features * rows, 3 * 4 * features * min(rows, _QUANTILE_ROWS)) + 1020 * features
    # all samples in the bag twice, with their targets; before that the draw of the bag
    thread = (
        rows * 40 + _BAG * rows * (8 * padded(outputs) + (24 + BLOCK if features else 32)) + most_leaves * leaf_bytes
    )
    each = max(thread, block_bytes) / 1e6
    held = max(codes + trees, 2 * trees) / 1e6
    return Stage(held, effective_n_jobs(n_jobs) * each, each)
