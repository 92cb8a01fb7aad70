"""How the method looks at an image: levelled intensities on a turned, mirrored or scaled grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from regforest.errors import DataError
from regforest.spatial import Grid, Volume
from regforest.spatial._kernels import interpolate_affine

__all__ = ["Scene", "View", "box_grid", "chain_frames", "interpolated", "turned", "turned_axes"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class View:
    """Levelled channels on one grid.

    Attributes
    ----------
    voxels : ndarray of float32, shape (channels, z, y, x)
        Intensities with local mean 0 and local deviation about 1.
    grid : Grid
        Where the voxels lie; it may be mirrored, and a little larger or smaller than it pretends.
    spacing_mm : float
        Nominal spacing: lengths in the view are voxels times this.
    """

    voxels: NDArray[np.float32]
    grid: Grid
    spacing_mm: float

    def to_view(self, points_lps_mm: ArrayLike) -> FloatArray:
        """Map LPS millimetres to millimetres in the view, from its first voxel; shape (..., 3)."""
        return self.grid.lps_to_index(points_lps_mm) * self.spacing_mm

    def to_lps(self, points_mm: ArrayLike) -> FloatArray:
        """Map millimetres in the view to LPS millimetres; shape (..., 3)."""
        return self.grid.index_to_lps(np.asarray(points_mm) / self.spacing_mm)

    @property
    def extent_mm(self) -> FloatArray:
        """Largest coordinates (x, y, z) in the view."""
        return (np.asarray(self.grid.size_xyz) - 1.0) * self.spacing_mm


class Scene:
    """One scan, ready to be looked at: canonical axes, channels levelled in brightness and contrast.

    Parameters
    ----------
    channels : mapping of str to Volume
        Aligned images on one grid.
    spacing_mm : float
        Spacing of the coarse view of the whole volume.
    normalise_mm : float
        Radius of the Gaussian window in which mean and deviation are levelled.

    Raises
    ------
    DataError
        If there is no channel, the grids differ, an image is not 3-D, or values are not finite.
    """

    def __init__(self, channels: Mapping[str, Volume], spacing_mm: float, normalise_mm: float) -> None:
        _check(channels)
        self.input_grid = next(iter(channels.values())).grid
        self.channels = [_canonical(volume) for volume in channels.values()]
        coarse_grid = self.channels[0].grid.isotropic(spacing_mm)
        coarse = [volume.resampled(coarse_grid) for volume in self.channels]
        levels = [_local_levels(volume.voxels, normalise_mm / spacing_mm) for volume in coarse]
        self.means = [Volume(mean, coarse_grid) for mean, _ in levels]
        self.deviations = [Volume(deviation, coarse_grid) for _, deviation in levels]
        voxels = [(v.voxels - mean) / deviation for v, (mean, deviation) in zip(coarse, levels, strict=True)]
        self.coarse = View(np.stack(voxels), coarse_grid, spacing_mm)
        self.is_constant = all(float(np.ptp(volume.voxels)) == 0.0 for volume in self.channels)

    @property
    def axes(self) -> FloatArray:
        """Orthogonal directions of the canonical image axes, LPS, in columns."""
        return self.coarse.grid.direction

    @property
    def field_centre_mm(self) -> FloatArray:
        """Centre of the field of view along `axes`."""
        grid = self.coarse.grid
        return np.asarray(grid.index_to_lps((np.asarray(grid.size_xyz) - 1) / 2) @ self.axes)

    @property
    def field_extent_mm(self) -> float:
        """Height of the field of view (z of the canonical axes)."""
        return float(self.coarse.grid.extent_mm[2])

    def coarse_view(self, grid: Grid) -> View:
        """Look at the coarse volume through another grid, which pretends to have the coarse spacing."""
        voxels = [interpolated(Volume(channel, self.coarse.grid), grid) for channel in self.coarse.voxels]
        return View(np.stack(voxels), grid, self.coarse.spacing_mm)

    def view(self, grid: Grid, spacing_mm: float) -> View:
        """Look at the original voxels through a small grid, which pretends to have the spacing given."""
        voxels = [
            (interpolated(volume, grid) - interpolated(mean, grid)) / interpolated(deviation, grid)
            for volume, mean, deviation in zip(self.channels, self.means, self.deviations, strict=True)
        ]
        return View(np.stack(voxels), grid, spacing_mm)


def box_grid(centre_lps_mm: ArrayLike, axes: FloatArray, half_xyz: ArrayLike, spacing_mm: float) -> Grid:
    """Return the grid of 2 half + 1 voxels along each axis (columns of `axes`) around a centre."""
    half = np.asarray(half_xyz, dtype=int)
    matrix = np.eye(4)
    matrix[:3, :3] = axes * spacing_mm
    matrix[:3, 3] = np.asarray(centre_lps_mm) - matrix[:3, :3] @ half
    return Grid((2 * half[::-1] + 1).tolist(), matrix)


def turned(grid: Grid, degrees: float, scale: float, *, mirrored: bool) -> Grid:
    """Turn a grid about its centre in the y-z plane (sagittal), scale it and mirror its x axis."""
    steps = turned_axes(grid.matrix[:3, :3], degrees, mirrored=mirrored) * scale
    middle = (np.asarray(grid.size_xyz) - 1) / 2
    matrix = np.eye(4)
    matrix[:3, :3] = steps
    matrix[:3, 3] = grid.index_to_lps(middle) - steps @ middle
    return Grid(grid.shape_zyx, matrix)


def turned_axes(axes: FloatArray, degrees: float, *, mirrored: bool) -> FloatArray:
    """Turn axes (in columns) in their own y-z plane (sagittal) and mirror the first."""
    angle = np.deg2rad(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.asarray(axes @ turn * np.array([-1.0 if mirrored else 1.0, 1.0, 1.0]))


def _check(channels: Mapping[str, Volume]) -> None:
    if not channels:
        raise DataError("expected at least one channel, got none")
    (first, reference), *others = channels.items()
    for name, volume in others:
        if not volume.grid.is_close(reference.grid, tolerance_mm=1e-2):
            raise DataError(
                f"channels {first!r} and {name!r} lie on different grids; resample them to one grid first"
            )
    for name, volume in channels.items():
        if min(volume.grid.shape_zyx) < 2:
            shape = volume.grid.shape_zyx
            raise DataError(f"channel {name!r} is not a 3-D image: shape {shape} (z, y, x); give the whole stack")
        if not np.isfinite(volume.voxels).all():
            raise DataError(f"channel {name!r} holds values that are not finite")


def _canonical(volume: Volume) -> Volume:
    canonical = volume.canonical()
    return Volume(canonical.voxels.astype(np.float32), canonical.grid)


def _local_levels(voxels: NDArray[np.float32], sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Local mean and deviation; the deviation has a floor so that air stays flat."""
    mean = ndimage.gaussian_filter(voxels, sigma, mode="nearest", truncate=2.5)
    square = ndimage.gaussian_filter(voxels * voxels, sigma, mode="nearest", truncate=2.5)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    floor = 0.25 * float(np.sqrt(np.mean(deviation**2))) or 1.0
    return mean, np.hypot(deviation, floor).astype(np.float32)


