"""Patch features: block means and deviations at several scales, and their principal components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from regforest.discs._kernels import block_moments, gather_blocks, integrate
from regforest.discs.settings import PatchSettings
from regforest.discs.views import View

__all__ = ["PatchReader", "Projection"]

FloatArray = NDArray[np.float64]

_FITTED_ROWS = 20_000
_CHUNK_ROWS = 512  # rows of features held at a time: thousands of columns each


class PatchReader:
    """Read patches of one view.

    A patch of edge `size` is divided into blocks; the mean and the standard deviation of each block are its
    features. Box means of every block size are made once for the whole view, so a feature is one look-up.

    Parameters
    ----------
    view : View
        Levelled channels.
    settings : PatchSettings
        Scales and divisions.
    """

    def __init__(self, view: View, settings: PatchSettings) -> None:
        self.view = view
        blocks = settings.block_voxels(view.spacing_mm)
        middle = (settings.divisions - 1) / 2
        tables = [_block_tables(channel, blocks) for channel in view.voxels]
        self._tables: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
        for scale, block in enumerate(blocks):
            steps = np.rint((np.arange(settings.divisions) - middle) * block).astype(np.int64)
            self._tables += [(table, steps) for channel in tables for table in channel[scale]]
        self._columns = len(self._tables) * settings.divisions**3

    def __call__(self, points_mm: FloatArray) -> NDArray[np.float32]:
        """Return the features (N, F) at points (x, y, z) in view millimetres; beyond the border the edge repeats."""
        return self._read(points_mm, np.empty((len(points_mm), self._columns), np.float32))

    def projected(self, points_mm: FloatArray, projection: Projection) -> NDArray[np.float32]:
        """Return the projected features (N, K) at points; all features of all points are never held at once."""
        out = np.empty((len(points_mm), projection.components.shape[1]), np.float32)
        features = np.empty((min(_CHUNK_ROWS, len(points_mm)), self._columns), np.float32)
        for start in range(0, len(points_mm), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            points = points_mm[rows]
            out[rows] = projection(self._read(points, features[: len(points)]))
        return out

    def _read(self, points_mm: FloatArray, out: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = np.rint(np.asarray(points_mm) / self.view.spacing_mm)
        index = np.ascontiguousarray(scaled.astype(np.int64)[:, ::-1])
        for number, (table, steps) in enumerate(self._tables):
            gather_blocks(table, index, steps, out, number * len(steps) ** 3)
        return out


def _block_tables(channel: NDArray[np.float32], blocks: Sequence[int]) -> list[list[NDArray[np.float32]]]:
    """Mean and deviation of the cube of each number of voxels around each voxel (the mean alone for one voxel)."""
    margin = max(blocks) // 2
    padded = np.pad(channel, margin, mode="edge")
    sums, squares = (np.empty([size + 1 for size in padded.shape]) for _ in range(2))
    integrate(padded, sums, squares)
    tables = []
    for block in blocks:
        if block == 1:
            tables.append([channel])
            continue
        mean, deviation = np.empty_like(channel), np.empty_like(channel)
        block_moments(sums, squares, margin - block // 2, block, mean, deviation)
        tables.append([mean, deviation])
    return tables


@dataclass(frozen=True, eq=False)
class Projection:
    """Principal components of training features, scaled so that all together have unit variance per component.

    Attributes
    ----------
    mean : ndarray of float32, shape (F,)
        Training mean.
    components : ndarray of float32, shape (F, K)
        Directions.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]

    @classmethod
    def fit_parts(
        cls, parts: Sequence[NDArray[np.floating]], n_components: int, rng: np.random.Generator
    ) -> Projection:
        """Learn from rows drawn evenly from several arrays (N_i, F).

        The rows are read part by part, twice; signs are fixed so that the same data give the same numbers.
        """
        share = max(1, _FITTED_ROWS // len(parts))
        chosen = [np.sort(rng.permutation(len(part))[:share]) for part in parts]
        count = sum(map(len, chosen))
        total = sum(part[rows].sum(axis=0, dtype=np.float64) for part, rows in zip(parts, chosen, strict=True))
        mean = np.asarray(total / count, dtype=np.float32)
        covariance = np.zeros((len(mean), len(mean)))
        for part, rows in zip(parts, chosen, strict=True):
            centred = part[rows].astype(np.float32)
            centred -= mean
            covariance += centred.T @ centred
        covariance /= count
        last = len(mean) - 1
        values, vectors = eigh(covariance, subset_by_index=(max(0, last + 1 - n_components), last), overwrite_a=True)
        values, vectors = values[::-1], vectors[:, ::-1]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        scale = np.sqrt(max(float(values.mean()), 1e-12))
        return cls(mean, (vectors / scale).astype(np.float32, order="C"))

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project rows (N, F) to (N, K)."""
        out = np.empty((len(features), self.components.shape[1]), np.float32)
        for start in range(0, len(features), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            np.matmul(features[rows].astype(np.float32, copy=False), self.components, out=out[rows])
        out -= self.mean @ self.components
        return out
