"""From displacements to candidate centres: vote maps and their modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["VoteMap"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VoteMap:
    """Kernel density of the votes for one structure.

    Attributes
    ----------
    votes_mm : ndarray, shape (N, 3)
        Voted centres.
    weights : ndarray, shape (N,)
        Their weights, not negative.
    kernel_mm : float
        Standard deviation of the Gaussian kernel, which is 1 at its centre: a density counts agreeing patches.

    Examples
    --------
    >>> votes = VoteMap(np.array([[10.0, 0, 0], [11, 0, 0], [60, 0, 0]]), np.ones(3), kernel_mm=3.0)
    >>> points, scores = votes.modes(2)
    >>> points.round(1).tolist()
    [[10.5, 0.0, 0.0], [60.0, 0.0, 0.0]]
    """

    votes_mm: FloatArray
    weights: FloatArray
    kernel_mm: float

    def density(self, points_mm: FloatArray) -> FloatArray:
        """Sum of the kernels of all votes at points (M, 3); shape (M,)."""
        return np.asarray((self._kernel(np.asarray(points_mm, dtype=np.float64))).sum(axis=1))

    def modes(self, count: int) -> tuple[FloatArray, FloatArray]:
        """Return at most `count` local maxima, highest first.

        A histogram with bins of one kernel width finds the start points, mean shift on the votes themselves makes
        them sub-voxel; maxima that run together are one.

        Returns
        -------
        points_mm : ndarray, shape (M, 3)
        density : ndarray, shape (M,)
        """
        if len(self.votes_mm) == 0:
            return np.empty((0, 3)), np.empty(0)
        points = self._climbed(self._peaks(3 * count))
        density = self.density(points)
        kept: list[int] = []
        for i in np.argsort(-density, kind="stable"):
            if all(np.linalg.norm(points[i] - points[j]) > 2 * self.kernel_mm for j in kept):
                kept.append(int(i))
        kept = kept[:count]
        return points[kept], density[kept]

    def _peaks(self, count: int) -> FloatArray:
        start = self.votes_mm.min(axis=0) - 2 * self.kernel_mm
        bins = np.floor((self.votes_mm - start) / self.kernel_mm).astype(int)
        histogram = np.zeros(bins.max(axis=0) + 3)
        np.add.at(histogram, tuple(bins.T), self.weights)
        smooth = ndimage.gaussian_filter(histogram, 1.0, mode="constant")
        peaks = np.argwhere((smooth == ndimage.maximum_filter(smooth, 3)) & (smooth > 0))
        best = np.argsort(-smooth[tuple(peaks.T)], kind="stable")[:count]
        return np.asarray(start + (peaks[best] + 0.5) * self.kernel_mm)

    def _climbed(self, points: FloatArray, steps: int = 30) -> FloatArray:
        for _ in range(steps):
            kernel = self._kernel(points)
            total = kernel.sum(axis=1, keepdims=True)
            moved = np.where(total > 1e-12, kernel @ self.votes_mm / np.maximum(total, 1e-12), points)
            if np.abs(moved - points).max() < 1e-3:
                return moved
            points = moved
        return points

    def _kernel(self, points: FloatArray) -> FloatArray:
        squared = ((points[:, None, :] - self.votes_mm[None]) ** 2).sum(axis=-1)
        return np.asarray(self.weights * np.exp(-0.5 * squared / self.kernel_mm**2))
