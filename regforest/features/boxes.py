"""Pools of box features, defined in millimetres and read from summed-volume tables.

Glocker et al. (MICCAI 2013): the appearance of a point and of its surroundings is described by mean intensities of
boxes near the point, of displaced boxes, and by differences of two displaced boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError, ModelError
from regforest.features.compiled import CompiledBoxes
from regforest.features.space import BoxSpace

__all__ = ["BoxFeatures"]

MAX_BOX_VOXELS = 65536
_MAX_MM = 10_000


@dataclass(frozen=True, eq=False)
class BoxFeatures:
    """A fixed pool of F features: the mean of a displaced box, or the difference of two such means.

    Attributes
    ----------
    offsets_mm : ndarray of float32, shape (F, 2, 3)
        From the point to the centres of the first and the second box, along the x, y, z axes of the image.
    sizes_mm : ndarray of float32, shape (F, 2, 3)
        Edge lengths along x, y, z.
    channels : ndarray of int32, shape (F, 2)
        Which image each box is read from; -1 for the second box of a one-box feature.

    Raises
    ------
    ModelError
        If shapes differ or a value makes no sense (beyond 10 m, size not positive, channel below -1).

    Examples
    --------
    >>> pool = BoxFeatures.random(5, seed=0, max_offset_mm=20, size_range_mm=(4, 16), two_box_share=0)
    >>> image = np.full((8, 8, 8), 7, np.int16)
    >>> values = pool.evaluate([image], spacing_mm=(2, 2, 2), index_zyx=[[0, 0, 0], [3, 4, 5]])
    >>> values.shape, np.allclose(values, 7)
    ((2, 5), True)
    """

    offsets_mm: NDArray[np.float32]
    sizes_mm: NDArray[np.float32]
    channels: NDArray[np.int32]

    def __post_init__(self) -> None:
        for name, dtype in (("offsets_mm", np.float32), ("sizes_mm", np.float32), ("channels", np.int32)):
            array = np.array(getattr(self, name), dtype=dtype, order="C")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        count = len(self.channels)
        shapes = self.offsets_mm.shape, self.sizes_mm.shape, self.channels.shape
        if count == 0 or shapes != ((count, 2, 3), (count, 2, 3), (count, 2)):
            raise ModelError(f"expected box arrays of shapes (F, 2, 3), (F, 2, 3), (F, 2), got {shapes}")
        near = (np.abs(self.offsets_mm) <= _MAX_MM).all() and (self.sizes_mm <= _MAX_MM).all()  # False for NaN
        if not near or (self.sizes_mm <= 0).any() or (self.channels < [0, -1]).any():
            raise ModelError(f"box features need offsets and positive sizes up to {_MAX_MM} mm, and channels from 0")

    @classmethod
    def random(
        cls,
        n: int,
        *,
        seed: int | np.random.Generator,
        max_offset_mm: float | Sequence[float],
        size_range_mm: tuple[float, float],
        two_box_share: float = 0.5,
        local_share: float = 0.2,
        channels: int = 1,
    ) -> BoxFeatures:
        """Draw a pool of n features from a `BoxSpace` of these parameters.

        Raises
        ------
        DataError
            If a number is out of range.
        """
        return cls.from_space(n, BoxSpace(max_offset_mm, size_range_mm, two_box_share, local_share, channels), seed)

    @classmethod
    def from_space(cls, n: int, space: BoxSpace, seed: int | np.random.Generator) -> BoxFeatures:
        """Draw a pool of n features from a space; `DataError` if n is not positive."""
        if n < 1:
            raise DataError(f"cannot draw {n} features")
        offsets, sizes, channel = space.draw(n, np.random.default_rng(seed))
        return cls(offsets.astype(np.float32), sizes.astype(np.float32), channel.astype(np.int32))

    @classmethod
    def from_voxels(
        cls,
        low_zyx: NDArray[np.integer[Any]],
        high_zyx: NDArray[np.integer[Any]],
        channels: NDArray[np.integer[Any]],
        spacing_mm: ArrayLike,
    ) -> BoxFeatures:
        """Make the pool that `compile` turns into these boxes at this spacing.

        Parameters
        ----------
        low_zyx, high_zyx : ndarray of int, shape (F, 2, 3)
            First voxel of each box and the one behind its last, relative to the point.
        channels : ndarray of int, shape (F, 2)
            -1 for an absent second box.
        spacing_mm : float or array_like, shape (3,)
            Spacing along x, y, z.
        """
        spacing = np.broadcast_to(np.asarray(spacing_mm, np.float64), 3)
        counts = np.maximum(high_zyx - low_zyx, 1)[..., ::-1]
        centres = low_zyx[..., ::-1] + (counts - 1) / 2
        return cls(
            (centres * spacing).astype(np.float32), (counts * spacing).astype(np.float32), channels.astype(np.int32)
        )

    def __len__(self) -> int:
        return len(self.channels)

    def subset(self, features: ArrayLike) -> BoxFeatures:
        """Return a pool of the chosen features (indices or mask), in that order."""
        chosen = np.asarray(features)
        return BoxFeatures(self.offsets_mm[chosen], self.sizes_mm[chosen], self.channels[chosen])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that define the pool, for a model file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> BoxFeatures:
        """Rebuild from `to_arrays`; a missing or damaged array raises `ModelError`."""
        try:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"box features cannot be read: {error}") from error

    def compile(self, spacing_mm: ArrayLike) -> CompiledBoxes:
        """Turn millimetres into whole voxels of one spacing.

        Edges become whole numbers of voxels, at least one; the box is placed as near as possible to its offset.

        Parameters
        ----------
        spacing_mm : float or array_like, shape (3,)
            Spacing along x, y, z.

        Raises
        ------
        DataError
            If the spacing is not positive or a box holds 65536 voxels or more (its sum would not fit).
        """
        spacing = np.broadcast_to(np.asarray(spacing_mm, np.float64), 3)
        if not np.isfinite(spacing).all() or (spacing <= 0).any():
            raise DataError(f"expected three positive spacings in mm, got {spacing.tolist()}")
        counts = np.maximum(1, np.floor(self.sizes_mm / spacing + 0.5))
        largest = counts.prod(axis=2).max()
        if largest >= MAX_BOX_VOXELS:
            raise DataError(
                f"a box of {largest:.0f} voxels is too large at a spacing of {spacing.tolist()} mm: "
                f"fewer than {MAX_BOX_VOXELS} are allowed; use smaller boxes or a coarser grid"
            )
        low = np.floor(self.offsets_mm / spacing - (counts - 1) / 2 + 0.5)
        low_zyx, high_zyx = low[..., ::-1].astype(np.int64), (low + counts)[..., ::-1].astype(np.int64)
        present = self.channels >= 0
        scales = np.where(present, 1 / counts.prod(axis=2), 0).astype(np.float32)
        return CompiledBoxes(
            np.where(present[..., None], low_zyx, 0), np.where(present[..., None], high_zyx, 0), self.channels, scales
        )

    def padding_zyx(self, spacing_mm: ArrayLike) -> tuple[int, int, int]:
        """Voxels by which boxes at border voxels reach beyond the image, along z, y, x."""
        return self.compile(spacing_mm).padding_zyx

    def evaluate(
        self, volumes: Sequence[NDArray[np.int16]], spacing_mm: ArrayLike, index_zyx: ArrayLike
    ) -> NDArray[np.float32]:
        """Compute all features at voxels.

        Parameters
        ----------
        volumes : sequence of ndarray of int16, shape (z, y, x)
            The channels, on one grid.
        spacing_mm : float or array_like, shape (3,)
            Spacing along x, y, z.
        index_zyx : array_like of int, shape (N, 3)
            Voxel indices inside the image.

        Returns
        -------
        ndarray of float32, shape (N, F)
            In units of the (quantised) images.

        Raises
        ------
        DataError
            If channels are missing or an index lies outside.
        """
        compiled = self.compile(spacing_mm)
        return compiled.evaluate(compiled.integrate(volumes), index_zyx)

    def evaluate_dense(self, volumes: Sequence[NDArray[np.int16]], spacing_mm: ArrayLike) -> NDArray[np.float32]:
        """Compute all features at all voxels, shape (F, z, y, x); the values of `evaluate`, bit for bit."""
        compiled = self.compile(spacing_mm)
        return compiled.evaluate_dense(compiled.integrate(volumes))
