"""Every voxel votes for the centre of every vertebra: the regression forest of Glocker et al., MICCAI 2012.

The forest answers with the displacement from a voxel to all 26 centres. A scan shows only some of them: the others
are filled in along the mean spine, scaled to the person, and count little (`completed_spine`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regforest._threads import Progress
from regforest.features import BoxFeatures
from regforest.forest import Forest, predict_volume
from regforest.spatial import PAPER_LEVELS, Landmarks, Volume
from regforest.vertebrae.chain_prior import ChainPrior

if TYPE_CHECKING:
    from regforest.forest import ForestRegressor

__all__ = ["Votes", "cast_votes", "completed_spine", "grow_vote_forest", "with_leaf_votes"]

FloatArray = NDArray[np.float64]

_COMPONENTS = 8  # of the 78 coordinates: where along and beside the spine, and how large the person is
_FILLED_WEIGHT = 0.1  # of a displacement to a centre that was not annotated, against one that was
_LEAST_SD_MM = 4.0  # a leaf is never surer than this
_SCALES = (0.7, 1.3)


def completed_spine(landmarks: Landmarks, prior: ChainPrior) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Fill in the centres that were not annotated.

    The mean spine is scaled to the annotated steps and moved onto the annotated centres: by what each asks for there,
    in between linearly, and beyond the ends as the last one does.

    Parameters
    ----------
    landmarks : Landmarks
        Annotated centres, LPS mm; at least one of `PAPER_LEVELS` (T13 and L6 are no vertebrae of the 2012 model).
    prior : ChainPrior
        Supplies the mean steps.

    Returns
    -------
    centres_lps_mm : ndarray, shape (26, 3)
    annotated : ndarray of bool, shape (26,)

    Examples
    --------
    >>> from regforest.vertebrae.chain_prior import default_chain_prior
    >>> centres, annotated = completed_spine(Landmarks({"L1": (0, 0, 0), "L3": (0, 0, -70)}), default_chain_prior())
    >>> bool(-40 < centres[20, 2] < -30), int(annotated.sum())
    (True, 2)
    """
    annotated = np.array([name in landmarks for name in PAPER_LEVELS])
    centres = np.array([landmarks[name] for name in PAPER_LEVELS if name in landmarks])
    steps = prior.step_mean_mm[: len(PAPER_LEVELS) - 1]
    mean = np.vstack([np.zeros(3), np.cumsum(steps, axis=0)])
    mean_steps, own_steps = (np.diff(points, axis=0) for points in (mean[annotated], centres))
    length = np.linalg.norm(mean_steps, axis=1).sum()
    scale = np.clip(np.linalg.norm(own_steps, axis=1).sum() / length, *_SCALES) if length else 1.0
    levels, shown = np.arange(len(PAPER_LEVELS)), np.flatnonzero(annotated)
    shift = [np.interp(levels, shown, (centres - scale * mean[shown])[:, axis]) for axis in range(3)]
    return scale * mean + np.stack(shift, axis=1), annotated


def grow_vote_forest(
    rows: NDArray[np.float32],
    displacements_mm: NDArray[np.float32],
    model: ForestRegressor,
    progress: Progress | None = None,
) -> Forest:
    """Grow the trees on the principal components of the displacements, which hold almost all of their variance.

    Parameters
    ----------
    rows : ndarray of float32, shape (N, F)
        Box features.
    displacements_mm : ndarray of float32, shape (N, 26, 3)
        From each voxel to each centre.
    model : ForestRegressor
        Not fitted yet.
    progress : callable, optional
        Called as ``progress(done, total)`` after each tree.
    """
    return model.fit(rows, _principal(displacements_mm), progress=progress).forest_


def _principal(displacements_mm: NDArray[np.float32]) -> FloatArray:
    """Principal components (N, 8) of displacements."""
    centred = displacements_mm.reshape(len(displacements_mm), -1).astype(np.float64)
    centred -= centred.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ axes[:, -_COMPONENTS:])


