"""Compiled kernel that grows one tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._candidates import Source, choose_boxes
from regforest.forest._columns import choose_column
from regforest.forest._comparisons import FEW
from regforest.forest._nodes import BLOCK, Limits, Samples, Space, TreeArrays, divide, middle_of_gap, node_of
from regforest.forest._outputs import aligned_zeros, padded
from regforest.forest._splits import node_totals, sum_of_squares

_PURE = 1e-7  # an impurity below this share of the largest possible one is rounding


@kernel
def grow_tree(
    source: Source, samples: Samples, limits: Limits, state: NDArray[np.uint64], tree: TreeArrays
) -> tuple[int, int]:
    """Grow one tree depth first; return its numbers of nodes and leaves.

    Splits are found on 8-bit codes. The threshold of a column is the edge of a bin; of drawn boxes it lies midway in
    the gap that the codes leave between the values on both sides, which on new rows is a little better (columns get
    theirs when all trees are grown). Features are numbered as the columns are, or, if boxes are drawn, one after the
    other.
    """
    outputs, drawn = tree.values.shape[1], tree.boxes.shape[0] > 0
    space = work_space(source, samples, padded(outputs), state)
    stack = np.empty((limits.max_depth + 2, 4), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, 0, samples.rows.size, 0
    waiting, nodes, leaves, boxes = 1, 1, 0, 0
    while waiting > 0:
        waiting -= 1
        node, start, stop, depth = stack[waiting, 0], stack[waiting, 1], stack[waiting, 2], stack[waiting, 3]
        weight, squares = node_totals(samples.classes, samples.targets, samples.weights, start, stop, space.totals)
        total_squares = sum_of_squares(space.totals)
        feature, code, score = -1, -1, -1.0
        divisible = depth < limits.max_depth and stop - start >= max(limits.min_split, 2 * limits.min_leaf)
        if divisible and squares - total_squares / weight > _PURE * squares:
            sums = node_of(samples, start, stop, weight, space)
            if drawn:
                code, score = choose_boxes(source, samples, start, stop, sums, limits, space, tree.boxes[boxes])
                if code >= 0:
                    feature = boxes
                    boxes += 1
            else:
                feature, code, score = choose_column(source, samples, start, stop, sums, limits, space)
        tree.feature[node], tree.threshold[node] = feature, 0
        if feature < 0:
            tree.left[node], tree.right[node], tree.leaf[node] = -1, -1, leaves
            for k in range(outputs):
                tree.values[leaves, k] = space.totals[k] / weight
            leaves += 1
            continue
        tree.decrease[feature] += score - total_squares / weight
        tree.threshold[node] = middle_of_gap(code, stop - start, space) if drawn else source.edges[feature, int(code)]
        middle = divide(code, samples, start, stop, space)
        tree.left[node], tree.right[node], tree.leaf[node] = nodes, nodes + 1, -1
        stack[waiting, 0], stack[waiting, 1] = nodes + 1, middle
        stack[waiting, 2], stack[waiting, 3] = stop, depth + 1
        waiting += 1
        stack[waiting, 0], stack[waiting, 1] = nodes, start
        stack[waiting, 2], stack[waiting, 3] = middle, depth + 1
        waiting += 1
        nodes += 2
    return nodes, leaves


@kernel
def work_space(source: Source, samples: Samples, outputs: int, state: NDArray[np.uint64]) -> Space:
    """Allocate what one tree needs; `outputs` is padded."""
    features, count = source.columns.shape[0], samples.rows.size
    drawn = 0 if features else count  # of columns the codes alone are looked at
    return Space(
        np.empty(count * (min(features, BLOCK) if features else 1) + FEW, np.uint8),
        np.empty(count, np.uint8),
        np.empty(drawn, np.float32),
        np.empty(drawn, np.float32),
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.empty(samples.classes.size, np.int32),
        np.empty(count, np.float32),
        np.empty(samples.targets.shape, np.float32),
        aligned_zeros(256 * outputs),
        np.empty(256, np.float64),
        np.zeros(256, np.int32),
        np.empty((4, 256), np.float64),
        aligned_zeros(outputs),
        aligned_zeros(outputs),
        aligned_zeros(outputs),
        np.empty(outputs, np.int32),
        np.arange(features).astype(np.int32),
        state,
    )
