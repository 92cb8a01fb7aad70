"""Patch features: block means and deviations at several scales, and their principal components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from regforest.discs._kernels import block_moments, gather_blocks, integrate
from regforest.discs.settings import PatchSettings
from regforest.discs.views import View
from regforest.errors import ModelError

__all__ = ["MADE_EARLIER", "Completion", "PatchReader", "Projection", "columns_shown"]

FloatArray = NDArray[np.float64]

_FITTED_ROWS = 20_000
_CHUNK_ROWS = 512  # rows of features held at a time: thousands of columns each
_LEAST_NOISE = 1e-6

MADE_EARLIER = (
    "the scan lacks channels that the model learned, and an earlier version made the model, without what relates the "
    "channels: give all of them, or train it again"
)
"""What to say where a model cannot do without a channel."""


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
    variance : ndarray of float32, shape (K,), optional
        Of the projected training features; None in models of earlier versions.
    noise : float, optional
        Mean variance of a feature that the components leave unexplained; None likewise.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variance: NDArray[np.float32] | None = None
    noise: float | None = None

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
        total_variance, last = float(np.trace(covariance)), len(mean) - 1
        values, vectors = eigh(covariance, subset_by_index=(max(0, last + 1 - n_components), last), overwrite_a=True)
        values, vectors = values[::-1], vectors[:, ::-1]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        scale = np.sqrt(max(float(values.mean()), 1e-12))
        variance = np.maximum(values, 0.0)
        noise = (total_variance - float(variance.sum())) / max(len(mean) - len(values), 1)
        return cls(
            mean,
            (vectors / scale).astype(np.float32, order="C"),
            (variance / scale**2).astype(np.float32),
            max(noise, _LEAST_NOISE),
        )

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Project rows (N, F) to (N, K)."""
        out = np.empty((len(features), self.components.shape[1]), np.float32)
        for start in range(0, len(features), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            np.matmul(features[rows].astype(np.float32, copy=False), self.components, out=out[rows])
        out -= self.mean @ self.components
        return out

    def of_shown(self, shown: NDArray[np.bool_]) -> Projection:
        """Give what to expect of the projection of all features where only some are known.

        Features are taken as Gaussian, with the learned variance along each direction and the noise along all others
        (probabilistic principal components, Tipping & Bishop, J. R. Stat. Soc. B 1999): what to expect is linear in
        the known features, and the projection itself where all are known.

        Parameters
        ----------
        shown : ndarray of bool, shape (F,)
            Features that are known.

        Returns
        -------
        Projection
            Of the known features alone, (N, F') to (N, K).

        Raises
        ------
        ModelError
            If the model comes from a version that did not keep the variances.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> rows = 3 * rng.normal(size=(500, 1)) + rng.normal(size=(500, 4)) / 10
        >>> every = Projection.fit_parts([rows], 1, rng)
        >>> two = every.of_shown(np.array([True, False, True, False]))
        >>> bool(np.abs(two(rows[:, ::2]) - every(rows)).max() < 0.1)
        True
        """
        directions, lengths, variance, noise = self._gaussian()
        seen, above_noise = directions[shown], np.maximum(variance - noise, 0.0)
        inner = noise * np.eye(len(variance)) + (seen.T @ seen) * above_noise
        components = np.linalg.solve(inner, seen.T) * (variance * lengths)[:, None]
        return replace(self, mean=self.mean[shown], components=np.ascontiguousarray(components.T, dtype=np.float32))

    def way_back(self, columns: NDArray[np.bool_]) -> FloatArray:
        """Return the matrix (K, F - F') that leads what `of_shown` projects to what to expect of other features."""
        directions, lengths, variance, noise = self._gaussian()
        share = np.maximum(variance - noise, 0.0) / np.maximum(variance, noise)
        return np.asarray((directions[columns] * (share / lengths)).T)

    def _gaussian(self) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """Return unit vectors (F, K), the lengths that `components` gives them, their variances, and the noise."""
        if self.variance is None or self.noise is None:
            raise ModelError(MADE_EARLIER)
        lengths = np.maximum(np.linalg.norm(self.components.astype(np.float64), axis=0), 1e-10)
        return self.components / lengths, lengths, self.variance / lengths**2, self.noise


@dataclass(frozen=True, eq=False)
class Completion:
    """Fill in the features of channels that a scan lacks, for what reads features as they are.

    Attributes
    ----------
    projection : Projection
        Of all features.
    shown : ndarray of bool, shape (F,)
        Features that are known: all of them, as it is learned.
    """

    projection: Projection
    shown: NDArray[np.bool_]

    @classmethod
    def fit(cls, parts: Sequence[NDArray[np.floating]], n_components: int, rng: np.random.Generator) -> Completion:
        """Learn how features go together, from several arrays (N_i, F)."""
        projection = Projection.fit_parts(parts, n_components, rng)
        return cls(projection, np.ones(len(projection.mean), bool))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return all features (N, F), the missing ones as expected from those known (N, F')."""
        if self.shown.all():
            return features
        projection, back = self._solved
        filled = np.empty((len(features), len(self.shown)), np.float32)
        filled[:, self.shown] = features
        filled[:, ~self.shown] = projection(features) @ back + self.projection.mean[~self.shown]
        return filled

    @cached_property
    def _solved(self) -> tuple[Projection, FloatArray]:
        """The projection of the known features and its way back: one system for all patches of a scan."""
        return self.projection.of_shown(self.shown), self.projection.way_back(~self.shown)


def columns_shown(settings: PatchSettings, spacing_mm: float, channels: Sequence[bool]) -> NDArray[np.bool_]:
    """Tell which features of a patch come from the channels that a scan has.

    Parameters
    ----------
    settings : PatchSettings
        Scales and divisions.
    spacing_mm : float
        Of the view.
    channels : sequence of bool
        For each channel of training, whether the scan has it.

    Examples
    --------
    >>> columns_shown(PatchSettings((4.0,), 2), 1.0, (False, True)).astype(int).reshape(2, 2, 8)[:, 0, 0]
    array([0, 1])
    """
    blocks = settings.divisions**3
    tables = [1 if block == 1 else 2 for block in settings.block_voxels(spacing_mm)]
    return np.concatenate([np.repeat(np.asarray(channels, bool), count * blocks) for count in tables])
