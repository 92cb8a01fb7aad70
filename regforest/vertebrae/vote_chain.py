"""From votes and appearance to vertebrae: candidates, and the hidden Markov model over them.

The variables of the model are the 26 vertebrae. The states of each are the candidates and two more: above the image
(no vertebra of the chain has come into view yet) and below it. A path through the states is one way to see the spine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import log_ndtr

from regforest._limits import check_limits
from regforest.spatial import PAPER_LEVELS, Grid, Landmarks
from regforest.vertebrae.chain_prior import ChainPrior
from regforest.vertebrae.hidden_markov import best_path, path_weight, state_probabilities
from regforest.vertebrae.regression_votes import Votes

__all__ = ["ChainSettings", "Reading", "neighbourhood", "read_chain", "spine_tube", "strongest_places"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FLOOR = 1e-3  # share of the votes that any state has
_OVERLOOKED = 1e-4  # probability that a chain ends though the next vertebra is in view


_LIMITS = {
    "kernel_mm": (0.1, 500), "tube_mm": (1, 200), "candidates": (1, 10_000), "vote_weight": (0, 100),
    "appearance_weight": (0, 100), "shape_weight": (0, 100), "surest_look": (0, 1000),
}  # fmt: skip


@dataclass(frozen=True)
class ChainSettings:
    """How candidates are found and how evidence is weighed.

    Attributes
    ----------
    kernel_mm : float
        Standard deviation of the kernel under the votes.
    tube_mm : float
        How far from the rough spine candidates may lie.
    candidates : int
        How many are kept.
    vote_weight, appearance_weight, shape_weight : float
        Exponents of the three likelihoods. The votes of one image err together, and so do box features of one place:
        taken as independent they would be too sure.
    surest_look : float
        No place speaks for a vertebra with a higher log-ratio than this, weighed: else two good places far from one
        another would outweigh the shape of the spine.
    """

    kernel_mm: float = 25.0
    tube_mm: float = 45.0
    candidates: int = 250
    vote_weight: float = 1.0
    appearance_weight: float = 0.3
    shape_weight: float = 0.5
    surest_look: float = 15.0

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)


@dataclass(frozen=True, eq=False)
class Reading:
    """The best path through the model, and how sure it is.

    Attributes
    ----------
    landmarks : Landmarks
        Vertebrae in view, LPS mm; the score is the probability of that state over all paths.
    shift_probability : mapping of int to float
        Of the same candidates named as they are (0), one level lower (+1) and one level higher (-1).
    """

    landmarks: Landmarks
    shift_probability: dict[int, float]


def spine_tube(rough_lps_mm: FloatArray, grid: Grid, radius_mm: float) -> IntArray:
    """Every second voxel (N, 3), index z y x, within a radius of the line through the rough centres (26, 3)."""
    levels = np.arange(len(rough_lps_mm))
    samples = np.linspace(0, levels[-1], 10 * len(levels))
    line = np.stack([np.interp(samples, levels, rough_lps_mm[:, axis]) for axis in range(3)], axis=1)
    index = np.unique(np.rint(grid.lps_to_index(line)[:, ::-1] / 2).astype(np.int64) * 2, axis=0)
    reach = int(radius_mm / grid.spacing_mm.min() / 2)
    ball = 2 * (np.indices((2 * reach + 1,) * 3).reshape(3, -1).T - reach)
    return _around(index, ball[np.linalg.norm(ball * grid.spacing_mm[::-1], axis=1) <= radius_mm], grid)


def neighbourhood(index_zyx: IntArray, grid: Grid) -> IntArray:
    """Voxels (N, 3) of the image that are, or touch, one of the given ones."""
    return _around(index_zyx, np.indices((3, 3, 3)).reshape(3, -1).T - 1, grid)


def strongest_places(index_zyx: IntArray, strength: FloatArray, grid: Grid, reach: int, count: int) -> IntArray:
    """Rows of `index_zyx` with the highest `strength` within `reach` voxels, the highest first, at most `count`."""
    field = np.full(grid.shape_zyx, -np.inf)
    field[tuple(index_zyx.T)] = strength
    best = ndimage.maximum_filter(field, 2 * reach + 1, mode="constant", cval=-np.inf)[tuple(index_zyx.T)]
    peaks = np.flatnonzero(strength == best)
    return peaks[np.argsort(-strength[peaks], kind="stable")[:count]]


def read_chain(
    points_lps_mm: FloatArray,
    appearance_log: FloatArray,
    votes: Votes,
    grid: Grid,
    prior: ChainPrior,
    settings: ChainSettings,
) -> Reading:
    """Find the best way to see a spine in the candidates.

    Parameters
    ----------
    points_lps_mm : ndarray, shape (N, 3)
        Candidates, at least one.
    appearance_log : ndarray, shape (N, 26)
        Log-likelihood ratio of each being the centre of each vertebra.
    votes : Votes
        Of the regression forest.
    grid : Grid
        Field of view: vertebrae beyond it are not found.
    prior : ChainPrior
        Mean and covariance of the steps.
    settings : ChainSettings
        Weights of the evidence.
    """
    emission = _emission(points_lps_mm, appearance_log, votes, grid, settings)
    begin = np.append(np.zeros(len(points_lps_mm) + 1), -np.inf)
    step = _steps(points_lps_mm, grid, prior, settings.shape_weight)
    below = len(points_lps_mm) + 1
    path = best_path(begin, step, emission)
    probability = state_probabilities(begin, step, emission)
    weights = {shift: path_weight(begin, step, emission, _shifted(path, shift, below)) for shift in (-1, 0, 1)}
    odds = {shift: float(np.exp(min(weight - weights[0], 30.0))) for shift, weight in weights.items()}
    seen = {PAPER_LEVELS[v]: (v, path[v]) for v in np.flatnonzero((path > 0) & (path < below))}
    points = {name: points_lps_mm[state - 1] for name, (_, state) in seen.items()}
    landmarks = Landmarks(points, {name: probability[v, state] for name, (v, state) in seen.items()})
    return Reading(landmarks, {shift: value / sum(odds.values()) for shift, value in odds.items()})


def _emission(
    points: FloatArray, appearance_log: FloatArray, votes: Votes, grid: Grid, settings: ChainSettings
) -> FloatArray:
    """Log-weight (26, N + 2) of each state by itself: the votes that fell to it, and what the place looks like."""
    inside = grid.contains(votes.points_lps_mm)
    density = votes.density(points, settings.kernel_mm).T
    share = votes.share(inside)[:, None] * density / np.maximum(density.sum(axis=1, keepdims=True), 1e-300)
    outside = np.log(votes.share(~inside) + _FLOOR)[:, None] * settings.vote_weight
    look = np.minimum(settings.appearance_weight * appearance_log.T, settings.surest_look)
    return np.concatenate([outside, settings.vote_weight * np.log(share + _FLOOR) + look, outside], axis=1)


def _steps(points: FloatArray, grid: Grid, prior: ChainPrior, weight: float) -> FloatArray:
    """Log-weight (25, N + 2, N + 2) of the steps: the shape of the spine, and where the image may cut it."""
    count = len(points)
    steps = np.full((len(PAPER_LEVELS) - 1, count + 2, count + 2), -np.inf)
    steps[:, 0, 0] = steps[:, -1, -1] = 0.0
    offset = points[None] - points[:, None]
    for v in range(len(steps)):
        mean, covariance = prior.step_mean_mm[v], prior.step_covariance_mm2[v]
        deviation = (offset - mean) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
        steps[v, 1:-1, 1:-1] = -0.5 * weight * (deviation**2).sum(axis=2)
        sd = np.sqrt(np.linalg.eigvalsh(covariance)[-1])
        steps[v, 0, 1:-1] = _log_unseen(points - mean, sd, grid)
        steps[v, 1:-1, -1] = _log_unseen(points + mean, sd, grid)
    return steps


def _log_unseen(expected: FloatArray, sd: float, grid: Grid) -> FloatArray:
    """Log-probability that a vertebra expected at a place (LPS mm) lies outside the image, or was overlooked."""
    index = grid.lps_to_index(expected)
    depth = (np.minimum(index + 0.5, np.asarray(grid.size_xyz) - 0.5 - index) * grid.spacing_mm).min(axis=1)
    return np.asarray(np.logaddexp(log_ndtr(-depth / sd), np.log(_OVERLOOKED)))


def _shifted(path: IntArray, shift: int, below: int) -> IntArray:
    """Return the path with all candidates named `shift` levels lower; what falls off the end of the spine is lost."""
    moved = np.roll(path, shift)
    if shift > 0:
        moved[:shift] = 0
    elif shift < 0:
        moved[shift:] = below
    return moved


def _around(index_zyx: IntArray, offsets_zyx: IntArray, grid: Grid) -> IntArray:
    """Voxels of the image at any of the offsets from any of the given ones, each once."""
    near = (index_zyx[:, None] + offsets_zyx).reshape(-1, 3)
    near = near[((near >= 0) & (near < grid.shape_zyx)).all(axis=1)]
    flat = np.unique(np.ravel_multi_index(tuple(near.T), grid.shape_zyx))
    return np.stack(np.unravel_index(flat, grid.shape_zyx), axis=1)
