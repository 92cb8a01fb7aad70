"""Feature rows to learn from, which need not all be in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

__all__ = ["MatrixRows", "Rows", "first_rows"]

Chosen = slice | NDArray[np.int64]


class Rows(Protocol):
    """Rows in blocks, each of which is made whenever it is asked for; several threads ask at once."""

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of each block."""

    def block(self, number: int, chosen: Chosen = ..., /) -> NDArray[np.float32]:
        """Return the rows of a block, or those chosen of them, shape (n, features)."""


class MatrixRows:
    """Rows of a matrix.

    Parameters
    ----------
    matrix : ndarray of float32, shape (N, features)
        In C order.
    n_jobs : int or None
        Threads that will ask for blocks.

    Examples
    --------
    >>> rows = MatrixRows(np.eye(5, dtype=np.float32), n_jobs=1)
    >>> rows.sizes, rows.block(3).tolist()
    ([1, 1, 1, 2], [[0.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
    """

    def __init__(self, matrix: NDArray[np.float32], n_jobs: int | None = 1) -> None:
        self._matrix = matrix
        self._bounds = np.linspace(0, len(matrix), 4 * effective_n_jobs(n_jobs) + 1).astype(int)

    @property
    def sizes(self) -> list[int]:
        """Rows of each block."""
        sizes: list[int] = np.diff(self._bounds).tolist()
        return sizes

    def block(self, number: int, chosen: Chosen = slice(None)) -> NDArray[np.float32]:
        """Return the rows of a block, or those chosen of them."""
        return self._matrix[self._bounds[number] : self._bounds[number + 1]][chosen]


def first_rows(rows: Rows) -> NDArray[np.int64]:
    """First row of each block, and the number of all rows.

    Examples
    --------
    >>> first_rows(MatrixRows(np.eye(5, dtype=np.float32))).tolist()
    [0, 1, 2, 3, 5]
    """
    return np.cumsum([0, *rows.sizes])
