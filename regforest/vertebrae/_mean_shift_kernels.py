"""Compiled kernels of the mean shift: sums under a Gaussian kernel that is cut at three standard deviations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel

FloatArray = NDArray[np.float64]

REACH_SIGMAS = 3.0
_MAX_STEPS = 60
_TOLERANCE_VOX = 0.01


@kernel
def weigh(
    weights: NDArray[np.float32], z: float, y: float, x: float, sigma: float
) -> tuple[float, float, float, float, float]:
    """Kernel mass, weighted mass, and sums of weight times index z, y, x around one point."""
    reach = REACH_SIGMAS * sigma
    mass = total = cz = cy = cx = 0.0
    for i in range(int(np.ceil(z - reach)), int(np.floor(z + reach)) + 1):
        for j in range(int(np.ceil(y - reach)), int(np.floor(y + reach)) + 1):
            for k in range(int(np.ceil(x - reach)), int(np.floor(x + reach)) + 1):
                d2 = (i - z) ** 2 + (j - y) ** 2 + (k - x) ** 2
                if d2 > reach * reach:
                    continue
                g = np.exp(-0.5 * d2 / (sigma * sigma))
                mass += g
                if 0 <= i < weights.shape[0] and 0 <= j < weights.shape[1] and 0 <= k < weights.shape[2]:
                    w = g * weights[i, j, k]
                    total += w
                    cz += w * i
                    cy += w * j
                    cx += w * k
    return mass, total, cz, cy, cx


@kernel
def follow(
    weights: NDArray[np.float32], starts: FloatArray, sigma: FloatArray, modes: FloatArray, density: FloatArray
) -> None:
    """Follow mean shift from each start until a step is shorter than a hundredth of a voxel, or for 60 steps."""
    for s in range(starts.shape[0]):
        z, y, x = starts[s, 0], starts[s, 1], starts[s, 2]
        density[s] = 0.0
        for _ in range(_MAX_STEPS):
            mass, total, cz, cy, cx = weigh(weights, z, y, x, sigma[s])
            if total <= 0.0:
                break
            density[s] = total / mass
            moved = (cz / total - z) ** 2 + (cy / total - y) ** 2 + (cx / total - x) ** 2
            z, y, x = cz / total, cy / total, cx / total
            if moved < _TOLERANCE_VOX * _TOLERANCE_VOX:
                break
        modes[s, 0], modes[s, 1], modes[s, 2] = z, y, x


@kernel
def kernel_means(maps: NDArray[np.float32], points: FloatArray, sigma: FloatArray, out: FloatArray) -> None:
    """Kernel mean of each map around each point, out[point, map]."""
    for n in range(points.shape[0]):
        for k in range(maps.shape[0]):
            mass, total, _, _, _ = weigh(maps[k], points[n, 0], points[n, 1], points[n, 2], sigma[k])
            out[n, k] = total / mass
