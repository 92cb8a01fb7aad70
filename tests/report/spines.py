"""Synthetic spines to draw."""

import numpy as np

from regforest.spatial import Grid, Landmarks, Localization, Volume

NAMES = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")


def curved_spine(direction=None):
    """A bright tube that runs from x = -20 to 20 mm and bends forward, with its centres."""
    grid = Grid.from_parts((60, 50, 50), spacing_mm=(2, 2, 3), origin_mm=(-50, -50, -90), direction=direction)
    zyx = np.stack(np.meshgrid(*map(np.arange, grid.shape_zyx), indexing="ij"), axis=-1)
    points = grid.index_to_lps(zyx[..., ::-1])
    t = np.clip((points[..., 2] + 90) / 177, 0, 1)
    away = np.hypot(points[..., 0] - (-20 + 40 * t), points[..., 1] - 15 * np.sin(np.pi * t))
    voxels = np.where(away < 6, 1000, 0).astype(np.int16)
    heights = np.linspace(80, -80, 8)
    s = (heights + 90) / 177
    centres = np.stack([-20 + 40 * s, 15 * np.sin(np.pi * s), heights], axis=1)
    return Volume(voxels, grid), Landmarks(dict(zip(NAMES, centres, strict=True)))


def found(landmarks, **changes):
    """A sure answer with these levels."""
    return Localization(landmarks, **{"status": "ok", **changes})
