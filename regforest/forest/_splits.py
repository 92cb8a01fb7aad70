"""Compiled kernels of the search for the best split of one feature in one node.

A split sends codes <= c to the left. With S the weighted sums of the targets (one-hot for hard labels) and W the
weights, the best split maximises  sum_k SL_k^2 / WL + sum_k SR_k^2 / WR,  which minimises the weighted Gini impurity
for class probabilities and the summed variance for regression targets. A node's samples are start .. stop - 1 of the
samples of the tree; its codes stand at the front of their array. Outputs are padded, see `_outputs`. All scans return
the score and the code, or (-1, -1) where no split is allowed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._outputs import add_weighted, split_squares

TINY = 24  # up to so many samples an insertion sort beats a counting sort


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
def node_codes(
    column: NDArray[np.uint8], rows: NDArray[np.int32], start: int, stop: int, codes: NDArray[np.uint8]
) -> tuple[int, int]:
    """Copy the codes of a node's samples to the front of `codes`; return the lowest and the highest."""
    low, high = np.uint8(255), np.uint8(0)
    for i in range(start, stop):
        code = column[np.uint64(rows[i])]
        codes[i - start] = code
        low = min(low, code)
        high = max(high, code)
    return int(low), int(high)


@kernel
def sort_codes(
    codes: NDArray[np.uint8], samples: int, low: int, high: int, counts: NDArray[np.int64], order: NDArray[np.int32]
) -> None:
    """Write into `order` the positions 0 .. samples - 1 by ascending code, stable."""
    if samples <= TINY:
        for i in range(samples):
            j = i
            while j > 0 and codes[order[j - 1]] > codes[i]:
                order[j] = order[j - 1]
                j -= 1
            order[j] = i
        return
    for i in range(samples):
        counts[codes[i]] += 1
    before = 0
    for code in range(low, high + 1):
        count = counts[code]
        counts[code] = before
        before += count
    for i in range(samples):
        order[counts[codes[i]]] = i
        counts[codes[i]] += 1
    counts[low : high + 1] = 0


@kernel
def scan_classes(
    codes: NDArray[np.uint8],
    order: NDArray[np.int32],
    classes: NDArray[np.int32],
    weights: NDArray[np.float32],
    start: int,
    samples: int,
    totals: NDArray[np.float64],
    total_weight: float,
    total_squares: float,
    min_leaf: int,
    left: NDArray[np.float64],
) -> tuple[float, int]:
    """Best score and code to split at, moving one sample at a time to the left; hard labels."""
    best, best_code = -1.0, -1
    left_weight, left_squares, right_squares = 0.0, 0.0, total_squares
    code = codes[order[0]]
    for i in range(samples - 1):
        sample = start + order[i]
        weight, k = np.float64(weights[sample]), np.uint64(classes[sample])
        here = left[k]
        left[k] = here + weight
        left_squares += weight * (weight + 2 * here)
        right_squares += weight * (weight - 2 * (totals[k] - here))
        left_weight += weight
        next_code = codes[order[i + 1]]
        if next_code != code and i + 1 >= min_leaf and samples - i - 1 >= min_leaf:
            score = left_squares / left_weight + right_squares / (total_weight - left_weight)
            if score > best:
                best, best_code = score, int(code)
        code = next_code
    for i in range(samples - 1):
        left[classes[start + order[i]]] = 0
    return best, best_code


@kernel
def scan_targets(
    codes: NDArray[np.uint8],
    order: NDArray[np.int32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    start: int,
    samples: int,
    totals: NDArray[np.float64],
    total_weight: float,
    min_leaf: int,
    left: NDArray[np.float64],
) -> tuple[float, int]:
    """Best score and code to split at, moving one sample at a time to the left; soft labels or regression."""
    best, best_code = -1.0, -1
    left_weight = 0.0
    for i in range(samples - 1):
        sample = start + order[i]
        weight = np.float64(weights[sample])
        left_weight += weight
        add_weighted(left, targets[sample], weight)
        code = codes[order[i]]
        if code != codes[order[i + 1]] and i + 1 >= min_leaf and samples - i - 1 >= min_leaf:
            score = split_score(left, totals, left_weight, total_weight)
            if score > best:
                best, best_code = score, int(code)
    left[:] = 0
    return best, best_code


@kernel
def split_score(
    left: NDArray[np.float64], totals: NDArray[np.float64], left_weight: float, total_weight: float
) -> float:
    """Score of a split from the sums on its left side."""
    left_squares, right_squares = split_squares(left, totals)
    return left_squares / left_weight + right_squares / (total_weight - left_weight)


@kernel
def fill_histogram(
    codes: NDArray[np.uint8],
    classes: NDArray[np.int32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    start: int,
    samples: int,
    histogram: NDArray[np.float64],
    bin_weights: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> None:
    """Add each sample of a node to the sums of its code."""
    for i in range(samples):
        code, weight = np.uint64(codes[i]), np.float64(weights[start + i])
        counts[code] += 1
        bin_weights[code] += weight
        if classes.size:
            histogram[code, np.uint64(classes[start + i])] += weight
        else:
            add_weighted(histogram[code], targets[start + i], weight)


@kernel
def scan_histogram(
    histogram: NDArray[np.float64],
    bin_weights: NDArray[np.float64],
    counts: NDArray[np.int64],
    low: int,
    high: int,
    samples: int,
    totals: NDArray[np.float64],
    total_weight: float,
    min_leaf: int,
    left: NDArray[np.float64],
) -> tuple[float, int]:
    """Best score and code to split at, moving one code at a time to the left."""
    best, best_code = -1.0, -1
    left_weight, left_count = 0.0, 0
    for code in range(low, high):
        if counts[code] == 0:
            continue
        left_count += counts[code]
        left_weight += bin_weights[code]
        add_weighted(left, histogram[code], 1.0)
        if left_count >= min_leaf and samples - left_count >= min_leaf:
            score = split_score(left, totals, left_weight, total_weight)
            if score > best:
                best, best_code = score, code
    left[:] = 0
    return best, best_code
