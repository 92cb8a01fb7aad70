"""Compiled kernels on the samples of one node: the best cut of a feature, and the division of the samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._outputs import padded
from regforest.forest._splits import (
    best_of_cuts,
    fill_histogram,
    lowest_and_highest,
    scan_classes,
    scan_histogram,
    scan_targets,
    sort_codes,
    sum_of_squares,
)

BLOCK = 32  # features that are tried together
_SAMPLE_COST = 16  # of sorting and scanning, where a code of a histogram costs 8 and as many as it has outputs


class Samples(NamedTuple):
    """The samples in the bag of one tree, rearranged as it grows so that each node's stand together.

    `rows` int32: columns of the codes. `classes` int32 for hard labels, else empty. `targets` float32 (samples,
    padded outputs) for soft labels and regression, else without rows. `weights` float32.
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

    Arrays over the nodes, four int32 and `threshold` float32; the leaf values, float32; for each feature by how much
    its splits have lowered the impurity, weighted, float64, which begins as zeros; and the two boxes of each inner
    node, (inner nodes, 2, 7) int32, if boxes are drawn.
    """

    feature: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    leaf: NDArray[np.int32]
    threshold: NDArray[np.float32]
    values: NDArray[np.float32]
    decrease: NDArray[np.float64]
    boxes: NDArray[np.int32]


class Node(NamedTuple):
    """The samples of one node, and sums over them.

    Arrays over its samples: `classes`, numbered among those that are there, or `targets`; and `weights`. `totals`:
    weighted sums of the outputs, padded; `squares`: of these sums; `weight`: sum of the weights.
    """

    classes: NDArray[np.int32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    totals: NDArray[np.float64]
    squares: float
    weight: float


class Space(NamedTuple):
    """Work space for one tree; `counts` and `left` are zero between uses.

    `codes`: of the features that are tried, one after the other, for the samples of the node; `best_codes`: of the
    best one so far. `values` and `best_values`: the same for boxes. `rows`, `classes`, `weights`, `targets`: one
    number or row for each sample. `number`: of the classes in a node. `cuts`: see `_splits`.
    """

    codes: NDArray[np.uint8]
    best_codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    best_values: NDArray[np.float32]
    order: NDArray[np.int32]
    rows: NDArray[np.int32]
    classes: NDArray[np.int32]
    weights: NDArray[np.float32]
    targets: NDArray[np.float32]
    histogram: NDArray[np.float64]
    bin_weights: NDArray[np.float64]
    counts: NDArray[np.int32]
    cuts: NDArray[np.float64]
    left: NDArray[np.float64]
    totals: NDArray[np.float64]
    present: NDArray[np.float64]
    number: NDArray[np.int32]
    pool: NDArray[np.int32]
    state: NDArray[np.uint64]


@kernel
def node_of(samples: Samples, start: int, stop: int, weight: float, space: Space) -> Node:
    """Look at samples start .. stop - 1 as one node, after `node_totals` has filled `space.totals`."""
    classes, totals, present = space.classes, space.totals, space.present
    width = totals.size
    if samples.classes.size:
        here = 0
        for k in range(totals.size):
            if totals[k] > 0:
                present[here] = totals[k]
                space.number[k] = here
                here += 1
        width = padded(here)
        present[here:width] = 0
        for i in range(start, stop):
            classes[i - start] = space.number[samples.classes[i]]
        classes, totals = classes[: stop - start], present[:width]
    targets = samples.targets[start:stop]
    return Node(classes, targets, samples.weights[start:stop], totals, sum_of_squares(totals), weight)


@kernel
def best_cut(
    codes: NDArray[np.uint8], features: int, node: Node, min_leaf: int, space: Space
) -> tuple[float, int, int, bool]:
    """Best score, feature and code to split at, and whether any feature varies; features are numbered 0, 1, ..

    Each is searched by histogram or by sorting, whichever is cheaper. Without a split: (-1, -1, -1).
    """
    classes, targets, weights, totals, squares, weight = node
    order, counts, cuts, count = space.order, space.counts, space.cuts, weights.size
    left, code_cost = space.left[: totals.size], totals.size + 8 if classes.size else 8
    bin_weights, histogram = space.bin_weights, space.histogram[: 256 * totals.size].reshape(256, totals.size)
    best, best_feature, best_code, varied = -1.0, -1, -1, False
    for feature in range(features):
        column = codes[feature * count : (feature + 1) * count]
        low, high = lowest_and_highest(column)
        if low == high:
            continue
        varied = True
        if count * _SAMPLE_COST >= (high - low + 1) * code_cost:
            histogram[low : high + 1] = 0
            bin_weights[low : high + 1] = 0
            fill_histogram(column, classes, targets, weights, histogram, bin_weights, counts)
            found = scan_histogram(histogram, bin_weights, counts, low, high, count, totals, min_leaf, cuts)
            counts[low : high + 1] = 0
        else:
            sort_codes(column, low, high, counts, order)
            if classes.size:
                found = scan_classes(column, order, classes, weights, totals, squares, min_leaf, left, cuts)
            else:
                found = scan_targets(column, order, targets, weights, totals, min_leaf, left, cuts)
        score, code = best_of_cuts(cuts, found, weight)
        if score > best:
            best, best_feature, best_code = score, feature, code
    return best, best_feature, best_code, varied


@kernel
def divide(code: int, samples: Samples, start: int, stop: int, space: Space) -> int:
    """Bring a node's samples with best codes <= `code` to the front, order kept; return where the others begin."""
    codes = space.best_codes
    middle = part(samples.rows, codes, code, start, stop, space.rows)
    part(samples.weights, codes, code, start, stop, space.weights)
    if samples.classes.size:
        part(samples.classes, codes, code, start, stop, space.classes)
    else:
        targets, others = samples.targets, space.targets
        to_left, to_right = start, 0
        for i in range(start, stop):
            if codes[i - start] <= code:
                targets[to_left] = targets[i]
                to_left += 1
            else:
                others[to_right] = targets[i]
                to_right += 1
        targets[to_left:stop] = others[:to_right]
    return middle


@kernel
def part(
    values: NDArray[np.generic],
    codes: NDArray[np.uint8],
    code: int,
    start: int,
    stop: int,
    others: NDArray[np.generic],
) -> int:
    """Bring values[start + i] with codes[i] <= `code` to the front; return where the others begin."""
    to_left, to_right = start, 0
    for i in range(start, stop):
        value, goes_left = values[i], codes[i - start] <= code
        values[to_left] = value
        others[to_right] = value
        to_left += goes_left
        to_right += 1 - goes_left
    values[to_left:stop] = others[:to_right]
    return to_left


@kernel
def code_above(codes: NDArray[np.uint8], code: int) -> int:
    """Return the lowest of a node's codes above the one at which it is split."""
    above = np.uint8(255)
    for i in range(codes.size):
        above = min(above, codes[i] if codes[i] > code else np.uint8(255))
    return int(above)


@kernel
def middle_of_gap(code: int, count: int, space: Space) -> float:
    """Threshold midway in the gap between the best feature's values up to `code` and the others."""
    below, above = np.float32(-np.inf), np.float32(np.inf)
    next_code = code_above(space.best_codes[:count], code)
    for i in range(count):
        if space.best_codes[i] == code:
            below = max(below, space.best_values[i])
        elif space.best_codes[i] == next_code:
            above = min(above, space.best_values[i])
    half = below / np.float32(2) + above / np.float32(2)
    return float(half if below <= half < above else below)
