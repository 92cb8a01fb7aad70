"""Where the method looks: lattices and balls of points, and the structures' own views."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from regforest.discs.patches import PatchReader
from regforest.discs.settings import DiscSettings
from regforest.discs.views import Scene, View, box_grid

__all__ = [
    "NOMINAL_STEP_MM",
    "PROBES_MM",
    "chain_scale",
    "extended_chain",
    "fine_view",
    "label_view",
    "lattice",
    "random_ball",
    "read_probes",
]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]

NOMINAL_STEP_MM = 35.0
"""Length of a mean step of the chain in a structure's own view: views are scaled to it."""

PROBES_MM = np.array(list(itertools.product((-14.0, 0.0, 14.0), (-22.0, 0.0, 22.0), (-36.0, -18.0, 0.0, 18.0, 36.0))))
"""Places around a structure at which appearances are compared, shape (P, 3)."""


def chain_scale(points: Mapping[str, FloatArray]) -> float:
    """Mean step of a chain relative to the nominal one; 1 for a single structure."""
    chain = np.array(list(points.values()))
    if len(chain) < 2:
        return 1.0
    return float(np.linalg.norm(np.diff(chain, axis=0), axis=1).mean()) / NOMINAL_STEP_MM


def fine_view(scene: Scene, centre: FloatArray, axes: FloatArray, scale: float, settings: DiscSettings) -> View:
    """Look at a structure in its own frame as the fine step does: at the coarse spacing, as wide as its patches."""
    spacing = settings.coarse_spacing_mm
    half = np.ceil((1.2 * settings.fine_radius_mm + max(settings.fine_patch.sizes_mm) / 2) / spacing)
    return scene.coarse_view(box_grid(centre, axes, np.full(3, half), spacing * scale))


def label_view(
    scene: Scene, centre: FloatArray, axes: FloatArray, scale: float, mask_shape: tuple[int, ...],
    settings: DiscSettings,
) -> View:  # fmt: skip
    """Look at a structure in its own frame as the segmentation does: a block of masks and half a patch around it."""
    spacing = settings.label_spacing_mm
    margin = np.ceil((max(settings.label_patch.sizes_mm) / 2 + settings.label_margin_mm / 2) / spacing)
    half = (np.asarray(mask_shape[::-1]) - 1) // 2 + margin
    return scene.view(box_grid(centre, axes, half, spacing * scale), spacing)


def extended_chain(points: FloatArray, count: int) -> FloatArray:
    """Add places beyond either end of a chain (S, 3) by repeating its last steps; shape (S + 2 count, 3)."""
    jump = np.array([0.0, 0.0, NOMINAL_STEP_MM])
    above, below = (points[0] - points[1], points[-1] - points[-2]) if len(points) > 1 else (jump, -jump)
    steps = np.arange(1, count + 1)[:, None]
    return np.concatenate([points[:1] + steps[::-1] * above, points, points[-1:] + steps * below])


def read_probes(view: View, settings: DiscSettings) -> Features:
    """Features of the places around a structure where its appearance is compared, shape (P, F)."""
    return PatchReader(view, settings.fine_patch)(view.extent_mm / 2 + PROBES_MM)


def random_ball(rng: np.random.Generator, count: int, radius: float) -> FloatArray:
    """Draw points in a ball around the origin, denser towards its middle; shape (N, 3)."""
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions * (radius * rng.uniform(0, 1, (count, 1)) ** (1 / 2)))


def lattice(view: View, step_mm: float) -> FloatArray:
    """Points every `step_mm`, centred in the view, shape (N, 3)."""
    axes = []
    for extent in view.extent_mm:
        count = int(extent // step_mm) + 1
        axes.append((extent - (count - 1) * step_mm) / 2 + step_mm * np.arange(count))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
