"""Pools of box features, defined in millimetres and read from summed-volume tables.

Glocker et al. (MICCAI 2013): the appearance of a point and of its surroundings is described by mean intensities of
boxes near the point, of displaced boxes, and by differences of two displaced boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError, ModelError
from regforest.features.compiled import CompiledBoxes

__all__ = ["BoxFeatures"]

_MAX_BOX_VOXELS = 65536
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
        """Draw a pool.

        Parameters
        ----------
        n : int
            Number of features.
        seed : int or Generator
            Source of the draw.
        max_offset_mm : float or three floats
            Radius of the ball (or half axes of the ellipsoid, x y z) in which box centres are uniform.
        size_range_mm : (float, float)
            Smallest and largest edge; each edge is drawn by itself, uniform in its logarithm.
        two_box_share : float
            Share of differences; each of their boxes has its own channel.
        local_share : float
            Probability that a box is drawn so that it covers the point itself.
        channels : int
            Number of images.

        Raises
        ------
        DataError
            If a number is out of range.
        """
        radii = np.broadcast_to(np.asarray(max_offset_mm, np.float64), 3)
        low, high = size_range_mm
        shares_fit = 0 <= two_box_share <= 1 and 0 <= local_share <= 1
        if n < 1 or channels < 1 or not 0 < low <= high or (radii < 0).any() or not shares_fit:
            raise DataError(
                f"cannot draw {n} features with offsets up to {max_offset_mm} mm, sizes {size_range_mm} mm, shares "
                f"{two_box_share} and {local_share}, {channels} channels"
            )
        rng = np.random.default_rng(seed)
        sizes = np.exp(rng.uniform(np.log(low), np.log(high), (n, 2, 3)))
        direction = rng.normal(size=(n, 2, 3))
        direction /= np.linalg.norm(direction, axis=2, keepdims=True)
        displaced = direction * np.cbrt(rng.random((n, 2, 1))) * radii
        covering = rng.uniform(-0.5, 0.5, (n, 2, 3)) * sizes
        local = rng.random((n, 2, 1)) < local_share
        channel = rng.integers(channels, size=(n, 2))
        channel[rng.random(n) >= two_box_share, 1] = -1
        offsets = np.where(local, covering, displaced)
        return cls(offsets.astype(np.float32), sizes.astype(np.float32), channel.astype(np.int32))

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
        if largest >= _MAX_BOX_VOXELS:
            raise DataError(
                f"a box of {largest:.0f} voxels is too large at a spacing of {spacing.tolist()} mm: "
                f"fewer than {_MAX_BOX_VOXELS} are allowed; use smaller boxes or a coarser grid"
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
