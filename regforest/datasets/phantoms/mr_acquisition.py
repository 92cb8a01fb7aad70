"""The scanner of an MR phantom: grids, coil shading, noise and the channels that a sequence yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from regforest.datasets.phantoms.mr_canvas import Field, smooth_noise
from regforest.spatial import Grid, Volume

__all__ = ["PROTOCOLS", "Protocol", "acquire", "draw_grid"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """Sampling of a sequence.

    Attributes
    ----------
    shape_zyx : tuple of int
        Head-foot, front-back and slices, as the first axis of the file runs through the slices.
    spacing_xyz_mm : tuple of float
        Between slices, front-back, head-foot.
    fine_slices : int
        Slices painted for each slice; their mean gives the partial volume of thick slices.
    noise : float
        Standard deviation of the noise in signal units (tissues lie between 100 and 900).
    """

    shape_zyx: tuple[int, int, int]
    spacing_xyz_mm: tuple[float, float, float]
    fine_slices: int
    noise: float


PROTOCOLS: Mapping[str, Protocol] = {
    "dixon": Protocol((256, 256, 36), (2.0, 1.25, 1.25), 1, 22.0),
    "t2": Protocol((320, 320, 17), (4.4, 0.95, 0.95), 2, 18.0),
    "t1": Protocol((320, 320, 17), (4.0, 0.95, 0.95), 2, 22.0),
}
"""IVDM3Seg's grid; sagittal spin echoes as in clinical lumbar studies."""


def draw_grid(protocol: Protocol, middle_lps_mm: FloatArray, rng: np.random.Generator) -> Grid:
    """Place a sagittal, slightly oblique stack: x through the slices, y to the back, z to the feet.

    Parameters
    ----------
    protocol : Protocol
        Size and spacing.
    middle_lps_mm : ndarray, shape (3,)
        Where the middle of the stack should be, about.
    rng : numpy.random.Generator
        Scatters place and angles.
    """
    turn = Rotation.from_euler("xyz", rng.normal(0, [1.0, 1.2, 1.5]), degrees=True).as_matrix()
    axes = turn @ np.diag([1.0, 1.0, -1.0])
    centre = middle_lps_mm + rng.normal(0, [2.0, 6.0, 8.0])
    half = (np.array(protocol.shape_zyx[::-1]) - 1) / 2 * protocol.spacing_xyz_mm
    return Grid.from_parts(protocol.shape_zyx, protocol.spacing_xyz_mm, centre - axes @ half, axes)


def fine_grid(grid: Grid, factor: int) -> Grid:
    """Split each slice (x) into `factor` thinner ones that fill the same space."""
    z, y, x = grid.shape_zyx
    matrix = grid.matrix.copy()
    matrix[:3, 0] /= factor
    matrix[:3, 3] = grid.index_to_lps([(1 / factor - 1) / 2, 0, 0])
    return Grid((z, y, x * factor), matrix)


def acquire(
    signals: NDArray[np.float32], grid: Grid, protocol: Protocol, contrast: str, rng: np.random.Generator
) -> dict[str, Volume]:
    """Turn painted signals into the images of a scan, with coil shading and Rician noise.

    Parameters
    ----------
    signals : ndarray, shape (channels, z, y, fine x)
        Signals on the fine grid: water and fat for Dixon, else one.
    grid : Grid
        The scan's own grid.
    protocol : Protocol
        For thickness and noise.
    contrast : {"dixon", "t2", "t1"}
        Dixon yields the channels fat, inn, opp and wat; else the channel is called ``"image"``.

    Returns
    -------
    dict of str to Volume
        int16.
    """
    z, y, x = grid.shape_zyx
    slices = signals.reshape(len(signals), z, y, x, protocol.fine_slices).mean(axis=4)
    shading = _shading(grid, rng)
    # the point spread of the readout, within the slice
    clean = [ndimage.gaussian_filter(channel, (0.4, 0.4, 0.0)) * shading for channel in slices]
    if contrast == "dixon":
        water, fat = clean
        images = _dixon(water, fat, protocol.noise, rng)
        if rng.random() < 0.3:
            _swap_corner(images, grid, rng)
    else:
        images = {"image": np.abs(clean[0] + np.float32(protocol.noise) * _complex_noise(rng, clean[0].shape))}
    gain = np.float32(rng.uniform(0.6, 1.1))
    return {name: Volume(np.rint(image * gain).astype(np.int16), grid) for name, image in sorted(images.items())}


def _shading(grid: Grid, rng: np.random.Generator) -> Field:
    """Sensitivity of the coil in the table (falls towards the belly) and slow variation."""
    z, y, _ = grid.shape_zyx
    depth_mm = (np.arange(y)[::-1] * grid.spacing_mm[1]).astype(np.float32)
    fall = np.exp(-np.maximum(depth_mm - 90, 0) / np.float32(rng.uniform(140, 320)))
    ends = 1 - np.float32(rng.uniform(0.1, 0.5)) * np.abs(np.linspace(-1, 1, z, dtype=np.float32)) ** 4
    slow = 1 + np.float32(0.09) * smooth_noise(rng, grid, 110.0)
    return np.asarray(fall[None, :, None] * ends[:, None, None] * slow, dtype=np.float32)


def _dixon(water: Field, fat: Field, noise: float, rng: np.random.Generator) -> dict[str, Field]:
    """In- and opposed-phase echoes, and water and fat computed from them as the scanner does."""
    in_phase, opposed = (
        signal + np.float32(noise) * _complex_noise(rng, signal.shape) for signal in (water + fat, water - fat)
    )
    return {
        "inn": np.abs(in_phase),
        "opp": np.abs(opposed),
        "wat": np.abs(in_phase + opposed) / 2,
        "fat": np.abs(in_phase - opposed) / 2,
    }


def _complex_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    parts = rng.standard_normal((*shape, 2), dtype=np.float32)
    return parts.view(np.complex64)[..., 0]


def _swap_corner(images: dict[str, Field], grid: Grid, rng: np.random.Generator) -> None:
    """Exchange water and fat in a corner far from the spine, as when the field map goes wrong at the edge."""
    z, y, _ = grid.shape_zyx
    top = rng.random() < 0.5
    rows = np.abs(np.arange(z) - (0 if top else z - 1)) * grid.spacing_mm[2]
    columns = np.arange(y) * grid.spacing_mm[1]  # from the belly
    wobble = 12 * smooth_noise(rng, grid, 40.0)
    swapped = np.hypot(rows[:, None, None], columns[None, :, None]) + wobble < rng.uniform(60, 110)
    images["wat"], images["fat"] = (
        np.where(swapped, images["fat"], images["wat"]),
        np.where(swapped, images["wat"], images["fat"]),
    )
