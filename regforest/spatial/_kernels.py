"""Compiled kernels of this layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel


@kernel
def weighted_rows(
    source: NDArray[np.float32],
    first: NDArray[np.int64],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Resample the middle axis of a 3-D array: out[a, i, c] = sum_k weights[i, k] source[a, first[i] + k, c].

    Taps that reach past an end use the end (edge padding).
    """
    outer, length, inner = source.shape
    for a in range(outer):
        for i in range(out.shape[1]):
            target = out[a, i]
            target[:] = 0.0
            for k in range(weights.shape[1]):
                weight = weights[i, k]
                if weight == 0.0:
                    continue
                row = source[a, min(max(first[i] + k, 0), length - 1)]
                for c in range(inner):
                    target[c] += weight * row[c]
