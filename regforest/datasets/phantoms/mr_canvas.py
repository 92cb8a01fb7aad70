"""Painting shapes into an image: distances to them in millimetres, blended over the width of a voxel.

A voxel that a border cuts gets both tissues' signals by its share in each: partial volume without a finer grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from regforest.datasets.phantoms.mr_anatomy import Body, Disc, DiscShape, Frame
from regforest.spatial import Grid, Volume

__all__ = ["Canvas", "Window", "body_distance", "disc_distance", "smooth_noise", "window_around"]

FloatArray = NDArray[np.float64]
Field = NDArray[np.float32]

_CORNER_MM = 1.6  # radius of rounded rims
_FAR_MM = 99.0


@dataclass(frozen=True)
class Window:
    """A block of a grid.

    Attributes
    ----------
    grid : Grid
        The whole grid.
    slices : tuple of slice
        The block, (z, y, x).
    """

    grid: Grid
    slices: tuple[slice, slice, slice]

    def within(self, other: Window) -> tuple[slice, slice, slice]:
        """Slices of this block in an array that covers another, larger block."""
        z, y, x = (
            slice(own.start - whole.start, own.stop - whole.start)
            for own, whole in zip(self.slices, other.slices, strict=True)
        )
        return z, y, x

    def local(self, frame: Frame) -> tuple[Field, Field, Field]:
        """Coordinates of the block's voxels in a frame (left, back, up), millimetres; three arrays (z, y, x)."""
        steps = frame.axes @ self.grid.matrix[:3, :3]
        start = frame.axes @ (self.grid.matrix[:3, 3] - frame.centre_lps_mm)
        z, y, x = np.ogrid[self.slices]
        u, v, w = (
            (row[0] * x + row[1] * y + (row[2] * z + offset)).astype(np.float32)
            for row, offset in zip(steps, start, strict=True)
        )
        return u, v, w


def window_around(grid: Grid, points_lps_mm: ArrayLike, reach_mm: float) -> Window | None:
    """Return the smallest block that holds all that is at most `reach_mm` from the points; None outside the grid."""
    index = grid.lps_to_index(np.asarray(points_lps_mm, dtype=np.float64).reshape(-1, 3))
    margin = reach_mm / grid.spacing_mm
    low = np.maximum(0, np.floor(index.min(axis=0) - margin)).astype(int)
    high = np.minimum(grid.size_xyz, np.ceil(index.max(axis=0) + margin) + 1).astype(int)
    if (high <= low).any():
        return None
    x, y, z = (slice(int(first), int(last)) for first, last in zip(low, high, strict=True))
    return Window(grid, (z, y, x))


