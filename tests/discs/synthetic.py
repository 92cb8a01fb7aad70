"""A tiny spine: four bright bodies in a row, of growing width, above a slanted block, in noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest.discs import DiscSettings, JointSettings, PatchSettings
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume

NAMES = {1: "L2", 2: "L3", 3: "L4", 4: "L5"}

QUICK = DiscSettings(
    coarse_spacing_mm=3.0,
    label_spacing_mm=2.0,
    coarse_patch=PatchSettings((24.0, 60.0), 3, 24),
    fine_patch=PatchSettings((18.0, 36.0), 3, 24),
    label_patch=PatchSettings((6.0, 18.0), 3, 16),
    coarse_joint=JointSettings(12, 1.0, 0.02, 0.1, 14.0),
    turns_deg=(0.0, 8.0),
    scales=(1.0,),
    coarse_grid_mm=10.0,
    coarse_patches=400,
    fine_patches=120,
    label_patches=500,
)


def make_scan(
    number: int, *, channels: int = 1, masks: bool = True, absent: tuple[str, ...] = (), bottom: int = 0
) -> AnnotatedScan:
    """Scan of patient `number`; `bottom` slices are cut off at the caudal end."""
    rng = np.random.default_rng([42, number])
    shape = (64, 40, 30)  # z, y, x at 2.5 mm
    grid = Grid.from_parts(shape, (2.5, 2.5, 2.5), rng.uniform(-20, 20, 3))
    z, y, x = (axis * 2.5 for axis in np.meshgrid(*map(np.arange, shape), indexing="ij"))
    size = rng.uniform(0.95, 1.05)
    start = np.array([37.0, 48.0, 135.0]) + rng.uniform(-5, 5, 3)
    labels = np.zeros(shape, np.uint8)
    image = np.full(shape, 20.0) + 15 * np.sin(y / 17) + 0.1 * z
    image[y > 75 + rng.uniform(-4, 4)] = 90.0
    for s in range(4):
        cx, cy, cz = start + size * np.array([0.0, 3.0 * s - 0.8 * s * s, -30.0 * s])
        half = size * np.array([13.0 + 1.5 * s, 11.0 + 1.5 * s, 10.0])
        inside = (abs(x - cx) <= half[0]) & (abs(y - cy) <= half[1]) & (abs(z - cz) <= half[2])
        image[inside] = 120.0
        labels[inside] = s + 1
    slant = (z < cz - 18 * size - 0.35 * (y - cy)) & (abs(x - cx) < 22) & (abs(y - cy) < 30)
    image[slant] = 150.0
    noisy = [image + rng.normal(0, 6, shape), 160 - image + rng.normal(0, 6, shape)][:channels]
    for value, name in NAMES.items():
        if name in absent:
            labels[labels == value] = 0
    points = {
        name: grid.index_to_lps(np.argwhere(labels == value).mean(axis=0)[::-1])
        for value, name in NAMES.items()
        if (labels == value).any()
    }
    cut = grid.cropped((0, 0, bottom), (shape[0] - bottom, *shape[1:]))
    names = ("image",) if channels == 1 else ("fat", "water")
    volumes = {n: Volume(v[bottom:].astype(np.float32), cut) for n, v in zip(names, noisy, strict=True)}
    mask = Volume(labels[bottom:], cut) if masks else None
    return AnnotatedScan(f"case{number}", f"p{number}", volumes, Landmarks(points), mask, NAMES if masks else {})


def distance_mm(landmarks: Landmarks, truth: Landmarks) -> NDArray[np.float64]:
    """Distances of the landmarks that both hold."""
    return np.array([np.linalg.norm(landmarks[name] - truth[name]) for name in truth if name in landmarks])
