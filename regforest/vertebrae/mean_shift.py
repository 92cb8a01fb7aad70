"""Modes of a probability map by mean shift with a Gaussian kernel (Glocker et al. 2013, section 2.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.vertebrae._mean_shift_kernels import REACH_SIGMAS, follow, kernel_means

__all__ = ["find_modes", "kernel_mean", "shift_to_modes", "strongest_apart"]

FloatArray = NDArray[np.float64]


def find_modes(
    weights: NDArray[np.float32], sigma_vox: float, *, count: int = 4, minimum: float = 0.05
) -> tuple[FloatArray, FloatArray]:
    """Find the strongest modes of sum_i w_i exp(-|x - x_i|^2 / 2 sigma^2).

    Mean shift starts at the local maxima of the smoothed map; starts that end in one place count once.

    Parameters
    ----------
    weights : ndarray of float32, shape (z, y, x)
        Non-negative weight of each voxel, such as p(v | x).
    sigma_vox : float
        Standard deviation of the kernel, in voxels.
    count : int
        How many starts, from the highest maximum down.
    minimum : float
        Least kernel mean (weighted mean of `weights` under the kernel) that counts as a mode.

    Returns
    -------
    modes_zyx : ndarray, shape (M, 3)
        Fractional voxel index of each mode, the strongest first.
    density : ndarray, shape (M,)
        Kernel mean there, in the unit of `weights`.
    """
    box = ndimage.find_objects((weights > minimum / 4).astype(np.int8))
    if not box:
        return np.empty((0, 3)), np.empty(0)
    reach = int(np.ceil(REACH_SIGMAS * sigma_vox))
    window = tuple(
        slice(max(0, s.start - reach), min(n, s.stop + reach)) for s, n in zip(box[0], weights.shape, strict=True)
    )
    part = np.ascontiguousarray(weights[window], dtype=np.float32)
    starts = _local_maxima(part, sigma_vox, minimum)[:count]
    sigma = np.full(len(starts), float(sigma_vox))
    modes, density = shift_to_modes(part, starts, sigma)
    keep = strongest_apart(modes, density, sigma / 2)
    keep = keep[density[keep] >= minimum]
    return modes[keep] + [s.start for s in window], density[keep]


def shift_to_modes(
    weights: NDArray[np.float32], starts_zyx: FloatArray, sigma_vox: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Follow mean shift from each start to its mode.

    Parameters
    ----------
    weights : ndarray of float32, shape (z, y, x)
        Non-negative weight of each voxel.
    starts_zyx : ndarray, shape (N, 3)
        Fractional voxel indices.
    sigma_vox : ndarray, shape (N,)
        Standard deviation of the Gaussian kernel for each start, in voxels.

    Returns
    -------
    modes_zyx : ndarray, shape (N, 3)
    density : ndarray, shape (N,)
        Kernel mean of `weights` at each mode.
    """
    modes, density = np.empty((len(starts_zyx), 3)), np.empty(len(starts_zyx))
    starts = np.ascontiguousarray(starts_zyx, dtype=np.float64)
    follow(np.ascontiguousarray(weights), starts, np.asarray(sigma_vox, dtype=np.float64), modes, density)
    return modes, density


def strongest_apart(points: FloatArray, strength: FloatArray, radius: FloatArray) -> NDArray[np.int64]:
    """Keep the strongest point of each cluster.

    Parameters
    ----------
    points : ndarray, shape (N, 3)
        Points in any unit.
    strength, radius : ndarray, shape (N,)
        Who wins, and how close (by the smaller radius of the two) is too close.

    Returns
    -------
    ndarray of int
        Indices of the kept points, the strongest first.

    Examples
    --------
    >>> points = np.array([[0.0, 0, 0], [1, 0, 0], [9, 0, 0]])
    >>> strongest_apart(points, np.array([0.2, 0.9, 0.5]), np.full(3, 2.0)).tolist()
    [1, 2]
    """
    kept: list[int] = []
    for i in np.argsort(-strength, kind="stable"):
        if all(np.sum((points[i] - points[j]) ** 2) > min(radius[i], radius[j]) ** 2 for j in kept):
            kept.append(int(i))
    return np.array(kept, dtype=np.int64)


def kernel_mean(
    maps: NDArray[np.float32], points_zyx: FloatArray, sigma_vox: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean of each map around each point under a Gaussian kernel; outside the volume counts as 0.

    Parameters
    ----------
    maps : ndarray of float32, shape (K, z, y, x)
        Maps such as p(v | x).
    points_zyx : ndarray, shape (N, 3)
        Fractional voxel indices.
    sigma_vox : ndarray, shape (K,)
        Standard deviation for each map, in voxels.

    Returns
    -------
    ndarray, shape (N, K)
    """
    out = np.empty((len(points_zyx), len(maps)))
    kernel_means(
        np.ascontiguousarray(maps),
        np.ascontiguousarray(points_zyx, dtype=np.float64).reshape(-1, 3),
        np.asarray(sigma_vox, dtype=np.float64),
        out,
    )
    return out


def _local_maxima(weights: NDArray[np.float32], sigma_vox: float, minimum: float) -> FloatArray:
    smooth = ndimage.gaussian_filter(weights, sigma_vox, mode="constant", truncate=REACH_SIGMAS)
    size = 2 * max(1, int(sigma_vox)) + 1
    peaks = np.argwhere((smooth == ndimage.maximum_filter(smooth, size, mode="constant")) & (smooth > minimum / 2))
    order = np.argsort(-smooth[tuple(peaks.T)], kind="stable")
    return np.asarray(peaks[order], dtype=np.float64)
