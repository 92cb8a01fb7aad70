"""Compiled kernels that turn feature columns into 8-bit codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.forest._comparisons import LIMITS, count_below


@kernel
def find_edges(columns: NDArray[np.float32], edges: NDArray[np.float32]) -> None:
    """Bin edges from sorted samples, columns[feature, sample]; unused edges, and the last, stay infinite.

    Where there are more distinct values than bins, an edge is set where another 1/bins of the samples has passed;
    runs of equal values are never cut. An edge lies midway between two values, below the upper one.
    """
    samples = columns.shape[1]
    bins = edges.shape[1]
    for f in range(columns.shape[0]):
        values = columns[f]
        distinct = 1
        for i in range(1, samples):
            distinct += values[i] != values[i - 1]
        wanted = 1 if distinct <= bins else samples // bins + 1
        used, last = 0, 0
        for i in range(1, samples):
            if values[i] != values[i - 1] and i - last >= wanted and used < bins - 1:
                middle = values[i - 1] + (values[i] - values[i - 1]) / np.float32(2)
                edges[f, used] = middle if values[i - 1] <= middle < values[i] else values[i - 1]
                used += 1
                last = i


@kernel
def encode(rows: NDArray[np.float32], edges: NDArray[np.float32], codes: NDArray[np.uint8]) -> None:
    """Count the edges below each value, codes[row, feature]: every sixteenth edge first, then those in between."""
    sixteenth = np.ascontiguousarray(edges[:, LIMITS - 1 :: LIMITS])
    for i in range(rows.shape[0]):
        for f in range(rows.shape[1]):
            first = LIMITS * count_below(sixteenth[f], 0, rows[i, f])
            codes[i, f] = first + count_below(edges[f], first, rows[i, f])