class Canvas:
    """An image with several channels, painted from back to front.

    Parameters
    ----------
    grid : Grid
        Where the image lies.
    channels : int
        Number of signals of a tissue.
    blur_mm : float
        Width over which a border is blended: about the voxels' size.
    """

    def __init__(self, grid: Grid, channels: int, blur_mm: float) -> None:
        self.grid = grid
        self.signals = np.zeros((channels, *grid.shape_zyx), np.float32)
        self._blur_mm = blur_mm
        self._world = Frame(np.zeros(3), np.eye(3))

    def coordinates(self) -> tuple[Field, Field, Field]:
        """LPS x, y and z of all voxels, millimetres."""
        return self.everything().local(self._world)

    def everything(self) -> Window:
        """Return the whole grid as a window."""
        z, y, x = self.grid.shape_zyx
        return Window(self.grid, (slice(0, z), slice(0, y), slice(0, x)))

    def paint(self, window: Window, distance_mm: Field, tissue: ArrayLike, texture: Field | None = None) -> None:
        """Blend a tissue in where the distance to its border (negative inside) says so.

        Parameters
        ----------
        window : Window
            Block that the other arrays belong to.
        distance_mm : ndarray of float32
            Signed distance to the border.
        tissue : array_like, shape (channels,)
            Signals.
        texture : ndarray of float32, optional
            Signals are multiplied by it.
        """
        share = self.coverage(distance_mm)
        for signal, value in zip(self.signals, np.asarray(tissue, dtype=np.float32), strict=True):
            block = signal[window.slices]
            block += share * ((value if texture is None else value * texture) - block)

    def coverage(self, distance_mm: Field) -> Field:
        """Share of a voxel inside a border at this signed distance from its centre."""
        return np.asarray(np.clip(np.float32(0.5) - distance_mm / np.float32(self._blur_mm), 0, 1))

    def paint_tubes(
        self,
        paths: Sequence[ArrayLike],
        radii_mm: Sequence[ArrayLike],
        tissue: ArrayLike,
        *,
        flat: float = 1.0,
        texture: Field | None = None,
    ) -> None:
        """Paint tubes with round ends along paths.

        Parameters
        ----------
        paths : sequence of array_like, shape (n, 3)
            LPS millimetres.
        radii_mm : sequence of array_like, shape (n,)
            Radius at each point, in the front-back direction.
        tissue, texture
            As for `paint`; the texture covers the whole grid.
        flat : float
            Width from left to right over depth.
        """
        rows = [np.column_stack([path, radii]) for path, radii in zip(paths, radii_mm, strict=True)]
        margin = 2 * self._blur_mm
        every = np.concatenate(rows)
        whole = window_around(self.grid, every[:, :3], every[:, 3].max() * max(flat, 1.0) + margin)
        if whole is None:
            return
        field = np.full([part.stop - part.start for part in whole.slices], _FAR_MM, np.float32)
        for start, end in (pair for row in rows for pair in itertools.pairwise(row)):
            reach = max(start[3], end[3]) * max(flat, 1.0) + margin
            window = window_around(self.grid, [start[:3], end[:3]], reach)
            if window is not None:
                block = field[window.within(whole)]
                np.minimum(block, _cone(window, start, end, flat), out=block)
        self.paint(whole, field, tissue, None if texture is None else texture[whole.slices])


def disc_distance(disc: Disc, window: Window) -> Field:
    """Signed distance (approximate, exact at the border) to a disc, millimetres; negative inside."""
    u, v, w = window.local(disc.frame)
    upper, lower = _surfaces(disc.shape, u, v)
    half = (upper + lower) / 2
    level = np.clip((w - (upper - lower) / 2) / np.maximum(half, 0.5), -1, 1)
    side = _outline_distance(disc.shape, u, v) - np.float32(disc.shape.bulge_mm) * (1 - level**2)
    return _rounded(np.maximum(w - upper, -w - lower), side.astype(np.float32))


def body_distance(body: Body, window: Window, endplate_mm: float) -> Field:
    """Signed distance to a vertebral body whose ends stay `endplate_mm` away from the discs, millimetres."""
    top, bottom = _gap(body.above, window, up=False), _gap(body.below, window, up=True)
    ends = np.maximum(top, bottom) + np.float32(endplate_mm)
    share = np.clip(top / np.minimum(top + bottom, -1.0), 0, 1)  # 0 at the upper end, 1 at the lower
    u, v, _ = window.local(body.frame)
    at_top, at_bottom = (body.frame.local(disc.frame.centre_lps_mm) for disc in (body.above, body.below))
    near_top, near_bottom = np.maximum(1 - 2 * share, 0), np.maximum(2 * share - 1, 0)
    u -= near_top * np.float32(at_top[0]) + near_bottom * np.float32(at_bottom[0])
    v -= near_top * np.float32(at_top[1]) + near_bottom * np.float32(at_bottom[1])
    wall = (1 - share) * _outline_distance(body.above.shape, u, v) + share * _outline_distance(body.below.shape, u, v)
    waist_mm = body.waist * (body.above.shape.half_depth_mm + body.below.shape.half_depth_mm) / 2
    return _rounded(ends, wall + np.float32(0.8) + np.float32(waist_mm) * (1 - (2 * share - 1) ** 2))


