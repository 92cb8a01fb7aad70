"""The second pass over the features: thresholds move from the edges of bins into the gaps between values."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._threads import run_in_threads
from regforest.forest._gaps import note_gaps
from regforest.forest.rows import Rows, first_rows

__all__ = ["settle_thresholds"]

_GAP_ROWS = 256  # of a block that go down all trees while they lie in the cache


class _Gap(NamedTuple):
    """The values on both sides of each node of a tree that are nearest to its threshold, so far."""

    below: NDArray[np.float32]
    above: NDArray[np.float32]
    lock: threading.Lock


def settle_thresholds(trees: Sequence[dict[str, NDArray[Any]]], rows: Rows, n_jobs: int | None) -> None:
    """Move each threshold from the edge of a bin to the middle of the gap between the node's values around it.

    Parameters
    ----------
    trees : sequence of dict of str to ndarray
        Arrays of each tree, as `grow_trees` gives them; ``"threshold"`` is changed in place.
    rows : Rows
        The values that were binned.
    n_jobs : int or None
        Threads; the thresholds do not depend on it.
    """
    shapes = [tree["feature"].shape for tree in trees]
    gaps = [
        _Gap(np.full(shape, -np.inf, np.float32), np.full(shape, np.inf, np.float32), threading.Lock())
        for shape in shapes
    ]
    firsts = first_rows(rows)
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
