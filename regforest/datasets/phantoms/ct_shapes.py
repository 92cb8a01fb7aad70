"""Shapes that the CT phantom is made of, written as rows for the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.datasets.phantoms.ct_kernels import BODY, BOX, CAPSULE, COLUMN, ELLIPSOID, FIRST_PARAMETER, SHELL

__all__ = ["TABLE_STEP_MM", "ShapeList"]

FloatArray = NDArray[np.float64]

TABLE_STEP_MM = 3.0
"""Distance along z between the ovals of a column."""

_PIECE_ROWS = 8
_ROW_LENGTH = FIRST_PARAMETER + 20
_UPRIGHT = np.eye(3)


class ShapeList:
    """Shapes in painting order, in LPS millimetres of one person.

    Parameters
    ----------
    heights_mm : ndarray, shape (n,)
        Falling z positions, `TABLE_STEP_MM` apart, at which columns are described.
    """

    def __init__(self, heights_mm: FloatArray) -> None:
        self.heights_mm = heights_mm
        self._rows: list[FloatArray] = []
        self._tables: list[FloatArray] = []

    def rows(self) -> FloatArray:
        """All shapes, shape (n, row length)."""
        return np.array(self._rows).reshape(-1, _ROW_LENGTH)

    def tables(self) -> FloatArray:
        """Ovals of all columns: shape (columns, heights, 5): centre x, y, half widths along x, y, squareness."""
        return np.array(self._tables).reshape(-1, len(self.heights_mm), 5)

    def _add(self, kind: int, material: int, low: FloatArray, high: FloatArray, parameters: Sequence[Any]) -> None:
        row = np.zeros(_ROW_LENGTH)
        row[:2] = kind, material
        row[2:5], row[5:8] = low, high
        flat = np.concatenate([np.ravel(np.asarray(value, dtype=np.float64)) for value in parameters])
        row[FIRST_PARAMETER : FIRST_PARAMETER + len(flat)] = flat
        self._rows.append(row)

    def capsule(
        self,
        material: int,
        a: ArrayLike,
        b: ArrayLike,
        radius_a: float,
        radius_b: float | None = None,
        *,
        thin_along: ArrayLike = (1.0, 0.0, 0.0),
        thin: float = 1.0,
    ) -> None:
        """Cone with round ends from `a` to `b`; `thin` > 1 flattens it along a unit direction."""
        start, end = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        other = radius_a if radius_b is None else radius_b
        reach = max(radius_a, other)
        low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
        self._add(CAPSULE, material, low, high, [start, end, radius_a, other, thin_along, thin])

    def chain(self, material: int, points: ArrayLike, radii: ArrayLike, **thinning: object) -> None:
        """Capsules from point to point."""
        place = np.asarray(points, dtype=np.float64)
        radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(place))
        for i in range(len(place) - 1):
            self.capsule(material, place[i], place[i + 1], radius[i], radius[i + 1], **thinning)  # type: ignore[arg-type]

    def ellipsoid(self, material: int, centre: ArrayLike, radii: ArrayLike, axes: FloatArray = _UPRIGHT) -> None:
        """Ellipsoid; the columns of `axes` (3, 3) are its axes."""
        middle, size = np.asarray(centre, dtype=np.float64), np.asarray(radii, dtype=np.float64)
        reach = np.sqrt(((axes * size) ** 2).sum(axis=1))
        self._add(ELLIPSOID, material, middle - reach, middle + reach, [middle, axes[:, 0], axes[:, 1], size])

    def box(
        self, material: int, centre: ArrayLike, half: ArrayLike, axes: FloatArray = _UPRIGHT, rounding: float = 1.0
    ) -> None:
        """Box with rounded edges; half edge lengths along the columns of `axes`."""
        middle, size = np.asarray(centre, dtype=np.float64), np.asarray(half, dtype=np.float64)
        reach = np.abs(axes * size).sum(axis=1)
        self._add(BOX, material, middle - reach, middle + reach, [middle, axes[:, 0], axes[:, 1], size, rounding])

    def body(
        self,
        material: int,
        centre: ArrayLike,
        axes: FloatArray,
        half: ArrayLike,
        *,
        concavity_mm: float,
        wedge: float = 0.0,
        waist: float = 0.08,
        notch: float = 0.08,
    ) -> None:
        """Vertebral body or disc: half width, depth and height; `wedge` is the share of height lost in front."""
        middle, size = np.asarray(centre, dtype=np.float64), np.asarray(half, dtype=np.float64)
        reach = np.abs(axes * (size + max(0.0, -concavity_mm))).sum(axis=1)
        parameters = [middle, axes[:, 0], axes[:, 1], size, concavity_mm, wedge, waist, notch]
        self._add(BODY, material, middle - reach, middle + reach, parameters)

    def shell(
        self,
        material: int,
        centre: ArrayLike,
        radii: ArrayLike,
        thickness: float,
        cut_normal: ArrayLike,
        cut_mm: float,
        axes: FloatArray = _UPRIGHT,
    ) -> None:
        """Outer `thickness` of an ellipsoid, where (p - centre) . cut_normal < cut_mm."""
        middle, size = np.asarray(centre, dtype=np.float64), np.asarray(radii, dtype=np.float64)
        reach = np.sqrt(((axes * size) ** 2).sum(axis=1))
        parameters = [middle, axes[:, 0], axes[:, 1], size, thickness, cut_normal, cut_mm]
        self._add(SHELL, material, middle - reach, middle + reach, parameters)

    def column(
        self,
        material: int,
        x: ArrayLike,
        y: ArrayLike,
        half_x: ArrayLike,
        half_y: ArrayLike,
        *,
        square: float = 0.0,
        above_dome: ArrayLike = (0.0, 0.0, 0.0, 0.0),
    ) -> None:
        """Stack of ovals given at `heights_mm`; where a half width is not positive there is nothing.

        above_dome: x, y, z of the top of a paraboloid and its curvature (1 / mm); only what lies above it is kept.
        """
        count = len(self.heights_mm)
        table = np.stack(
            [np.broadcast_to(np.asarray(v, float), count) for v in (x, y, half_x, half_y, square)], axis=1
        )
        present = (table[:, 2] >= 0.5) & (table[:, 3] >= 0.5)
        for start in range(0, count - 1, _PIECE_ROWS):
            rows = slice(start, min(start + _PIECE_ROWS, count - 1) + 1)
            if present[rows].any():
                self._add_piece(material, table[rows], self.heights_mm[rows], above_dome)
        self._tables.append(table)

    def _add_piece(self, material: int, table: FloatArray, heights: FloatArray, above_dome: ArrayLike) -> None:
        """Add a stretch of a column: pieces have small bounding boxes, which saves most of the time."""
        reach = np.maximum(table[:, 2:4], 0)
        low = np.append((table[:, :2] - reach).min(axis=0), heights[-1])
        high = np.append((table[:, :2] + reach).max(axis=0), heights[0])
        self._add(COLUMN, material, low, high, [len(self._tables), above_dome, heights[0], heights[-1]])
