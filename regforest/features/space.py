"""Where box features are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest.errors import DataError

__all__ = ["BoxSpace"]


@dataclass(frozen=True)
class BoxSpace:
    """All box features that there could be, and how likely each is.

    A feature is the mean of a box or the difference of two (Glocker et al., MICCAI 2013, and the papers before it).

    Parameters
    ----------
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

    Examples
    --------
    >>> BoxSpace(max_offset_mm=20, size_range_mm=(4, 16)).reach_mm.tolist()
    [28.0, 28.0, 28.0]
    """

    max_offset_mm: float | Sequence[float]
    size_range_mm: tuple[float, float]
    two_box_share: float = 0.5
    local_share: float = 0.2
    channels: int = 1

    def __post_init__(self) -> None:
        low, high = self.size_range_mm
        shares_fit = 0 <= self.two_box_share <= 1 and 0 <= self.local_share <= 1
        if self.channels < 1 or not 0 < low <= high or (self.radii_mm < 0).any() or not shares_fit:
            raise DataError(f"box features cannot be drawn from {self}")

    @property
    def radii_mm(self) -> NDArray[np.float64]:
        """Half axes of the ellipsoid of box centres, along x, y, z."""
        return np.broadcast_to(np.asarray(self.max_offset_mm, np.float64), 3)

    @property
    def reach_mm(self) -> NDArray[np.float64]:
        """How far from the point a box may reach, along x, y, z."""
        largest = self.size_range_mm[1]
        return np.maximum(self.radii_mm + largest / 2, largest)

    def draw(
        self, n: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Draw n features: offsets (n, 2, 3) and edges (n, 2, 3) in mm along x, y, z, and channels (n, 2).

        The channel of an absent second box is -1.
        """
        low, high = self.size_range_mm
        sizes = np.exp(rng.uniform(np.log(low), np.log(high), (n, 2, 3)))
        direction = rng.normal(size=(n, 2, 3))
        direction /= np.linalg.norm(direction, axis=2, keepdims=True)
        displaced = direction * np.cbrt(rng.random((n, 2, 1))) * self.radii_mm
        covering = rng.uniform(-0.5, 0.5, (n, 2, 3)) * sizes
        local = rng.random((n, 2, 1)) < self.local_share
        channel = rng.integers(self.channels, size=(n, 2))
        channel[rng.random(n) >= self.two_box_share, 1] = -1
        return np.where(local, covering, displaced), sizes, channel
