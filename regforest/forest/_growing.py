"""Compiled kernels that grow one tree on 8-bit codes, columns[feature, row]."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._splits import (
    TINY,
    fill_histogram,
    node_codes,
    node_totals,
    scan_classes,
    scan_histogram,
    scan_targets,
    sort_codes,
    sum_of_squares,
)

_HISTOGRAM_COST = 4  # a sample in a sort costs as much as so many cells of a histogram
_PURE = 1e-7  # an impurity below this share of the largest possible one is rounding


class Samples(NamedTuple):
    """The samples in the bag of one tree, rearranged as it grows so that each node's stand together.

    `rows` int32: columns of the codes. `classes` int32 for hard labels, else empty. `targets` float32 (samples,
    outputs) for soft labels and regression, else without rows. `weights` float32.
    """

    rows: NDArray[np.int32]
    classes: NDArray[np.int32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


class Limits(NamedTuple):
    """When to stop, and how many features to try."""

    max_depth: int
    max_features: int
    min_split: int
    min_leaf: int


class TreeArrays(NamedTuple):
    """Where a tree is written.

    Arrays over the nodes, four int32 and `threshold` float32; the leaf values, float32; and for each feature by how
    much its splits have lowered the impurity, weighted, float64, which begins as zeros.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaf: NDArray[np.int32]
    values: NDArray[np.float32]
    decrease: NDArray[np.float64]


class Space(NamedTuple):
    """Work space for one tree; `counts` and `left` are zero between uses."""

    codes: NDArray[np.uint8]
    order: NDArray[np.int32]
    spare: NDArray[np.int32]
    spare_weights: NDArray[np.float32]
    spare_targets: NDArray[np.float32]
    histogram: NDArray[np.float64]
    bin_weights: NDArray[np.float64]
    counts: NDArray[np.int64]
    left: NDArray[np.float64]
    totals: NDArray[np.float64]
    pool: NDArray[np.int32]
    state: NDArray[np.uint64]


@kernel
def random_below(state: NDArray[np.uint64], limit: int) -> int:
    """Next number of a splitmix64 sequence, reduced to 0 .. limit - 1."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return int((z >> np.uint64(11)) % np.uint64(limit))


@kernel
def split_node(
    columns: NDArray[np.uint8],
    samples: Samples,
    start: int,
    stop: int,
    total_weight: float,
    total_squares: float,
    limits: Limits,
    space: Space,
) -> tuple[int, int, float]:
    """Best feature and code among `max_features` features drawn without replacement, and its score; or (-1, -1, -1).

    As in scikit-learn, drawing goes on until a feature that is not constant in the node has been seen. A feature is
    searched by histogram or by sorting, whichever is cheaper.
    """
    best, best_feature, best_code = -1.0, -1, -1
    rows, classes, targets, weights = samples.rows, samples.classes, samples.targets, samples.weights
    codes, order, counts, left, totals = space.codes, space.order, space.counts, space.left, space.totals
    histogram, bin_weights, pool = space.histogram, space.bin_weights, space.pool
    count, min_leaf, varied = stop - start, limits.min_leaf, False
    for drawn in range(pool.size):
        if drawn >= limits.max_features and varied:
            break
        other = drawn + random_below(space.state, pool.size - drawn)
        feature = pool[other]
        pool[other] = pool[drawn]
        pool[drawn] = feature
        low, high = node_codes(columns[feature], rows, start, stop, codes)
        if low == high:
            continue
        varied = True
        if count > TINY and count * _HISTOGRAM_COST >= (high - low + 1) * totals.size:
            histogram[low : high + 1] = 0
            bin_weights[low : high + 1] = 0
            fill_histogram(codes, classes, targets, weights, start, count, histogram, bin_weights, counts)
            score, code = scan_histogram(
                histogram, bin_weights, counts, low, high, count, totals, total_weight, min_leaf, left
            )
            counts[low : high + 1] = 0
        else:
            sort_codes(codes, count, low, high, counts, order)
            if classes.size:
                score, code = scan_classes(
                    codes, order, classes, weights, start, count, totals, total_weight, total_squares, min_leaf, left
                )
            else:
                score, code = scan_targets(
                    codes, order, targets, weights, start, count, totals, total_weight, min_leaf, left
                )
        if score > best:
            best, best_feature, best_code = score, feature, code
    return best_feature, best_code, best


@kernel
def divide(column: NDArray[np.uint8], code: int, samples: Samples, start: int, stop: int, space: Space) -> int:
    """Bring a node's samples with codes <= `code` to the front, order kept; return where the others begin."""
    rows, place = samples.rows, space.order
    middle = start
    for i in range(start, stop):
        middle += column[rows[i]] <= code
    to_left, to_right = start, middle
    for i in range(start, stop):
        goes_left = column[rows[i]] <= code
        place[i - start] = to_left if goes_left else to_right
        to_left += goes_left
        to_right += 1 - goes_left
    move(rows, place, start, stop, space.spare)
    move(samples.weights, place, start, stop, space.spare_weights)
    if samples.classes.size:
        move(samples.classes, place, start, stop, space.spare)
    else:
        for i in range(start, stop):
            space.spare_targets[place[i - start]] = samples.targets[i]
        for i in range(start, stop):
            samples.targets[i] = space.spare_targets[i]
    return middle