def smooth_noise(rng: np.random.Generator, grid: Grid, scale_mm: float) -> Field:
    """Draw a smooth random field of mean 0 and deviation 1 that varies over about `scale_mm`."""
    step_mm = scale_mm / 1.6
    half = grid.extent_mm / 2
    shape = np.ceil(grid.extent_mm[::-1] / step_mm).astype(int) + 4
    centre = grid.index_to_lps((np.array(grid.size_xyz) - 1) / 2)
    origin = centre - grid.direction @ (half + 1.5 * step_mm)
    knots = Grid.from_parts(shape.tolist(), [step_mm] * 3, origin, grid.direction)
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 0.8)
    field: Field = Volume(coarse, knots).resampled(grid).voxels
    return np.asarray(field / field.std())


def _gap(disc: Disc, window: Window, up: bool) -> Field:
    """Height over a disc's upper surface, or depth under its lower one; negative away from the disc."""
    u, v, w = window.local(disc.frame)
    upper, lower = _surfaces(disc.shape, u, v)
    return upper - w if up else w + lower


def _surfaces(shape: DiscShape, u: Field, v: Field) -> tuple[Field, Field]:
    """Height of the upper and depth of the lower surface over the disc's middle plane, millimetres."""
    back = np.float32(0.12 * shape.half_depth_mm)  # the surfaces are hollowest behind the middle
    radius = (u / np.float32(shape.half_width_mm)) ** 2 + ((v - back) / np.float32(shape.half_depth_mm)) ** 2
    dome = np.clip(1 - radius, -0.3, 1)
    lean = 1 - np.float32(shape.wedge) * np.clip(v / np.float32(shape.half_depth_mm), -1.2, 1.2)
    rim = np.float32(shape.rim_mm / 2) * lean
    return rim + np.float32(shape.rise_mm[0]) * dome, rim + np.float32(shape.rise_mm[1]) * dome


def _outline_distance(shape: DiscShape, u: Field, v: Field) -> Field:
    """Distance along the ray from the middle to the outline, negative inside."""
    hollow = shape.dent_mm * np.exp(-((u / np.float32(0.35 * shape.half_width_mm)) ** 2))
    v = v + np.where(v > 0, hollow * np.minimum(v / np.float32(0.5 * shape.half_depth_mm), 1), 0)
    a, b = np.float32(shape.half_width_mm), np.float32(shape.half_depth_mm)
    relative = (np.abs(u / a) ** np.float32(2.4) + np.abs(v / b) ** np.float32(2.4)) ** np.float32(1 / 2.4)
    turn = np.arctan2(v, u)
    wave = sum(
        np.float32(c) * np.cos(k * turn) + np.float32(s) * np.sin(k * turn)
        for k, (c, s) in enumerate(shape.outline, start=2)
    )
    relative = np.maximum(relative / (1 + wave), np.float32(1e-3))
    return np.asarray(np.hypot(u, v) * (1 - 1 / relative), dtype=np.float32)


def _rounded(first: Field, second: Field) -> Field:
    """Signed distance to the intersection of two shapes, with a rounded edge."""
    a, b = first + np.float32(_CORNER_MM), second + np.float32(_CORNER_MM)
    outside = np.hypot(np.maximum(a, 0), np.maximum(b, 0))
    return np.asarray(outside + np.minimum(np.maximum(a, b), 0) - np.float32(_CORNER_MM), dtype=np.float32)


def _cone(window: Window, start: FloatArray, end: FloatArray, flat: float) -> Field:
    """Distance to a cone with round ends between two points (x, y, z, radius)."""
    x, y, z = window.local(Frame(start[:3], np.diag([1 / flat, 1, 1])))
    axis = (end - start) / [flat, 1, 1, 1]
    a, b, c, growth = axis.astype(np.float32)
    length = np.float32(max(float(axis[:3] @ axis[:3]), 1e-6))
    along = np.clip((x * a + y * b + z * c) / length, 0, 1)
    away = np.sqrt((x - along * a) ** 2 + (y - along * b) ** 2 + (z - along * c) ** 2)
    return np.asarray(away - (np.float32(start[3]) + along * growth))
