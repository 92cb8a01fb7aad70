"""Compiled kernels on the samples of one node: the best cut of a feature, and the division of the samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._splits import TINY, fill_histogram, scan_classes, scan_histogram, scan_targets, sort_codes

_HISTOGRAM_COST = 16  # a sample in a sort costs as much as so many cells of a histogram


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


class Space(NamedTuple):
    """Work space for one tree; `counts` and `left` are zero between uses.

    `codes`, `values`: the feature that is tried, for the samples of the node; `best_codes`, `best_values`: the best
    one so far. Values are those of drawn boxes; of columns there are none.
    """

    codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    best_codes: NDArray[np.uint8]
    best_values: NDArray[np.float32]
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
def best_cut(
    samples: Samples,
    start: int,
    count: int,
    low: int,
    high: int,
    total_weight: float,
    total_squares: float,
    min_leaf: int,
    space: Space,
) -> tuple[float, int]:
    """Best score and code to split at, by histogram or by sorting, whichever is cheaper; (-1, -1) if there is none.

    `low` and `high` are the lowest and the highest of the node's codes.
    """
    classes, targets, weights = samples.classes, samples.targets, samples.weights
    codes, counts, left, totals = space.codes, space.counts, space.left, space.totals
    if count > TINY and count * _HISTOGRAM_COST >= (high - low + 1) * totals.size:
        histogram, bin_weights = space.histogram, space.bin_weights
        histogram[low : high + 1] = 0
        bin_weights[low : high + 1] = 0
        fill_histogram(codes, classes, targets, weights, start, count, histogram, bin_weights, counts)
        score, code = scan_histogram(
            histogram, bin_weights, counts, low, high, count, totals, total_weight, min_leaf, left
        )
        counts[low : high + 1] = 0
        return score, code
    sort_codes(codes, count, low, high, counts, space.order)
    if classes.size:
        return scan_classes(
            codes, space.order, classes, weights, start, count, totals, total_weight, total_squares, min_leaf, left
        )
    return scan_targets(codes, space.order, targets, weights, start, count, totals, total_weight, min_leaf, left)


@kernel
def divide(code: int, samples: Samples, start: int, stop: int, space: Space) -> int:
    """Bring a node's samples with best codes <= `code` to the front, order kept; return where the others begin."""
    rows, place, codes = samples.rows, space.order, space.best_codes
    middle = start
    for i in range(stop - start):
        middle += codes[i] <= code
    to_left, to_right = start, middle
    for i in range(stop - start):
        goes_left = codes[i] <= code
        place[i] = to_left if goes_left else to_right
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
def middle_of_gap(code: int, count: int, space: Space) -> float:
    """Threshold midway in the gap between the best feature's values up to `code` and the others."""
    below, above = np.float32(-np.inf), np.float32(np.inf)
    for i in range(count):
        value = space.best_values[i]
        if space.best_codes[i] <= code:
            below = max(below, value)
        else:
            above = min(above, value)
    half = below / np.float32(2) + above / np.float32(2)
    return float(half if below <= half < above else below)
