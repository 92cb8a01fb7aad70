"""The training rows that lie nearest to a test row: exact, by blocks of rows that lie close together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from regforest.discs._lanes import CHUNK, LANES
from regforest.discs._nearest_kernels import nearest_in_blocks, order_in_blocks
from regforest.discs.patches import Projection

__all__ = ["NearestRows", "PatchRows", "layout_bytes"]

Rows = NDArray[np.float32]
Numbers = NDArray[np.int64]

_BOXED_COLUMNS = 16


@dataclass(frozen=True, eq=False)
class NearestRows:
    """Rows (T, F) laid out for the search: columns by falling variance, blocks of `LANES` rows close together.

    A box around each block, in the columns that vary most, tells how far its rows are at least; a block that is
    looked at is given up as soon as all its rows are too far by the columns added up so far.

    Attributes
    ----------
    columns : ndarray of int, shape (F,)
        Order of the columns.
    blocks : ndarray of float32, shape (B * C * LANES,)
        As `nearest_in_blocks` reads them; C is F rounded up to whole chunks.
    boxes : ndarray of float32, shape (2, D, B)
        Around the blocks.
    numbers, owners : ndarray of int, shape (B, LANES)
        Number of each row, and whose it is.
    cell_blocks : ndarray of int, shape (cells + 1,)
        First block of each cell.
    """

    columns: Numbers
    blocks: Rows
    boxes: Rows
    numbers: Numbers
    owners: Numbers
    cell_blocks: Numbers

    @classmethod
    def of(cls, rows: Rows, cell_start: Numbers | None = None, owners: Numbers | None = None) -> NearestRows:
        """Lay out rows.

        Parameters
        ----------
        rows : ndarray of float32, shape (T, F)
            At least one.
        cell_start : ndarray of int, shape (cells + 1,), optional
            First row of each cell: cells can be searched by themselves. Default: one cell.
        owners : ndarray of int, shape (T,), optional
            Whose each row is, for searches that leave one owner out.

        Examples
        --------
        >>> rows = np.arange(12, dtype=np.float32).reshape(6, 2)
        >>> squared, number = NearestRows.of(rows)(rows[2:3] + 0.5, k=2)
        >>> squared, number
        (array([[0.5, 4.5]], dtype=float32), array([[2, 3]]))
        """
        start = np.array([0, len(rows)]) if cell_start is None else cell_start
        columns = np.argsort(-rows.var(axis=0), kind="stable")
        ordered = _in_chunks(rows, columns)
        numbers, cell_blocks = _numbers_in_blocks(ordered, start)
        placed, beyond = ordered[numbers], numbers < 0
        del ordered  # of the layouts of all rows at most two are held at a time
        placed[beyond] = -np.inf
        high = placed[..., :_BOXED_COLUMNS].max(axis=1)
        placed[beyond] = np.inf
        low = placed[..., :_BOXED_COLUMNS].min(axis=1)
        boxes = np.stack([low, high]).transpose(0, 2, 1)
        return cls(
            columns, placed.transpose(0, 2, 1).reshape(-1), np.ascontiguousarray(boxes), numbers,
            np.zeros_like(numbers) if owners is None else owners[numbers], cell_blocks,
        )  # fmt: skip

    def __call__(
        self, queries: Rows, k: int, runs: Numbers | None = None, excluded: int = -1
    ) -> tuple[Rows, Numbers]:
        """Find the k nearest rows of each query.

        Parameters
        ----------
        queries : ndarray of float32, shape (N, F)
            Rows to look for.
        k : int
            How many.
        runs : ndarray of int, shape (N, R, 2), optional
            First block and end of each run of blocks to search, for each query. Default: all.
        excluded : int
            Owner whose rows do not count.

        Returns
        -------
        squared_distance : ndarray of float32, shape (N, k)
            Ascending; infinite where there are fewer rows.
        number : ndarray of int64, shape (N, k)
            Of the rows; -1 where there are fewer.
        """
        if runs is None:
            runs = np.broadcast_to(np.array([0, len(self.numbers)]), (len(queries), 1, 2))
        squared, number = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        nearest_in_blocks(
            _in_chunks(queries, self.columns), np.ascontiguousarray(runs), self.blocks, self.boxes, self.numbers,
            self.owners, excluded, squared, number,
        )  # fmt: skip
        return squared, number


def _in_chunks(rows: Rows, columns: Numbers) -> Rows:
    """Put columns in order, and zeros behind them up to a whole number of chunks."""
    ordered = np.zeros((len(rows), -(-len(columns) // CHUNK) * CHUNK), np.float32)
    ordered[:, : len(columns)] = rows[:, columns]
    return ordered


def _numbers_in_blocks(rows: Rows, cell_start: Numbers) -> tuple[Numbers, Numbers]:
    """Give the number of each row of the blocks, -1 beyond the last of a cell, and the first block of each cell."""
    order = np.arange(len(rows))
    for first, end in pairwise(cell_start):
        order_in_blocks(rows, order[first:end])
    counts = np.diff(cell_start)
    cell_blocks = np.concatenate([[0], np.cumsum(-(-counts // LANES))])
    numbers = np.full(int(cell_blocks[-1]) * LANES, -1)
    numbers[np.arange(len(rows)) + np.repeat(cell_blocks[:-1] * LANES - cell_start[:-1], counts)] = order
    return numbers.reshape(-1, LANES), cell_blocks


def layout_bytes(columns: int) -> tuple[int, int]:
    """Bound the bytes that a laid-out row keeps, and those that laying it out takes at most.

    Examples
    --------
    >>> layout_bytes(36)
    (200, 480)
    """
    row = 4 * -(-columns // CHUNK) * CHUNK
    return row + 40, 3 * row


@dataclass(frozen=True, eq=False)
class PatchRows:
    """Training patches among which the nearest to those of a scan are looked for.

    Attributes
    ----------
    projection : Projection
        Of patch features.
    rows : ndarray of float32, shape (T, F)
        Projected features, and what else makes patches unlike.
    """

    projection: Projection
    rows: Rows

    @cached_property
    def nearest(self) -> NearestRows:
        """The rows laid out for the search."""
        return NearestRows.of(self.rows)

    def of_shown(self, columns: NDArray[np.bool_]) -> Self:
        """Return the same rows, searched by what is expected of patches of which some features are known."""
        part = replace(self, projection=self.projection.of_shown(columns))
        part.__dict__["nearest"] = self.nearest  # the rows are the same: not to be laid out again for each scan
        return part
