"""From probability maps to candidate bodies, each with a score for every level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from regforest._limits import check_limits
from regforest.spatial import LEVELS, Grid
from regforest.vertebrae.dense_labels import BACKGROUND, CLASSES, body_radius_mm, class_of_level
from regforest.vertebrae.mean_shift import find_modes, kernel_mean, shift_to_modes, strongest_apart

__all__ = [
    "CandidateSettings",
    "Candidates",
    "MassSettings",
    "body_probability",
    "find_candidates",
    "scored_candidates",
]

FloatArray = NDArray[np.float64]


_LIMITS = {
    "kernel_share": (0.01, 5), "modes_per_class": (1, 1000), "minimum_probability": (0, 1), "merge_share": (0, 10),
    "mass_at_even_odds": (1e-6, 1), "mass_steepness": (0, 100),
}  # fmt: skip


class MassSettings(Protocol):
    """What `body_probability` asks for."""

    @property
    def mass_at_even_odds(self) -> float:
        """Mass of a candidate that is as likely a body as not."""

    @property
    def mass_steepness(self) -> float:
        """How fast the probability grows with the mass."""


@dataclass(frozen=True)
class CandidateSettings:
    """How modes become candidates.

    Attributes
    ----------
    kernel_share : float
        Standard deviation of the mean-shift kernel, as a share of the vertebra's radius.
    modes_per_class : int
        Starts of the mean shift for each vertebra.
    minimum_probability : float
        Least kernel mean of p(v | x) that counts as a mode.
    merge_share : float
        Modes closer than this share of the vertebra's radius are one body.
    mass_at_even_odds, mass_steepness : float
        A candidate of mass m is a body with probability m^s / (m^s + m0^s), the rest speaks for a false detection.
    """

    kernel_share: float = 0.3
    modes_per_class: int = 4
    minimum_probability: float = 0.012
    merge_share: float = 0.6
    mass_at_even_odds: float = 0.1
    mass_steepness: float = 4.0

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)


@dataclass(frozen=True)
class Candidates:
    """Bodies that may be vertebrae.

    Attributes
    ----------
    points_lps_mm : ndarray, shape (N, 3)
        Where.
    mass : ndarray, shape (N,)
        Kernel mean of p(any vertebra | x): how surely there is a body.
    level_log_scores : ndarray, shape (N, len(LEVELS))
        Natural logarithm of each level's share of the evidence; a row sums to the probability of a body.
    """

    points_lps_mm: FloatArray
    mass: FloatArray
    level_log_scores: FloatArray

    @classmethod
    def none(cls) -> Candidates:
        """Return no candidate at all."""
        return cls(np.empty((0, 3)), np.empty(0), np.empty((0, len(LEVELS))))


def find_candidates(probability: NDArray[np.float32], grid: Grid, settings: CandidateSettings) -> Candidates:
    """Find the modes of every vertebra's map, merge those on one body, and score each body for every level.

    Parameters
    ----------
    probability : ndarray of float32, shape (len(CLASSES), z, y, x)
        p(v | x) on the working grid.
    grid : Grid
        The isotropic working grid.
    """
    radius_mm = np.array([body_radius_mm(name) for name in CLASSES[:BACKGROUND]])
    sigma_vox = radius_mm * settings.kernel_share / grid.spacing_mm[0]
    modes, strength, owner = _all_modes(probability, sigma_vox, settings)
    if not len(modes):
        return Candidates.none()
    body = 1 - probability[BACKGROUND]
    merge_vox = settings.merge_share * radius_mm / grid.spacing_mm[0]
    kept = strongest_apart(modes, strength, merge_vox[owner])
    # which vertebra it is may be in doubt where the centre of the body is not: settle on the latter
    modes, mass = shift_to_modes(body, modes[kept], sigma_vox[owner[kept]])
    kept = strongest_apart(modes, mass, merge_vox[owner[kept]])
    centres = modes[kept]
    evidence = kernel_mean(probability[:BACKGROUND], centres, sigma_vox) + 1e-4
    shares = evidence / evidence.sum(axis=1, keepdims=True)
    return scored_candidates(centres, mass[kept], shares, body_probability(mass[kept], settings), grid)


def body_probability(mass: FloatArray, settings: MassSettings) -> FloatArray:
    """Probability that candidates of these masses are bodies at all."""
    odds = (settings.mass_at_even_odds / mass) ** settings.mass_steepness
    return np.asarray(1 / (1 + odds))


def scored_candidates(
    centres_zyx: FloatArray, mass: FloatArray, shares: FloatArray, is_body: FloatArray, grid: Grid
) -> Candidates:
    """Make candidates of modes.

    Parameters
    ----------
    centres_zyx : ndarray, shape (N, 3)
        Fractional voxel indices.
    mass : ndarray, shape (N,)
        How surely there is a body.
    shares : ndarray, shape (N, 26)
        Of each vertebra in the evidence; rows sum to 1.
    is_body : ndarray, shape (N,)
        Probability that the candidate is a body at all.
    grid : Grid
        The grid of the indices.
    """
    scores = np.log(shares[:, [class_of_level(name) for name in LEVELS]] * is_body[:, None])
    return Candidates(grid.index_to_lps(centres_zyx[:, ::-1]), mass, np.asarray(scores))


def _all_modes(
    probability: NDArray[np.float32], sigma_vox: FloatArray, settings: CandidateSettings
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    found = [
        find_modes(probability[v], sigma_vox[v], count=settings.modes_per_class, minimum=settings.minimum_probability)
        for v in range(BACKGROUND)
    ]
    owner = np.repeat(np.arange(BACKGROUND), [len(density) for _, density in found])
    return np.concatenate([m for m, _ in found]), np.concatenate([d for _, d in found]), owner
