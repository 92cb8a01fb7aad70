"""Which voxels the 2012 method learns from: those that vote, and places on and beside bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest._limits import check_limits
from regforest.spatial import PAPER_LEVELS, Grid, Landmarks
from regforest.vertebrae.dense_labels import unlabelled_bodies
from regforest.vertebrae.sampling import UNLABELLED_RADIUS_MM, draw_anywhere, draw_near_spine, nearest_voxels

__all__ = ["BaselineSampling", "Places", "draw_places", "draw_voters"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_JITTER_MM = 1.5  # bodies are annotated no better, and candidates lie on a grid


_LIMITS = {
    "anywhere": (0, 10**6), "near_spine": (0, 10**6), "near_spine_mm": (1, 1000), "per_body": (1, 10**6),
    "beside_bodies": (1, 10**6), "clear_mm": (0, 1000),
}  # fmt: skip


@dataclass(frozen=True)
class BaselineSampling:
    """How training voxels are drawn from a scan.

    Attributes
    ----------
    anywhere, near_spine : int
        Voters of each scan: anywhere in the image, and in cubes around annotated centres.
    near_spine_mm : float
        Half the edge of these cubes.
    per_body : int
        Places on each body that its look is learned from.
    beside_bodies : int
        Places of each scan near the spine that are no centre.
    clear_mm : float
        How far from every annotated centre these lie.
    """

    anywhere: int = 1500
    near_spine: int = 3000
    near_spine_mm: float = 40.0
    per_body: int = 8
    beside_bodies: int = 300
    clear_mm: float = 7.0

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)


@dataclass(frozen=True)
class Places:
    """Voxels of one scan to learn the look of vertebrae from.

    Attributes
    ----------
    bodies_zyx : ndarray of int, shape (N, 3)
        Voxels on body centres.
    levels : ndarray of int, shape (N,)
        Which of `PAPER_LEVELS` each is.
    others_zyx : ndarray of int, shape (M, 3)
        Voxels near the spine that are no centre.
    """

    bodies_zyx: IntArray
    levels: IntArray
    others_zyx: IntArray


def draw_voters(spine: Landmarks, grid: Grid, settings: BaselineSampling, rng: np.random.Generator) -> IntArray:
    """Draw the voxels (N, 3), index z y x, from which displacements are learned."""
    anywhere = draw_anywhere(grid, settings.anywhere, rng)
    near = draw_near_spine(spine, settings.near_spine, settings.near_spine_mm, rng)
    return nearest_voxels(np.concatenate([anywhere, near]), grid)[:, ::-1]


def draw_places(
    spine: Landmarks, landmarks: Landmarks, grid: Grid, settings: BaselineSampling, rng: np.random.Generator
) -> Places:
    """Draw places on bodies and beside them.

    Parameters
    ----------
    spine : Landmarks
        Those of `PAPER_LEVELS` inside the image.
    landmarks : Landmarks
        All that is annotated, T13 and L6 included: those are bodies, too.
    grid : Grid
        Of the working image.
    settings : BaselineSampling
        How many, and where.
    rng : numpy.random.Generator
        Source of the draw.
    """
    names = np.repeat([PAPER_LEVELS.index(name) for name in spine], settings.per_body)
    bodies = np.repeat(spine.points_lps_mm, settings.per_body, axis=0)
    index = grid.lps_to_index(bodies + rng.normal(0, _JITTER_MM, bodies.shape))
    others = draw_near_spine(spine, settings.beside_bodies, settings.near_spine_mm, rng)
    free = _far_from(others, landmarks.points_lps_mm, settings.clear_mm)
    free &= _far_from(others, unlabelled_bodies(landmarks), UNLABELLED_RADIUS_MM)
    nearest = np.clip(np.rint(index), 0, np.asarray(grid.size_xyz) - 1).astype(np.int64)
    return Places(nearest[:, ::-1], names, nearest_voxels(others[free], grid)[:, ::-1])


def _far_from(points: FloatArray, centres: FloatArray, radius_mm: float) -> NDArray[np.bool_]:
    squared = ((points[:, None] - centres[None]) ** 2).sum(axis=2)
    return np.asarray((squared > radius_mm**2).all(axis=1))
