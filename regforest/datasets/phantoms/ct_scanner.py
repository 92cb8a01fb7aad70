"""The scanner of the CT phantom: sampling with partial volume, kernel, noise, metal streaks, padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.datasets.phantoms.ct_artefacts import metal_streaks
from regforest.datasets.phantoms.ct_kernels import measure, paint, shade_bone
from regforest.datasets.phantoms.ct_scene import Scene
from regforest.datasets.phantoms.ct_tissue import texture_tiles

__all__ = ["PADDING_HU", "Scan", "scan_scene"]

FloatArray = NDArray[np.float64]

PADDING_HU = -3024
"""What real scanners of one maker write outside the circle that they reconstruct."""

_SLAB_SLICES = 12
_FINEST_MM = 1.25
_STREAK_MM = 14.0
_RANGE_HU = (-1024, 3071)


@dataclass(frozen=True, eq=False)
class Scan:
    """How one scan is taken. The scan's frame is LPS, axes along the table; the person lies turned in it.

    Attributes
    ----------
    shape_zyx : tuple of int
        Voxels.
    spacing_mm : ndarray, shape (3,)
        Spacing along x, y, z; slices are as thick as they are apart.
    first_mm : ndarray, shape (3,)
        Centre of the first voxel in the scan's frame.
    turn : ndarray, shape (3, 3)
        Rotation from the person's frame into the scan's.
    noise_hu : float
        Standard deviation of the noise where the body is thin.
    sharpness : float
        Reconstruction kernel: 0 smooth, 1 bone kernel with edge enhancement.
    padded : bool
        Whether `PADDING_HU` stands outside the reconstructed circle.
    """

    shape_zyx: tuple[int, int, int]
    spacing_mm: FloatArray
    first_mm: FloatArray
    turn: FloatArray
    noise_hu: float
    sharpness: float
    padded: bool


def scan_scene(scene: Scene, scan: Scan, seed: np.random.SeedSequence) -> NDArray[np.int16]:
    """Image a scene; returns HU, shape `scan.shape_zyx`. Memory: the result and a few slabs of slices."""
    rng = np.random.default_rng(seed)
    texture_shift = rng.uniform(0, 200, 3)
    out = np.empty(scan.shape_zyx, np.int16)
    for start in range(0, scan.shape_zyx[0], _SLAB_SLICES):
        stop = min(start + _SLAB_SLICES, scan.shape_zyx[0])
        clean = _slab(scene, scan, start, stop, texture_shift)
        out[start:stop] = _develop(clean, scan, rng)
    if scan.padded:
        out[:, _outside_circle(scan.shape_zyx[1:])] = PADDING_HU
    return out


def _slab(scene: Scene, scan: Scan, start: int, stop: int, texture_shift: FloatArray) -> NDArray[np.float32]:
    """HU without noise, slices `start` to `stop`, averaged over the slice thickness; float32 (z, y, x)."""
    parts = max(1, min(4, round(scan.spacing_mm[2] / _FINEST_MM)))
    fine = scan.spacing_mm / np.array([1, 1, parts])
    first = scan.first_mm + np.array([0, 0, start * scan.spacing_mm[2] - 0.5 * (parts - 1) * fine[2]])
    frame = np.concatenate([first[None], np.diag(fine)]) @ scan.turn  # rows: rotated back into the person's frame
    shape = ((stop - start) * parts, *scan.shape_zyx[1:])
    image, clear = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    distance, owner = np.full(shape, 1e3, np.float32), np.zeros(shape, np.int16)
    blur = float(max(fine[0], 0.8))
    tables, table_frame, tissues, tiles = scene.tables, scene.table_frame, scene.tissues, texture_tiles()
    metal, bounds = _visible(scene.metal, frame, shape)
    paint(image, clear, metal, bounds, frame, scene.tables, table_frame, tissues, tiles, blur)
    bones, bounds = _visible(scene.bones, frame, shape)
    measure(distance, owner, bones, bounds, frame, tables, table_frame)
    shade_bone(image, clear, distance, owner, scene.bone_kinds, frame + _first_row(texture_shift), tiles, blur)
    soft, bounds = _visible(scene.soft[::-1], frame, shape)
    paint(image, clear, soft, bounds, frame, tables, table_frame, tissues, tiles, blur)
    image += -1000 * clear
    return np.asarray(image.reshape(stop - start, parts, *shape[1:]).mean(axis=1, dtype=np.float32))


def _first_row(shift: FloatArray) -> FloatArray:
    return np.concatenate([shift[None], np.zeros((3, 3))])


def _visible(shapes: FloatArray, frame: FloatArray, shape: tuple[int, ...]) -> tuple[FloatArray, NDArray[np.int64]]:
    """Shapes whose bounding box meets the slab, and its voxels: first and one past last along z, y, x."""
    pick = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, 8)
    corners = np.where(pick.T[None] == 0, shapes[:, None, 2:5], shapes[:, None, 5:8])
    index = (corners - frame[0]) @ np.linalg.inv(frame[1:])
    low = np.floor(index.min(axis=1)).astype(np.int64)[:, ::-1] - 1
    high = np.ceil(index.max(axis=1)).astype(np.int64)[:, ::-1] + 2
    bounds = np.concatenate([np.maximum(low, 0), np.minimum(high, np.array(shape))], axis=1)
    seen = (bounds[:, :3] < bounds[:, 3:]).all(axis=1)
    return shapes[seen], np.ascontiguousarray(bounds[seen])


def _develop(clean: NDArray[np.float32], scan: Scan, rng: np.random.Generator) -> NDArray[np.int16]:
    """Blur or sharpen, add streaks and noise, round."""
    in_plane = float(scan.spacing_mm[0])
    smooth = (0.0, *[(0.75 - 0.35 * scan.sharpness) / in_plane] * 2)
    image = ndimage.gaussian_filter(clean, smooth)
    if scan.sharpness > 0.5:
        wide = ndimage.gaussian_filter(clean, (0.0, *[1.3 / in_plane] * 2))
        image += (scan.sharpness - 0.5) * (image - wide)
    for k in range(len(image)):
        streaks = metal_streaks(clean[k], in_plane, rng)
        if streaks is not None:
            image[k] += streaks
    image += _noise(clean, scan, rng)
    return np.asarray(np.clip(np.rint(image), *_RANGE_HU).astype(np.int16))


def _noise(clean: NDArray[np.float32], scan: Scan, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise whose grain follows the kernel, stronger and streaky where rays pass much bone and tissue."""
    in_plane = float(scan.spacing_mm[0])
    grain = (1.1 - 0.75 * scan.sharpness) / in_plane
    white = rng.standard_normal(clean.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(white, (0.0, grain, grain), truncate=2.5)
    width = max(1, round(_STREAK_MM / in_plane))
    streaky = ndimage.uniform_filter1d(rng.standard_normal(clean.shape, dtype=np.float32), width, axis=2)
    attenuation = np.clip(clean, -1000, 1500).mean(axis=2, keepdims=True)  # along x, the long way through the body
    load = np.clip((attenuation + 100) / 300, 0, 1.5)
    level = scan.noise_hu * (1 + 0.4 * load)
    return np.asarray(level * (noise / noise.std() + 0.8 * load * streaky / streaky.std()), dtype=np.float32)


def _outside_circle(shape_yx: tuple[int, ...]) -> NDArray[np.bool_]:
    y, x = (np.linspace(-1, 1, n) for n in shape_yx)
    return np.asarray(np.hypot(y[:, None], x[None]) > 1.0)
