"""Patch features: block means and deviations at several scales, and their principal components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.discs.settings import PatchSettings
from regforest.discs.views import View

__all__ = ["PatchReader", "Projection"]

FloatArray = NDArray[np.float64]

_FITTED_ROWS = 20_000


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
        self._tables: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = []
        for size_mm in settings.sizes_mm:
            block = max(1, round(size_mm / settings.divisions / view.spacing_mm))
            steps = np.rint((np.arange(settings.divisions) - (settings.divisions - 1) / 2) * block).astype(np.int64)
            offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
            for channel in view.voxels:
                self._tables += [(table, offsets) for table in _block_tables(channel, block)]

    def __call__(self, points_mm: FloatArray) -> NDArray[np.float32]:
        """Return the features (N, F) at points (x, y, z) in view millimetres; beyond the border the edge repeats."""
        index = np.rint(np.asarray(points_mm) / self.view.spacing_mm).astype(np.int64)[:, ::-1]
        return np.concatenate([_look_up(table, index, offsets) for table, offsets in self._tables], axis=1)


def _block_tables(channel: NDArray[np.float32], block: int) -> list[NDArray[np.float32]]:
    """Mean and deviation of the cube of `block` voxels around each voxel (the mean alone for one voxel)."""
    if block == 1:
        return [channel]
    mean = ndimage.uniform_filter(channel, block, mode="nearest")
    square = ndimage.uniform_filter(channel * channel, block, mode="nearest")
    return [mean, np.sqrt(np.maximum(square - mean * mean, 0.0))]


def _look_up(
    table: NDArray[np.float32], index_zyx: NDArray[np.int64], offsets_zyx: NDArray[np.int64]
) -> NDArray[np.float32]:
    flat = np.zeros((len(index_zyx), len(offsets_zyx)), np.int64)
    for axis, size in enumerate(table.shape):
        flat *= size
        flat += np.clip(index_zyx[:, axis, None] + offsets_zyx[:, axis], 0, size - 1)
    return table.ravel()[flat]


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
    def fit(cls, features: NDArray[np.float32], n_components: int) -> Projection:
        """Learn from rows (N, F); signs are fixed so that the same data give the same numbers."""
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean.astype(np.float32)
        covariance = (centred.T @ centred).astype(np.float64) / len(features)
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = values[::-1][:n_components], vectors[:, ::-1][:, :n_components]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        scale = np.sqrt(max(float(values.mean()), 1e-12))
        return cls(mean.astype(np.float32), (vectors / scale).astype(np.float32))

    @classmethod
    def fit_parts(
        cls, parts: Sequence[NDArray[np.floating]], n_components: int, rng: np.random.Generator
    ) -> Projection:
        """Learn from rows drawn evenly from several arrays (N_i, F)."""
        share = max(1, _FITTED_ROWS // len(parts))
        rows = [part[rng.permutation(len(part))[:share]].astype(np.float32) for part in parts]
        return cls.fit(np.concatenate(rows), n_components)

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project rows (N, F) to (N, K)."""
        return np.asarray((features.astype(np.float32, copy=False) - self.mean) @ self.components, dtype=np.float32)
