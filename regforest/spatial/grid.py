"""Where voxels lie: the map between voxel indices and LPS millimetres."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError

__all__ = ["Grid"]

FloatArray = NDArray[np.float64]

_LARGEST_MM, _LARGEST_MM3 = 3000.0, 2e9  # a scan of a whole body has 2000 mm and 1e9 mm3


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels in the LPS world frame.

    Any invertible matrix will do, sheared ones included; `is_orthogonal` tells. Arrays on the grid are
    indexed ``(z, y, x)``; points are ``(x, y, z)`` in LPS millimetres.

    Parameters
    ----------
    shape_zyx : tuple of int
        Number of voxels along z, y and x (x varies fastest in memory).
    matrix : array_like of float, shape (4, 4)
        Maps a homogeneous voxel index ``(x, y, z, 1)`` to LPS millimetres. The integer index is the voxel's centre.

    Raises
    ------
    DataError
        If the shape is not three positive numbers or the matrix is not finite and invertible.

    Examples
    --------
    >>> grid = Grid.from_parts((10, 20, 30), spacing_mm=(0.5, 0.5, 2.0), origin_mm=(-5, 0, 100))
    >>> grid.index_to_lps([[1, 0, 2]])
    array([[ -4.5,   0. , 104. ]])
    """

    shape_zyx: tuple[int, int, int]
    matrix: FloatArray

    def __init__(self, shape_zyx: Sequence[int], matrix: ArrayLike) -> None:
        shape = tuple(int(n) for n in shape_zyx)
        affine = np.array(matrix, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise DataError(f"a grid needs three positive sizes (z, y, x), got {shape}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise DataError(f"a grid needs a finite, invertible 4 x 4 matrix, got {affine.tolist()}")
        affine.setflags(write=False)
        object.__setattr__(self, "shape_zyx", shape)
        object.__setattr__(self, "matrix", affine)

    @classmethod
    def from_parts(
        cls,
        shape_zyx: Sequence[int],
        spacing_mm: ArrayLike = (1.0, 1.0, 1.0),
        origin_mm: ArrayLike = (0.0, 0.0, 0.0),
        direction: ArrayLike | None = None,
    ) -> Grid:
        """Build a grid as ITK describes one.

        Parameters
        ----------
        shape_zyx : sequence of int
            Number of voxels along z, y, x.
        spacing_mm, origin_mm : array_like, shape (3,)
            Spacing along the x, y, z axes and LPS position of the first voxel's centre.
        direction : array_like, shape (3, 3), optional
            Columns are the LPS directions of the x, y, z axes; identity by default.
        """
        matrix = np.eye(4)
        axes = np.eye(3) if direction is None else np.asarray(direction, dtype=np.float64).reshape(3, 3)
        matrix[:3, :3] = axes * np.asarray(spacing_mm, dtype=np.float64)
        matrix[:3, 3] = np.asarray(origin_mm, dtype=np.float64)
        return cls(shape_zyx, matrix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.is_close(other, tolerance_mm=0.0)

    def __hash__(self) -> int:
        return hash((self.shape_zyx, self.matrix.tobytes()))

    @property
    def size_xyz(self) -> tuple[int, int, int]:
        """Number of voxels along x, y, z."""
        z, y, x = self.shape_zyx
        return x, y, z

    @property
    def spacing_mm(self) -> FloatArray:
        """Spacing along the x, y, z axes, shape (3,)."""
        return np.asarray(np.linalg.norm(self.matrix[:3, :3], axis=0))

    @property
    def origin_mm(self) -> FloatArray:
        """LPS position of the first voxel's centre, shape (3,)."""
        return self.matrix[:3, 3].copy()

    @property
    def direction(self) -> FloatArray:
        """Unit LPS directions of the x, y, z axes in the columns, shape (3, 3)."""
        return np.asarray(self.matrix[:3, :3] / self.spacing_mm)

    @property
    def extent_mm(self) -> FloatArray:
        """Edge lengths of the field of view along x, y, z, shape (3,)."""
        return np.asarray(self.spacing_mm * np.asarray(self.size_xyz))

    @property
    def is_orthogonal(self) -> bool:
        """Whether the axes are perpendicular (to 1e-4), so that ITK formats can hold the grid."""
        return bool(np.abs(self.direction.T @ self.direction - np.eye(3)).max() < 1e-4)

    @property
    def axis_code(self) -> str:
        """Nearest anatomical directions of the x, y, z axes, ``"LPS"`` for a canonical grid."""
        axes, signs = nearest_axes(self.direction)
        return "".join(("LPS" if sign > 0 else "RAI")[axis] for axis, sign in zip(axes, signs, strict=True))

    def index_to_lps(self, index_xyz: ArrayLike) -> FloatArray:
        """Map voxel indices (x, y, z), fractions allowed, to LPS millimetres; shape (..., 3)."""
        return np.asarray(np.asarray(index_xyz, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def lps_to_index(self, points_lps_mm: ArrayLike) -> FloatArray:
        """Map LPS millimetres to voxel indices (x, y, z), fractions included; shape (..., 3)."""
        shifted = np.asarray(points_lps_mm, dtype=np.float64) - self.matrix[:3, 3]
        return np.asarray(shifted @ np.linalg.inv(self.matrix[:3, :3]).T)

    def contains(self, points_lps_mm: ArrayLike, margin_mm: float = 0.0) -> NDArray[np.bool_]:
        """Tell which points (N, 3) lie inside the field of view, or at most `margin_mm` outside it."""
        index = self.lps_to_index(points_lps_mm)
        slack = 0.5 + margin_mm / self.spacing_mm
        return np.asarray(((index >= -slack) & (index <= np.asarray(self.size_xyz) - 1 + slack)).all(axis=-1))

    def corners_lps_mm(self) -> FloatArray:
        """LPS positions of the centres of the eight corner voxels, shape (8, 3)."""
        last = np.asarray(self.size_xyz) - 1
        return self.index_to_lps([np.array(corner) * last for corner in itertools.product((0, 1), repeat=3)])

    def is_close(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Tell whether two grids have one shape and corners no further apart than the tolerance."""
        if self.shape_zyx != other.shape_zyx:
            return False
        return bool(np.abs(self.corners_lps_mm() - other.corners_lps_mm()).max() <= tolerance_mm)

    def cropped(self, start_xyz: ArrayLike, shape_zyx: Sequence[int]) -> Grid:
        """Return the grid of a block of voxels that starts at index `start_xyz` (negative to pad)."""
        matrix = self.matrix.copy()
        matrix[:3, 3] = self.index_to_lps(start_xyz)
        return Grid(shape_zyx, matrix)

    def canonical(self) -> Grid:
        """Return the grid of the same voxels with its axes in the order and direction nearest to LPS."""
        axes, signs = nearest_axes(self.direction)
        steps, last = self.matrix[:3, :3] * signs, np.asarray(self.size_xyz) - 1
        matrix = np.eye(4)
        matrix[:3, axes] = steps
        matrix[:3, 3] = self.index_to_lps(np.where(np.asarray(signs) < 0, last, 0))
        return Grid([self.size_xyz[axes.index(world)] for world in (2, 1, 0)], matrix)

    def isotropic(self, spacing_mm: float) -> Grid:
        """Return an orthogonal grid of one spacing that covers this field of view.

        The axes are the orthogonal ones nearest to this grid's; the two fields of view share their centre, so that
        the result does not depend on the order or sign of this grid's axes.

        Raises
        ------
        DataError
            If the field of view is larger than any person: the spacing is wrong, and the grid would fill the memory.
        """
        if self.extent_mm.max() > _LARGEST_MM or self.extent_mm.prod() > _LARGEST_MM3:
            metres = " x ".join(f"{edge / 1000:.3g}" for edge in self.extent_mm)
            raise DataError(
                f"the image measures {metres} m, more than a person: correct its voxel sizes, given as "
                f"{' x '.join(f'{edge:g}' for edge in self.spacing_mm)} mm"
            )
        u, _, vt = np.linalg.svd(self.direction)
        axes = self.direction if self.is_orthogonal else u @ vt
        centre = self.index_to_lps((np.asarray(self.size_xyz) - 1) / 2)
        # for a sheared grid the corners stick out of the box of its edge lengths
        reach = np.abs((self.corners_lps_mm() - centre) @ axes).max(axis=0) * 2 + self.spacing_mm
        size = np.maximum(1, np.ceil(reach / spacing_mm - 1e-6)).astype(int)
        origin = centre - axes @ ((size - 1) / 2 * spacing_mm)
        return Grid.from_parts(size[::-1].tolist(), [spacing_mm] * 3, origin, axes)


def nearest_axes(direction: FloatArray) -> tuple[list[int], list[int]]:
    """Assign each grid axis (column) to the LPS axis that it follows best.

    Returns
    -------
    axes, signs : list of int
        For the x, y, z grid axes: index of the LPS axis (each used once) and +1 or -1.
    """
    weight = np.abs(direction)
    axes = max(itertools.permutations(range(3)), key=lambda p: sum(weight[p[i], i] for i in range(3)))
    return list(axes), [1 if direction[axis, i] >= 0 else -1 for i, axis in enumerate(axes)]
