"""Streaks around metal, as filtered back projection makes them from rays that were hardened or starved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.datasets.phantoms.ct_streak_kernels import back_project, project

__all__ = ["metal_streaks"]

_METAL_HU = 2350.0
_GRID_MM = 1.6
_ANGLES = 96
_HU_PER_MM = 1e4
# Errors of a ray that passes some mm of metal: short by its square, noise in proportion.
_HARDENING = 0.0035
_STARVING = 0.012


def metal_streaks(
    slice_hu: NDArray[np.float32], spacing_mm: float, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """Streaks to add to one slice, HU; None where the slice has no metal.

    Rays through metal are hardened (the measured sum falls short by its square) and starved (noise that grows with
    the sum); both errors go through a ramp filter and back projection on a grid of about 1.6 mm.

    Parameters
    ----------
    slice_hu : ndarray of float32, shape (y, x)
        Axial slice, HU.
    spacing_mm : float
        Of its pixels.
    rng : numpy.random.Generator
        Source of the noise; not touched where there is no metal.

    Returns
    -------
    ndarray of float32, shape (y, x), or None
    """
    if slice_hu.max() < _METAL_HU:
        return None
    zoom = min(1.0, spacing_mm / _GRID_MM)
    metal = np.clip((slice_hu - 1500.0) / 1000.0, 0, None).astype(np.float32)
    coarse = ndimage.zoom(metal, zoom, order=1, grid_mode=True, mode="nearest") if zoom < 1 else metal
    grid_mm = spacing_mm * slice_hu.shape[0] / coarse.shape[0]
    bins = 2 * (int(0.75 * sum(coarse.shape)) // 2) + 3
    angles = np.linspace(0, np.pi, _ANGLES, endpoint=False, dtype=np.float64)
    sums = np.zeros((_ANGLES, bins), np.float32)
    project(coarse, angles, sums)
    thickness = sums * grid_mm
    error = -_HARDENING * thickness**2 + _STARVING * thickness * rng.standard_normal(sums.shape, dtype=np.float32)
    frequency = np.abs(np.fft.rfftfreq(bins))
    filtered = np.fft.irfft(np.fft.rfft(error, axis=1) * frequency, bins, axis=1).astype(np.float32)
    streaks = np.zeros(coarse.shape, np.float32)
    back_project(filtered, angles, streaks)
    streaks *= np.float32(np.pi / _ANGLES * _HU_PER_MM / grid_mm)
    if zoom < 1:
        ratio = [a / b for a, b in zip(slice_hu.shape, streaks.shape, strict=True)]
        streaks = ndimage.zoom(streaks, ratio, order=1, grid_mode=True, mode="nearest")
    return np.asarray(streaks * (1 - np.minimum(metal, 1)))  # metal itself stays at the end of the scale
