"""Compiled kernels of the search for the best split of one feature in one node.

A split sends codes <= c to the left. With S the weighted sums of the targets (one-hot for hard labels) and W the
weights, the best split maximises  sum_k SL_k^2 / WL + sum_k SR_k^2 / WR,  which minimises the weighted Gini impurity
for class probabilities and the summed variance for regression targets. Arrays are over the samples of the node;
outputs are padded, see `_outputs`. A scan writes of each split that is allowed the sums of squares on both sides, the
weight on the left and the code into the columns of `cuts`, and returns their number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._comparisons import FEW, place_among
from regforest.forest._outputs import add_up, add_weighted, split_squares


@kernel
def sum_of_squares(numbers: NDArray[np.floating[Any]]) -> float:
    """Sum of the squares of a vector."""
    total = 0.0
    for k in range(numbers.size):
        total += np.float64(numbers[k]) * np.float64(numbers[k])
    return total


@kernel
def node_totals(
    classes: NDArray[np.int32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    start: int,
    stop: int,
    totals: NDArray[np.float64],
) -> tuple[float, float]:
    """Fill the weighted sums per output; return the weight and the weighted sum of squared targets."""
    totals[:] = 0
    total_weight, squares = 0.0, 0.0
    for i in range(start, stop):
        weight = np.float64(weights[i])
        total_weight += weight
        if classes.size:
            totals[classes[i]] += weight
            squares += weight
        else:
            add_weighted(totals, targets[i], weight)
            squares += weight * sum_of_squares(targets[i])
    return total_weight, squares


@kernel
def lowest_and_highest(codes: NDArray[np.uint8]) -> tuple[int, int]:
    """Lowest and highest code of a node's samples."""
    low, high = np.uint8(255), np.uint8(0)
    for i in range(codes.size):
        low = min(low, codes[i])
        high = max(high, codes[i])
    return int(low), int(high)


@kernel
def sort_codes(
    codes: NDArray[np.uint8], low: int, high: int, counts: NDArray[np.int32], order: NDArray[np.int32]
) -> None:
    """Write into `order` the positions of the codes by ascending code, stable."""
    if codes.size <= FEW:
        for i in range(codes.size):
            order[place_among(codes, i)] = i
        return
    for i in range(codes.size):
        counts[codes[i]] += 1
    before = 0
    for code in range(low, high + 1):
        count = counts[code]
        counts[code] = before
        before += count
    for i in range(codes.size):
        order[counts[codes[i]]] = i
        counts[codes[i]] += 1
    counts[low : high + 1] = 0


@kernel
def scan_classes(
    codes: NDArray[np.uint8],
    order: NDArray[np.int32],
    classes: NDArray[np.int32],
    weights: NDArray[np.float32],
    totals: NDArray[np.float64],
    total_squares: float,
    min_leaf: int,
    left: NDArray[np.float64],
    cuts: NDArray[np.float64],
) -> int:
    """Move one sample at a time to the left; hard labels."""
    left_weight, left_squares, right_squares = 0.0, 0.0, total_squares
    found, last = 0, codes.size - min_leaf
    code = codes[order[0]]
    for i in range(last):
        sample, next_code = order[i], codes[order[i + 1]]
        weight, k = np.float64(weights[sample]), np.uint64(classes[sample])
        here = left[k]
        left[k] = here + weight
        left_squares += weight * (weight + 2 * here)
        right_squares += weight * (weight - 2 * (totals[k] - here))
        left_weight += weight
        cuts[0, found], cuts[1, found] = left_squares, right_squares
        cuts[2, found], cuts[3, found] = left_weight, code
        found += (next_code != code) & (i + 1 >= min_leaf)
        code = next_code
    left[:] = 0
    return found


@kernel
def scan_targets(
    codes: NDArray[np.uint8],
    order: NDArray[np.int32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    totals: NDArray[np.float64],
    min_leaf: int,
    left: NDArray[np.float64],
    cuts: NDArray[np.float64],
) -> int:
    """Move one sample at a time to the left; soft labels or regression."""
    left_weight, found = 0.0, 0
    for i in range(codes.size - min_leaf):
        sample, code = order[i], codes[order[i]]
        weight = np.float64(weights[sample])
        left_weight += weight
        add_weighted(left, targets[sample], weight)
        if code != codes[order[i + 1]] and i + 1 >= min_leaf:
            cuts[0, found], cuts[1, found] = split_squares(left, totals)
            cuts[2, found], cuts[3, found] = left_weight, code
            found += 1
    left[:] = 0
    return found


@kernel
def fill_histogram(
    codes: NDArray[np.uint8],
    classes: NDArray[np.int32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    histogram: NDArray[np.float64],
    bin_weights: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Add each sample of a node to the sums of its code."""
    for i in range(codes.size):
        code, weight = np.uint64(codes[i]), np.float64(weights[i])
        counts[code] += 1
        bin_weights[code] += weight
        if classes.size:
            histogram[code, np.uint64(classes[i])] += weight
        else:
            add_weighted(histogram[code], targets[i], weight)


@kernel
def scan_histogram(
    histogram: NDArray[np.float64],
    bin_weights: NDArray[np.float64],
    counts: NDArray[np.int32],
    low: int,
    high: int,
    samples: int,
    totals: NDArray[np.float64],
    min_leaf: int,
    cuts: NDArray[np.float64],
) -> int:
    """Move one code at a time to the left."""
    left_weight, left_count, found = 0.0, 0, 0
    add_up(histogram, low, high)
    for code in range(low, high):
        left_count += counts[code]
        left_weight += bin_weights[code]
        cuts[0, found], cuts[1, found] = split_squares(histogram[code], totals)
        cuts[2, found], cuts[3, found] = left_weight, code
        found += (counts[code] > 0) & (left_count >= min_leaf) & (samples - left_count >= min_leaf)
    return found


@kernel
def best_of_cuts(cuts: NDArray[np.float64], found: int, weight: float) -> tuple[float, int]:
    """Best score and its code, of so many cuts of a node of this weight; or (-1, -1)."""
    for i in range(found):
        cuts[0, i] = cuts[0, i] / cuts[2, i] + cuts[1, i] / (weight - cuts[2, i])
    best, place = -1.0, -1
    for i in range(found):
        if cuts[0, i] > best:
            best, place = cuts[0, i], i
    return best, int(cuts[3, place]) if place >= 0 else -1
