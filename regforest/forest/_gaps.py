"""Compiled kernel that finds the gaps which thresholds divide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel


@kernel
def note_gaps(
    rows: NDArray[np.float32],
    first: int,
    bag: NDArray[np.uint8],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    below: NDArray[np.float32],
    above: NDArray[np.float32],
) -> None:
    """Lead the rows in the bag of a tree to its leaves; raise `below` and lower `above` to the values at each node.

    `bag` holds a bit for each of all rows, of which `rows` are some, the first of them number `first`.
    """
    for i in range(rows.shape[0]):
        number = first + i
        if not bag[number >> 3] & (128 >> (number & 7)):
            continue
        node = 0
        while feature[node] >= 0:
            value = rows[i, feature[node]]
            if value <= threshold[node]:
                below[node] = max(below[node], value)
                node = left[node]
            else:
                above[node] = min(above[node], value)
                node = right[node]
