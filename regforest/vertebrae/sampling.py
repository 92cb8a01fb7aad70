"""Which voxels the forest learns from, and with what labels."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest._limits import check_limits
from regforest.errors import DataError
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume
from regforest.vertebrae.dense_labels import (
    body_radius_mm,
    hard_labels,
    label_distribution,
    unlabelled_bodies,
)

__all__ = [
    "UNLABELLED_RADIUS_MM",
    "SamplingSettings",
    "TrainingPoints",
    "draw_anywhere",
    "draw_background",
    "draw_near_spine",
    "draw_training_points",
    "nearest_voxels",
    "spine_in_view",
    "working_image",
]

_HU_RANGE = (-1024, 3071)
# what lies closer than this to a body that nobody annotated is neither known to be a vertebra nor to be none
UNLABELLED_RADIUS_MM = 14.0


_LIMITS = {
    "per_vertebra": (1, 10**6), "background_per_vertebra": (0, 10**6), "radius_factor": (0.01, 10),
    "near_spine_mm": (1, 1000), "claim_share": (0.01, 10),
}  # fmt: skip


@dataclass(frozen=True)
class SamplingSettings:
    """How training voxels are drawn; every annotated vertebra gets the same number.

    Attributes
    ----------
    per_vertebra : int
        Voxels around each annotated centre.
    background_per_vertebra : int
        Background voxels for each annotated vertebra: half anywhere, half near the spine.
    radius_factor : float
        Vertebra voxels come from a ball of this many vertebra radii.
    near_spine_mm : float
        How far from the spine the near background reaches.
    claim_share : float
        Width of the soft labels, see `label_distribution`. At 1 the maps of neighbouring bodies run together.
    soft_labels : bool
        Whether the forest learns distributions; if not, the likeliest class of each voxel.
    """

    per_vertebra: int = 220
    background_per_vertebra: int = 160
    radius_factor: float = 1.2
    near_spine_mm: float = 45.0
    claim_share: float = 0.5
    soft_labels: bool = True

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)
        if not isinstance(self.soft_labels, bool):
            raise ValueError(f"soft_labels must be true or false, got {self.soft_labels!r}")


@dataclass(frozen=True)
class TrainingPoints:
    """Voxels of one scan with their labels.

    Attributes
    ----------
    index_zyx : ndarray of int, shape (N, 3)
        Voxels of the working image.
    labels : ndarray of float32, shape (N, len(CLASSES))
        Distribution over the classes; rows sum to 1.
    """

    index_zyx: NDArray[np.int64]
    labels: NDArray[np.float32]


def working_image(volume: Volume, spacing_mm: float, n_jobs: int | None = 1) -> Volume:
    """Bring a CT to the working grid: canonical axes, isotropic, int16 HU, padding values as air."""
    image = volume.isotropic(spacing_mm, n_jobs)
    return Volume(np.rint(np.clip(image.voxels, *_HU_RANGE)).astype(np.int16), image.grid)


def draw_training_points(
    scan: AnnotatedScan, grid: Grid, settings: SamplingSettings, rng: np.random.Generator
) -> TrainingPoints:
    """Draw balanced training voxels of one scan on the working grid.

    Parameters
    ----------
    scan : AnnotatedScan
        Its landmarks (LPS mm) are used, and only those inside `grid`.
    grid : Grid
        The isotropic working grid of its image.
    settings : SamplingSettings
        How many voxels, and from where.
    rng : numpy.random.Generator
        Source of the draw.

    Returns
    -------
    TrainingPoints
        Voxels inside the image; those near bodies that nobody annotated are left out.

    Raises
    ------
    DataError
        If no annotated centre lies inside the image.
    """
    spine = spine_in_view(scan, grid)
    background = _background(spine, grid, settings.background_per_vertebra, settings.near_spine_mm, rng)
    points = np.concatenate([_around_bodies(spine, settings, rng), background])
    return _labelled(points, spine, grid, settings)


def draw_background(
    scan: AnnotatedScan, grid: Grid, settings: SamplingSettings, per_vertebra: int, rng: np.random.Generator
) -> TrainingPoints:
    """Draw more background of one scan, for each annotated vertebra in view; else like `draw_training_points`."""
    spine = spine_in_view(scan, grid)
    return _labelled(_background(spine, grid, per_vertebra, settings.near_spine_mm, rng), spine, grid, settings)


def spine_in_view(scan: AnnotatedScan, grid: Grid, known: Container[str] | None = None) -> Landmarks:
    """Return the annotated vertebrae that lie inside the image, of those that are `known` (all by default).

    Raises
    ------
    DataError
        If there is none.
    """
    inside = scan.landmarks.select(lambda name: bool(grid.contains(scan.landmarks[name])))
    spine = inside if known is None else inside.select(lambda name: name in known)
    if not len(spine):
        raise DataError(f"{scan.name}: no annotated vertebra lies inside the image; check the frame of the landmarks")
    return spine


def draw_anywhere(grid: Grid, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw points (N, 3), LPS mm, uniformly from the image."""
    return grid.index_to_lps(rng.random((count, 3)) * np.asarray(grid.size_xyz) - 0.5)


def draw_near_spine(spine: Landmarks, count: int, reach_mm: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw points (N, 3), LPS mm, from cubes of half edge `reach_mm` around annotated centres."""
    centres = spine.points_lps_mm[rng.integers(len(spine), size=count)]
    return np.asarray(centres + rng.uniform(-reach_mm, reach_mm, (count, 3)))


def nearest_voxels(points_lps_mm: NDArray[np.float64], grid: Grid) -> NDArray[np.int64]:
    """Return the index (x, y, z) of the voxel nearest to each point, of those inside the image."""
    index_xyz = np.rint(grid.lps_to_index(points_lps_mm)).astype(np.int64)
    return index_xyz[((index_xyz >= 0) & (index_xyz < grid.size_xyz)).all(axis=1)]


def _around_bodies(spine: Landmarks, settings: SamplingSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    radius = np.array([body_radius_mm(name) for name in spine]) * settings.radius_factor
    centres = np.repeat(spine.points_lps_mm, settings.per_vertebra, axis=0)
    direction = rng.normal(size=centres.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.repeat(radius, settings.per_vertebra) * np.cbrt(rng.random(len(centres)))
    return np.asarray(centres + direction * length[:, None])


def _background(
    spine: Landmarks, grid: Grid, per_vertebra: int, near_spine_mm: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    half = max(1, len(spine) * per_vertebra // 2)
    return np.concatenate([draw_anywhere(grid, half, rng), draw_near_spine(spine, half, near_spine_mm, rng)])


def _labelled(
    points: NDArray[np.float64], spine: Landmarks, grid: Grid, settings: SamplingSettings
) -> TrainingPoints:
    """Voxels nearest to points, with labels; without those near bodies that nobody annotated."""
    index_xyz = nearest_voxels(points, grid)
    points = grid.index_to_lps(index_xyz)
    known = ~_near_any(points, unlabelled_bodies(spine), UNLABELLED_RADIUS_MM)
    labels = label_distribution(points[known], spine, settings.claim_share)
    return TrainingPoints(index_xyz[known, ::-1], labels if settings.soft_labels else hard_labels(labels))


def _near_any(points: NDArray[np.float64], centres: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    near = np.zeros(len(points), dtype=bool)
    for centre in centres:
        near |= ((points - centre) ** 2).sum(axis=1) < radius_mm**2
    return near
