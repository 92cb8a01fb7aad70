"""Cuts along the curve of the spine: a scoliotic spine leaves every flat slice.

The sagittal cut follows the spine from left to right: each row shows the voxels at the x of the spine at this height.
The coronal cut follows it from front to back. Heights and the other direction stay as they are, so that kyphosis is
seen in the sagittal picture and scoliosis in the coronal one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy import ndimage

from regforest.spatial import Volume

__all__ = ["CurvedCut", "Masks", "coronal_cut", "outlines", "sagittal_cut"]

FloatArray = NDArray[np.float64]
_SLAB_MM = (-2.0, 0.0, 2.0)  # averaged across the picture's plane, against noise
_MARGIN_MM = 60.0  # shown in front of, behind and beside the points
_STEP_MM, _MOST_ROWS = 0.8, 600  # the pixels are larger where the volume is higher than 480 mm


@dataclass(frozen=True)
class Masks:
    """A label image and the names of its values.

    Attributes
    ----------
    labels : Volume
        Integers, 0 where there is nothing.
    names : mapping of int to str
        Value -> level.
    """

    labels: Volume
    names: Mapping[int, str]


@dataclass(frozen=True)
class CurvedCut:
    """Where a picture along the spine takes its pixels from.

    Attributes
    ----------
    points_lps_mm : ndarray, shape (rows, columns, 3)
        First row cranial; columns from front to back, or from the patient's right to left.
    axis : int
        The world axis that runs along the columns: 0 (x, coronal) or 1 (y, sagittal).
    """

    points_lps_mm: FloatArray
    axis: int

    @property
    def across_mm(self) -> FloatArray:
        """World coordinate of each column, increasing."""
        across: FloatArray = self.points_lps_mm[0, :, self.axis]
        return across

    @property
    def heights_mm(self) -> FloatArray:
        """World z of each row, decreasing."""
        heights: FloatArray = self.points_lps_mm[:, 0, 2]
        return heights

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        """Outer edges of the pixels: left, right, bottom, top."""
        half = (self.across_mm[1] - self.across_mm[0]) / 2
        x, z = self.across_mm, self.heights_mm
        return float(x[0] - half), float(x[-1] + half), float(z[-1] - half), float(z[0] + half)

    def grey(self, volume: Volume) -> FloatArray:
        """Average the volume over a thin slab around the cut, shape (rows, columns); edges are repeated."""
        offsets = np.zeros((len(_SLAB_MM), 1, 1, 3))
        offsets[:, 0, 0, 1 - self.axis] = _SLAB_MM
        slab = [_sampled(volume, self.points_lps_mm + offset, order=1) for offset in offsets]
        return np.asarray(np.mean(slab, axis=0))

    def labels(self, masks: Masks) -> NDArray[np.int64]:
        """Return the nearest label at each pixel, shape (rows, columns)."""
        return _sampled(masks.labels, self.points_lps_mm, order=0).astype(np.int64)


def sagittal_cut(volume: Volume, spine_lps_mm: FloatArray, shown_lps_mm: FloatArray | None = None) -> CurvedCut:
    """Cut along the spine from front to back.

    Parameters
    ----------
    volume : Volume
        Of any orientation and spacing.
    spine_lps_mm : ndarray, shape (N, 3)
        On the spine, in any order; without points the middle of the volume is cut.
    shown_lps_mm : ndarray, shape (M, 3), optional
        Further points that the picture must hold.
    """
    return _cut(volume, spine_lps_mm, shown_lps_mm, 1)


def coronal_cut(volume: Volume, spine_lps_mm: FloatArray, shown_lps_mm: FloatArray | None = None) -> CurvedCut:
    """Cut along the spine from right to left; parameters as of `sagittal_cut`."""
    return _cut(volume, spine_lps_mm, shown_lps_mm, 0)


def outlines(cut: CurvedCut, masks: Masks) -> list[tuple[str, FloatArray]]:
    """Return the outline of each labelled structure: its name, and points (N, 2), across and height in mm."""
    labels = np.pad(cut.labels(masks), 1)
    step = cut.across_mm[1] - cut.across_mm[0]
    corner = np.array([cut.across_mm[0] - step, cut.heights_mm[0] + step])
    found = []
    for value in np.unique(labels[labels > 0]):
        name = masks.names.get(int(value), str(value))
        lines = contour_generator(z=(labels == value).astype(float)).lines(0.5)
        found += [(name, corner + np.asarray(line) * (step, -step)) for line in lines]
    return found


def _cut(volume: Volume, spine: FloatArray, shown: FloatArray | None, axis: int) -> CurvedCut:
    corners = volume.grid.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = max(_STEP_MM, float(high[2] - low[2]) / _MOST_ROWS)
    z = np.arange(high[2], low[2] - step, -step)
    curve = spine[np.argsort(spine[:, 2], kind="stable")] if len(spine) else (low + high)[None] / 2
    held = spine if shown is None else np.concatenate([spine, shown])
    if len(held):
        low, high = np.maximum(low, held.min(axis=0) - _MARGIN_MM), np.minimum(high, held.max(axis=0) + _MARGIN_MM)
    across = np.arange(low[axis], max(high[axis], low[axis]) + step, step)
    points = np.empty((len(z), max(len(across), 2), 3))
    points[..., 2] = z[:, None]
    points[..., 1 - axis] = np.interp(z, curve[:, 2], curve[:, 1 - axis])[:, None]
    points[..., axis] = low[axis] + step * np.arange(points.shape[1])
    return CurvedCut(points, axis)


def _sampled(volume: Volume, points_lps_mm: FloatArray, order: int) -> FloatArray:
    index = volume.grid.lps_to_index(points_lps_mm.reshape(-1, 3))[:, ::-1]
    values = ndimage.map_coordinates(volume.voxels, index.T, output=np.float64, order=order, mode="nearest")
    return np.asarray(values).reshape(points_lps_mm.shape[:-1])
