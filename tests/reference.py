"""Slow, obviously correct twins of the package's kernels, for the tests to compare with."""

from __future__ import annotations

import numpy as np


# --- vertebrae ------------------------------------------------------------------------------------------------


def mean_shift_mode(weights, start, sigma, steps=300):
    """Mean shift over every voxel of the volume, with the kernel cut at three standard deviations."""
    index = np.indices(weights.shape).reshape(3, -1).T.astype(float)
    flat = weights.ravel().astype(float)
    place, density = np.asarray(start, dtype=float), 0.0
    for _ in range(steps):
        d2 = ((index - place) ** 2).sum(axis=1)
        kernel = np.where(d2 <= 9 * sigma**2, np.exp(-d2 / (2 * sigma**2)), 0)
        reach = np.indices((41, 41, 41)).reshape(3, -1).T - 20 + np.rint(place)
        mass_d2 = ((reach - place) ** 2).sum(axis=1)
        mass = np.exp(-mass_d2[mass_d2 <= 9 * sigma**2] / (2 * sigma**2)).sum()
        density = (kernel * flat).sum() / mass
        moved = (index * (kernel * flat)[:, None]).sum(axis=0) / (kernel * flat).sum()
        if np.abs(moved - place).max() < 1e-6:
            break
        place = moved
    return place, density