@kernel
def move(
    values: NDArray[np.generic], place: NDArray[np.int32], start: int, stop: int, spare: NDArray[np.generic]
) -> None:
    """Bring values[i] to values[place[i - start]]."""
    for i in range(start, stop):
        spare[place[i - start]] = values[i]
    for i in range(start, stop):
        values[i] = spare[i]


@kernel
def middle_of_gap(column: NDArray[np.float32], rows: NDArray[np.int32], start: int, middle: int, stop: int) -> float:
    """Threshold midway between the values of start .. middle - 1 and the larger ones of middle .. stop - 1."""
    below, above = column[rows[start]], column[rows[middle]]
    for i in range(start + 1, middle):
        below = max(below, column[rows[i]])
    for i in range(middle + 1, stop):
        above = min(above, column[rows[i]])
    half: float = below / np.float32(2) + above / np.float32(2)
    return half if below <= half < above else float(below)


@kernel
def grow_tree(
    columns: NDArray[np.uint8],
    values: NDArray[np.float32],
    samples: Samples,
    limits: Limits,
    state: NDArray[np.uint64],
    tree: TreeArrays,
) -> tuple[int, int]:
    """Grow one tree depth first; return its numbers of nodes and leaves.

    Splits are found on the codes columns[feature, row]; a threshold is set midway in the gap that they leave between
    the values[row, feature] on both sides, which on new rows is a little better than the edge of a bin in that gap.
    """
    outputs = tree.values.shape[1]
    space = work_space(columns.shape[0], samples, outputs, state)
    stack = np.empty((limits.max_depth + 2, 4), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, 0, samples.rows.size, 0
    waiting, nodes, leaves = 1, 1, 0
    while waiting > 0:
        waiting -= 1
        node, start, stop, depth = stack[waiting, 0], stack[waiting, 1], stack[waiting, 2], stack[waiting, 3]
        weight, squares = node_totals(samples.classes, samples.targets, samples.weights, start, stop, space.totals)
        total_squares = sum_of_squares(space.totals)
        feature, code = -1, -1
        divisible = depth < limits.max_depth and stop - start >= max(limits.min_split, 2 * limits.min_leaf)
        if divisible and squares - total_squares / weight > _PURE * squares:
            feature, code, score = split_node(columns, samples, start, stop, weight, total_squares, limits, space)
            if feature >= 0:
                tree.decrease[feature] += score - total_squares / weight
        tree.feature[node], tree.threshold[node] = feature, 0
        if feature < 0:
            tree.left[node], tree.right[node], tree.leaf[node] = -1, -1, leaves
            for k in range(outputs):
                tree.values[leaves, k] = space.totals[k] / weight
            leaves += 1
            continue
        middle = divide(columns[feature], code, samples, start, stop, space)
        tree.threshold[node] = middle_of_gap(values[:, feature], samples.rows, start, middle, stop)
        tree.left[node], tree.right[node], tree.leaf[node] = nodes, nodes + 1, -1
        stack[waiting, 0], stack[waiting, 1], stack[waiting, 2], stack[waiting, 3] = (
            nodes + 1,
            middle,
            stop,
            depth + 1,
        )
        waiting += 1
        stack[waiting, 0], stack[waiting, 1], stack[waiting, 2], stack[waiting, 3] = nodes, start, middle, depth + 1
        waiting += 1
        nodes += 2
    return nodes, leaves


@kernel
def work_space(features: int, samples: Samples, outputs: int, state: NDArray[np.uint64]) -> Space:
    """Allocate what one tree needs."""
    count = samples.rows.size
    return Space(
        np.empty(count, np.uint8),
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.empty(count, np.float32),
        np.empty(samples.targets.shape, np.float32),
        np.empty((256, outputs), np.float64),
        np.empty(256, np.float64),
        np.zeros(256, np.int64),
        np.zeros(outputs, np.float64),
        np.empty(outputs, np.float64),
        np.arange(features).astype(np.int32),
        state,
    )
