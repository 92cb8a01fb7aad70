"""Named points: which level lies where, and how sure we are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._notebook import Shown
from regforest.errors import DataError, FrameError
from regforest.spatial.grid import Grid
from regforest.spatial.levels import level, sort_levels

__all__ = ["Landmarks"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Landmarks(Mapping[str, FloatArray], Shown):
    """Points with anatomical names, from cranial to caudal; a mapping level -> point (x, y, z).

    Parameters
    ----------
    points : mapping of str to array_like, shape (3,)
        Level name -> coordinates in millimetres of `frame`.
    scores : mapping of str to float, optional
        Level name -> score; the higher the surer. Levels without one have NaN.
    frame : {"LPS", "grid"}
        ``"LPS"``: world millimetres. ``"grid"``: millimetres from the first voxel along the grid's axes,
        as in LML files; becomes LPS with the scan's grid (`to_lps`).

    Raises
    ------
    LevelError
        If a name is not a known level.
    DataError
        If a coordinate is not finite or a name occurs twice.
    FrameError
        If the frame is unknown.

    Examples
    --------
    >>> spine = Landmarks({"L2": (0, 0, -33), "L1": (0, 0, 0)}, scores={"L1": 0.9})
    >>> list(spine), spine.score("L1"), spine.points_lps_mm.shape
    (['L1', 'L2'], 0.9, (2, 3))
    """

    names: tuple[str, ...]
    points: FloatArray
    scores: FloatArray
    frame: str

    def __init__(
        self,
        points: Mapping[str, ArrayLike],
        scores: Mapping[str, float] | None = None,
        frame: str = "LPS",
    ) -> None:
        if frame not in ("LPS", "grid"):
            raise FrameError(f"a frame is 'LPS' or 'grid', got {frame!r}")
        given = {level(name).name: np.asarray(point, dtype=np.float64) for name, point in points.items()}
        if len(given) != len(points):
            raise DataError(f"a level occurs twice in {list(points)}")
        names = tuple(sort_levels(given))
        for name in names:
            if given[name].shape != (3,) or not np.isfinite(given[name]).all():
                raise DataError(f"{name} needs three finite coordinates, got {given[name].tolist()}")
        known = {level(name).name: float(value) for name, value in (scores or {}).items()}
        array = np.array([given[name] for name in names], dtype=np.float64).reshape(-1, 3)
        array.setflags(write=False)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "points", array)
        object.__setattr__(self, "scores", np.array([known.get(name, np.nan) for name in names]))
        object.__setattr__(self, "frame", frame)

    def __getitem__(self, name: str) -> FloatArray:
        try:
            return np.array(self.points[self.names.index(name)])
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Landmarks)
            and (self.names, self.frame) == (other.names, other.frame)
            and np.array_equal(self.points, other.points)
            and np.array_equal(self.scores, other.scores, equal_nan=True)
        )

    def __hash__(self) -> int:
        return hash((self.names, self.frame, self.points.tobytes()))

    @property
    def points_lps_mm(self) -> FloatArray:
        """Points in LPS millimetres, cranial to caudal, shape (N, 3); `FrameError` for grid coordinates."""
        self._require("LPS")
        return self.points

    def score(self, name: str) -> float:
        """Score of one level (NaN when it has none)."""
        return float(self.scores[self.names.index(name)])

    def select(self, keep: Callable[[str], bool]) -> Landmarks:
        """Return the landmarks whose name passes `keep`."""
        return self._like({name: self[name] for name in self if keep(name)})

    def mapped(self, move: Callable[[FloatArray], ArrayLike], frame: str | None = None) -> Landmarks:
        """Return landmarks with all points (N, 3) moved by a function, in the same frame or a new one."""
        moved = np.asarray(move(self.points), dtype=np.float64).reshape(-1, 3)
        return self._like(dict(zip(self.names, moved, strict=True)), frame)

    def to_lps(self, grid: Grid) -> Landmarks:
        """Turn grid millimetres (index x spacing, as in LML files) into LPS millimetres of the scan's grid."""
        self._require("grid")
        return self.mapped(lambda points: grid.index_to_lps(points / grid.spacing_mm), "LPS")

    def to_grid(self, grid: Grid) -> Landmarks:
        """Turn LPS millimetres into grid millimetres of the scan's grid."""
        self._require("LPS")
        return self.mapped(lambda points: grid.lps_to_index(points) * grid.spacing_mm, "grid")

    def _like(self, points: Mapping[str, ArrayLike], frame: str | None = None) -> Landmarks:
        known = zip(self.names, self.scores, strict=True)
        return Landmarks(points, {n: s for n, s in known if n in points}, frame or self.frame)

    def _require(self, frame: str) -> None:
        if self.frame != frame:
            raise FrameError(
                f"these landmarks are in the frame {self.frame!r}, {frame!r} is needed; "
                "give the scan's grid (to_lps / to_grid) to convert"
            )
