"""Where the vertebrae are, whatever their names: modes of one map of vertebral bodies.

Glocker et al. (2013) look for the modes of each vertebra's own map. Where a name is in doubt those maps are low and
smeared over the neighbours. A forest that need not tell the vertebrae apart sees each body's centre sharply; the
forest of the levels is then asked there alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest._limits import check_limits
from regforest.forest import predict_points
from regforest.spatial import Grid, Volume
from regforest.vertebrae.box_forest import BoxForest
from regforest.vertebrae.candidates import Candidates, body_probability, scored_candidates
from regforest.vertebrae.dense_labels import BACKGROUND, CLASSES, body_radius_mm
from regforest.vertebrae.mean_shift import find_modes, shift_to_modes, strongest_apart

__all__ = ["BODY", "BodySettings", "body_labels", "find_bodies", "level_shares"]

FloatArray = NDArray[np.float64]
Shares = Callable[[FloatArray], FloatArray]

BODY = 0
"""Column of the bodies in labels and maps of two classes; the other one is the background."""

_RADII_MM = np.array([body_radius_mm(name) for name in CLASSES[:BACKGROUND]])
_CUBE_ZYX = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_CUBE_SIGMA_VOX = 1.2
_LIMITS = {
    "trees": (0, 10_000), "max_depth": (1, 1000), "min_samples_leaf": (1, 10**6), "features": (0, 100_000),
    "features_per_node": (1, 100_000), "max_offset_mm": (1, 500), "box_size_mm": (0.5, 200),
    "background_per_vertebra": (0, 10**6), "modes": (1, 10_000), "first_sigma_mm": (0.1, 100),
    "kernel_share": (0.01, 5), "minimum_probability": (0, 1), "merge_share": (0, 10),
    "mass_at_even_odds": (1e-6, 1), "mass_steepness": (0, 100),
}  # fmt: skip


@dataclass(frozen=True)
class BodySettings:
    """The forest of the bodies, and how its map becomes candidates.

    Attributes
    ----------
    trees, max_depth, min_samples_leaf, features, features_per_node : int
        The forest. No trees: candidates are the modes of each vertebra's own map, as in the paper.
    max_offset_mm : float
        How far from a point its boxes may lie; what is near tells a body's centre.
    box_size_mm : tuple of float
        Smallest and largest edge of a box.
    background_per_vertebra : int
        Background voxels for each annotated vertebra, beside those that the forest of the levels learns from.
    modes : int
        Most starts of the mean shift.
    first_sigma_mm : float
        Standard deviation of the mean-shift kernel while the size of the body is not known.
    kernel_share : float
        Then its standard deviation as a share of the radius expected of the body's likely levels.
    minimum_probability : float
        Least kernel mean of p(body | x) that counts as a mode.
    merge_share : float
        Modes closer than this share of the radius are one body.
    mass_at_even_odds, mass_steepness : float
        A candidate of mass m is a body with probability m^s / (m^s + m0^s).
    """

    trees: int = 20
    max_depth: int = 22
    min_samples_leaf: int = 4
    features: int = 400
    features_per_node: int = 60
    max_offset_mm: float = 40.0
    box_size_mm: tuple[float, float] = (3.0, 24.0)
    background_per_vertebra: int = 160
    modes: int = 100
    first_sigma_mm: float = 2.5
    kernel_share: float = 0.3
    minimum_probability: float = 0.06
    merge_share: float = 0.8
    mass_at_even_odds: float = 0.12
    mass_steepness: float = 4.0

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)
        if self.box_size_mm[0] > self.box_size_mm[1]:
            raise ValueError(f"box_size_mm must be smallest and largest, got {self.box_size_mm!r}")


def body_labels(labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Two classes, body and background, from soft labels (N, len(CLASSES)) of the levels.

    Examples
    --------
    >>> body_labels(np.eye(len(CLASSES), dtype=np.float32)[[3, BACKGROUND]]).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    background = labels[:, BACKGROUND]
    return np.stack([1 - background, background], axis=1)


def level_shares(levels: BoxForest, image: Volume) -> Shares:
    """Return a function: fractional voxels (N, 3), zyx -> share of each vertebra in what is there, (N, 26).

    The forest of the levels is asked in a cube of 5 voxels around each point, weighted by a Gaussian.
    """
    spacing, size = image.grid.spacing_mm, image.voxels.shape
    integral = levels.boxes.compile(spacing).integrate([image.voxels])
    weights = np.exp(-(_CUBE_ZYX**2).sum(axis=1) / (2 * _CUBE_SIGMA_VOX**2))

    def shares(points_zyx: FloatArray) -> FloatArray:
        cube = np.rint(points_zyx).astype(np.int64)[:, None] + _CUBE_ZYX
        inside = ((cube >= 0) & (cube < size)).all(axis=2)
        maps = np.zeros((*inside.shape, BACKGROUND))
        found = predict_points(levels.forest, levels.boxes, integral, spacing, cube[inside])
        maps[inside] = found[:, :BACKGROUND]
        evidence = (maps * weights[:, None]).sum(axis=1) / (inside * weights).sum(axis=1, keepdims=True)
        return np.asarray((evidence + 1e-4) / (evidence + 1e-4).sum(axis=1, keepdims=True))

    return shares


def find_bodies(body: NDArray[np.float32], shares: Shares, grid: Grid, settings: BodySettings) -> Candidates:
    """Find the modes of the map of bodies, each with a kernel of its likely size, and score them for every level.

    Parameters
    ----------
    body : ndarray of float32, shape (z, y, x)
        p(body | x) on the working grid.
    shares : callable
        As from `level_shares`.
    grid : Grid
        The isotropic working grid.
    settings : BodySettings
        How modes become candidates.
    """
    spacing = grid.spacing_mm[0]
    first_sigma_vox = settings.first_sigma_mm / spacing
    starts, _ = find_modes(body, first_sigma_vox, count=settings.modes, minimum=settings.minimum_probability)
    if not len(starts):
        return Candidates.none()
    radius_vox = shares(starts) @ _RADII_MM / spacing
    modes, mass = shift_to_modes(body, starts, settings.kernel_share * radius_vox)
    kept = strongest_apart(modes, mass, settings.merge_share * radius_vox)
    is_body = body_probability(mass[kept], settings)
    return scored_candidates(modes[kept], mass[kept], shares(modes[kept]), is_body, grid)
