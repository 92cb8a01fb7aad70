"""What a vertebra looks like, as a generative model: Gaussians of box features at body centres and beside them.

With few examples of each vertebra, all share one covariance, and the mean of a vertebra leans on those of its
neighbours: bodies change slowly along the spine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.errors import DataError, ModelError
from regforest.io.expected_arrays import Expected, check_arrays
from regforest.spatial import PAPER_LEVELS

__all__ = ["Appearance"]

FloatArray = NDArray[np.float64]

_LARGE = 1e12  # far beyond any scale of features, far below where sums overflow
_ARRAYS = {
    "centre": Expected("f8", ("features",), -_LARGE, _LARGE),
    "basis": Expected("f8", ("features", "kept"), -_LARGE, _LARGE),
    "examples": Expected("f8", ("levels",), 0, _LARGE),
    "level_means": Expected("f8", ("levels", "kept"), -_LARGE, _LARGE),
    "level_whiten": Expected("f8", ("kept", "kept"), -_LARGE, _LARGE),
    "other_mean": Expected("f8", ("kept",), -_LARGE, _LARGE),
    "other_whiten": Expected("f8", ("kept", "kept"), -_LARGE, _LARGE),
}
_NEIGHBOUR_LEVELS = 1.5  # standard deviation, in levels, over which means are borrowed
_BORROWED = 40.0  # examples that the neighbours' mean counts for
_RIDGE = 0.1  # share of the mean variance that is added to each


@dataclass(frozen=True, eq=False)
class Appearance:
    """Densities of F features, for the centre of each vertebra and for other places near the spine.

    Attributes
    ----------
    centre : ndarray, shape (F,)
        Mean feature row.
    basis : ndarray, shape (F, Q)
        From centred features to standardised principal components.
    examples : ndarray, shape (26,)
        How many places each vertebra was learned from. One without any is known from its neighbours alone: nothing
        that is seen speaks for it.
    level_means : ndarray, shape (26, Q)
    level_whiten : ndarray, shape (Q, Q)
        Whitening matrix of the covariance that the vertebrae share.
    other_mean, other_whiten : ndarray, shapes (Q,) and (Q, Q)
        The same of places that are no body centre.
    """

    centre: FloatArray
    basis: FloatArray
    examples: FloatArray
    level_means: FloatArray
    level_whiten: FloatArray
    other_mean: FloatArray
    other_whiten: FloatArray

    @classmethod
    def fit(
        cls, rows: NDArray[np.float32], levels: NDArray[np.int64], others: NDArray[np.float32], components: int
    ) -> Appearance:
        """Estimate the densities.

        Parameters
        ----------
        rows : ndarray of float32, shape (N, F)
            Features at (and close around) body centres.
        levels : ndarray of int, shape (N,)
            Which of `PAPER_LEVELS` each is.
        others : ndarray of float32, shape (M, F)
            Features elsewhere near the spine.
        components : int
            How many principal components to keep.

        Raises
        ------
        DataError
            If either has no rows.
        """
        if not len(rows) or not len(others):
            raise DataError("an appearance model needs places on and beside vertebrae, one of them is missing")
        centre, basis = _principal_axes(np.concatenate([rows, others]).astype(np.float64), components)
        body, other = (rows - centre) @ basis, (others - centre) @ basis
        examples = np.bincount(levels, minlength=len(PAPER_LEVELS)).astype(np.float64)
        means = _level_means(body, levels, examples)
        return cls(
            centre, basis, examples, means, _whitening(body - means[levels]), other.mean(axis=0),
            _whitening(other - other.mean(axis=0)),
        )  # fmt: skip

    def log_ratio(self, rows: NDArray[np.float32]) -> FloatArray:
        """Log of p(features | centre of v) / p(features | elsewhere), shape (N, 26)."""
        found = (rows - self.centre) @ self.basis
        body, mean = found @ self.level_whiten.T, self.level_means @ self.level_whiten.T
        to_body = (body**2).sum(axis=1)[:, None] - 2 * body @ mean.T + (mean**2).sum(axis=1)
        to_other = (((found - self.other_mean) @ self.other_whiten.T) ** 2).sum(axis=1)
        volumes = np.log(np.diagonal(self.level_whiten)).sum() - np.log(np.diagonal(self.other_whiten)).sum()
        ratio = volumes - 0.5 * (to_body - to_other[:, None])
        return np.asarray(np.where(self.examples > 0, ratio, np.minimum(ratio, 0)))

    def to_arrays(self) -> dict[str, FloatArray]:
        """Return the arrays that define the model, for a model file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Appearance:
        """Rebuild from `to_arrays`; a missing array, or shapes and values that do not fit, raise `ModelError`."""
        check_arrays(arrays, _ARRAYS, {"levels": len(PAPER_LEVELS)})
        found = cls(**{name: arrays[name] for name in _ARRAYS})
        diagonals = np.concatenate([np.diagonal(found.level_whiten), np.diagonal(found.other_whiten)])
        if (diagonals <= 0).any():
            raise ModelError("an appearance model needs positive scales, found others")
        return found


def _principal_axes(rows: FloatArray, components: int) -> tuple[FloatArray, FloatArray]:
    """Mean row, and the axes (F, Q) of largest variance of standardised features."""
    centre, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    standard = (rows - centre) / spread
    values, axes = np.linalg.eigh(standard.T @ standard / len(rows))
    kept = np.maximum(values[-components:], 1e-9)
    return centre, axes[:, -components:] / np.sqrt(kept) / spread[:, None]


def _level_means(body: FloatArray, levels: NDArray[np.int64], counts: FloatArray) -> FloatArray:
    """Mean (26, Q) of each vertebra, drawn towards its neighbours'; all that is known of one never seen."""
    numbers = np.arange(len(counts))
    sums = np.zeros((len(numbers), body.shape[1]))
    np.add.at(sums, levels, body)
    near = np.exp(-((numbers[:, None] - numbers) ** 2) / (2 * _NEIGHBOUR_LEVELS**2))
    borrowed = (near @ sums) / np.maximum(near @ counts, 1e-200)[:, None]
    return np.asarray((sums + _BORROWED * borrowed) / (counts + _BORROWED)[:, None])


def _whitening(deviations: FloatArray) -> FloatArray:
    """Inverse Cholesky factor (Q, Q) of a covariance, with a ridge against too few examples."""
    covariance = deviations.T @ deviations / len(deviations)
    ridge = _RIDGE * np.trace(covariance) / len(covariance) + 1e-9
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance + ridge * np.eye(len(covariance)))))