def with_leaf_votes(
    forest: Forest,
    rows: NDArray[np.float32],
    displacements_mm: NDArray[np.float32],
    annotated: NDArray[np.bool_],
    sharpness: float,
) -> Forest:
    """Let each leaf hold what it says about each vertebra, and how surely.

    Parameters
    ----------
    forest : Forest
        Grown on `rows`; only its trees are used.
    rows, displacements_mm
        As for `grow_vote_forest`.
    annotated : ndarray of bool, shape (N, 26)
        Which displacements lead to an annotated centre.
    sharpness : float
        The weight of a leaf falls with this power of its spread in mm.

    Returns
    -------
    Forest
        Outputs: 26 weights, then 78 weighted displacements. Their ratio is the weighted mean over the trees.
    """
    count = len(PAPER_LEVELS)
    weight = np.where(annotated, 1.0, _FILLED_WEIGHT).astype(np.float32)[..., None]
    parts = (weight, weight * displacements_mm, weight * (displacements_mm**2).sum(axis=2, keepdims=True))
    moments = np.concatenate([part.reshape(len(rows), -1) for part in parts], axis=1)
    totals = forest.leaf_sums(rows, moments)
    mass = np.maximum(totals[:, :count], 1e-12)
    mean = totals[:, count:-count].reshape(-1, count, 3) / mass[..., None]
    variance = np.maximum(totals[:, -count:] / mass - (mean**2).sum(axis=2), 0) / 3 + _LEAST_SD_MM**2
    trust = (_LEAST_SD_MM**2 / variance) ** (sharpness / 2)
    values = np.concatenate([trust, (trust[..., None] * mean).reshape(len(mean), -1)], axis=1)
    return Forest.from_arrays(forest.to_arrays() | {"values": values.astype(np.float32)})


@dataclass(frozen=True, eq=False)
class Votes:
    """Where the voxels of one image see each vertebra.

    Attributes
    ----------
    points_lps_mm : ndarray, shape (26, M, 3)
        Place that each voxel votes for.
    weights : ndarray, shape (26, M)
        How surely; the sum over the voxels is 1 for each vertebra.
    """

    points_lps_mm: FloatArray
    weights: FloatArray

    def share(self, chosen: NDArray[np.bool_]) -> FloatArray:
        """Share (26,) of the votes that are `chosen` (26, M)."""
        return np.asarray((self.weights * chosen).sum(axis=1), dtype=np.float64)

    def density(self, points_lps_mm: FloatArray, sd_mm: float) -> FloatArray:
        """Density per mm^3 of the votes for each vertebra at each point, shape (N, 26), under a Gaussian kernel."""
        peak = (2 * np.pi * sd_mm**2) ** -1.5
        found = [
            _gaussian(points_lps_mm, voted, sd_mm) @ weight
            for voted, weight in zip(self.points_lps_mm, self.weights, strict=True)
        ]
        return np.asarray(np.stack(found, axis=1) * peak)

    def modes(self, sd_mm: float, steps: int = 20) -> FloatArray:
        """Follow mean shift from the mean of the votes for each vertebra, shape (26, 3) LPS mm."""
        modes = np.empty((len(self.weights), 3))
        for v, (voted, weight) in enumerate(zip(self.points_lps_mm, self.weights, strict=True)):
            place = weight @ voted
            for _ in range(steps):
                near = _gaussian(place[None], voted, sd_mm)[0] * weight + 1e-300
                place = near @ voted / near.sum()
            modes[v] = place
        return modes


def cast_votes(forest: Forest, boxes: BoxFeatures, image: Volume, stride: int, kept: int, n_jobs: int = 1) -> Votes:
    """Let every `stride`-th voxel along each axis vote, and keep the surest votes for each vertebra.

    Parameters
    ----------
    forest : Forest
        As `with_leaf_votes` returns it.
    boxes : BoxFeatures
        Its features.
    image : Volume
        A working image.
    stride : int
        Step between voting voxels.
    kept : int
        How many votes for each vertebra are kept at most.
    n_jobs : int
        Threads; does not change the result.
    """
    grid, count = image.grid, len(PAPER_LEVELS)
    found = predict_volume(forest, boxes, [image.voxels], grid.spacing_mm, stride=stride, n_jobs=n_jobs)
    voters = grid.index_to_lps((np.indices(found.shape[1:]).reshape(3, -1).T * stride)[:, ::-1])
    weights = found[:count].reshape(count, -1).astype(np.float64)
    weighted = found[count:].reshape(count, 3, -1).transpose(0, 2, 1)
    surest = np.argsort(-weights, axis=1, kind="stable")[:, :kept]
    weights = np.take_along_axis(weights, surest, axis=1)
    moved = np.take_along_axis(weighted, surest[..., None], axis=1) / weights[..., None]
    # displacements follow the axes of the image, as the features do
    return Votes(voters[surest] + moved @ grid.direction.T, weights / weights.sum(axis=1, keepdims=True))


def _gaussian(points: FloatArray, centres: FloatArray, sd: float) -> FloatArray:
    """Gaussian kernel (N, M), 1 where a point is a centre."""
    middle = centres.mean(axis=0)
    p, c = points - middle, centres - middle
    squared = (p**2).sum(axis=1)[:, None] - 2 * p @ c.T + (c**2).sum(axis=1)
    return np.asarray(np.exp(-np.maximum(squared, 0) / (2 * sd**2)))
