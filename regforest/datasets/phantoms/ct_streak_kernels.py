"""Compiled kernels of the streaks: parallel projection of an image, and its adjoint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel


@kernel
def project(metal: NDArray[np.float32], angles: NDArray[np.float64], sums: NDArray[np.float32]) -> None:
    """Parallel projections of an image (y, x): sums (angles, bins), the axis in the middle bin."""
    height, width = metal.shape
    middle = 0.5 * (sums.shape[1] - 1)
    for y in range(height):
        for x in range(width):
            value = metal[y, x]
            if value <= 0.0:
                continue
            for a in range(len(angles)):
                place = (
                    middle
                    + (x - 0.5 * (width - 1)) * np.cos(angles[a])
                    + (y - 0.5 * (height - 1)) * np.sin(angles[a])
                )
                low = int(place)
                share = place - low
                sums[a, low] += value * (1.0 - share)
                sums[a, low + 1] += value * share


@kernel
def back_project(filtered: NDArray[np.float32], angles: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Add to each pixel of an image (y, x) what its ray has in each filtered projection (angles, bins)."""
    height, width = out.shape
    middle = 0.5 * (filtered.shape[1] - 1)
    for a in range(len(angles)):
        c, s = np.cos(angles[a]), np.sin(angles[a])
        for y in range(height):
            start = middle - 0.5 * (width - 1) * c + (y - 0.5 * (height - 1)) * s
            for x in range(width):
                place = start + x * c
                low = int(place)
                share = place - low
                out[y, x] += filtered[a, low] * (1.0 - share) + filtered[a, low + 1] * share