def interpolated(volume: Volume, grid: Grid) -> NDArray[np.float32]:
    """Interpolate a float32 volume linearly on any grid (no smoothing); the edge repeats beyond the border."""
    to_source = np.linalg.inv(volume.grid.matrix) @ grid.matrix
    out = np.empty(grid.shape_zyx, np.float32)
    interpolate_affine(volume.voxels, np.ascontiguousarray(to_source[:3]), 0, len(out), out)
    return out


def chain_frames(points_lps_mm: Mapping[str, FloatArray], axes: FloatArray) -> dict[str, FloatArray]:
    """Give each structure of a chain its own axes: z up along the chain, x nearest to the image's x.

    Parameters
    ----------
    points_lps_mm : mapping of str to ndarray, shape (3,)
        Centres from cranial to caudal.
    axes : ndarray, shape (3, 3)
        Canonical axes of the image in columns, the answer for a single structure.

    Returns
    -------
    dict of str to ndarray, shape (3, 3)
        Orthonormal axes in columns.
    """
    names = list(points_lps_mm)
    frames = {}
    for i, name in enumerate(names):
        above, below = points_lps_mm[names[max(i - 1, 0)]], points_lps_mm[names[min(i + 1, len(names) - 1)]]
        up = axes[:, 2] if len(names) == 1 else above - below
        up = up / np.linalg.norm(up)
        across = axes[:, 0] - up * (axes[:, 0] @ up)
        across = across / np.linalg.norm(across)
        frames[name] = np.stack([across, np.cross(up, across), up], axis=1)
    return frames
