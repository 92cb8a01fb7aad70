"""Feature columns as 8-bit codes, which trees are grown on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from regforest._threads import in_threads, run_in_threads
from regforest.forest._binning import encode, find_edges
from regforest.forest.rows import Rows, first_rows

__all__ = ["BinnedColumns"]

_EDGES = 256


@dataclass(frozen=True, eq=False)
class BinnedColumns:
    """Feature columns as 8-bit codes.

    Attributes
    ----------
    codes : ndarray of uint8, shape (features, rows)
        Number of edges below each value.
    row_codes : ndarray of uint8, shape (rows, features)
        The same, row by row.
    edges : ndarray of float32, shape (features, 256)
        ``value <= edges[f, c]`` exactly where ``code <= c``; infinite beyond the last one used.
    rows : Rows
        Where the values themselves can be had.

    Examples
    --------
    >>> from regforest.forest.rows import MatrixRows
    >>> matrix = np.array([[0.5], [7.0], [0.5], [3.0]], np.float32)
    >>> BinnedColumns.from_rows(MatrixRows(matrix), seed=0).codes.tolist()
    [[0, 2, 0, 1]]
    """

    codes: NDArray[np.uint8]
    row_codes: NDArray[np.uint8]
    edges: NDArray[np.float32]
    rows: Rows

    @classmethod
    def from_rows(cls, rows: Rows, *, seed: int, n_jobs: int | None = 1, quantile_rows: int = 4096) -> BinnedColumns:
        """Choose edges at the quantiles of a few thousand rows, and encode all rows, block by block.

        Parameters
        ----------
        rows : Rows
            Finite values.
        seed : int
            For the choice of rows.
        n_jobs : int or None
            Threads.
        quantile_rows : int
            Rows that the quantiles are taken from.
        """
        edges = _edges(_sample(rows, quantile_rows, seed, n_jobs), n_jobs)
        firsts = first_rows(rows)
        count = int(firsts[-1])
        codes, row_codes = np.empty((len(edges), count), np.uint8), np.empty((count, len(edges)), np.uint8)
        own = [slice(*ends) for ends in itertools.pairwise(firsts)]
        blocks = ((rows, block, edges, row_codes[part], codes[:, part]) for block, part in enumerate(own))
        run_in_threads(_encode_block, blocks, n_jobs)
        return cls(codes, row_codes, edges, rows)


def _sample(rows: Rows, most: int, seed: int, n_jobs: int | None) -> NDArray[np.float32]:
    """Return at most so many of the rows, in their order."""
    firsts = first_rows(rows)
    count = int(firsts[-1])
    chosen = np.arange(count)
    if count > most:
        chosen = np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
    parts = np.split(chosen, np.searchsorted(chosen, firsts[1:-1]))
    asked = ((block, part - firsts[block]) for block, part in enumerate(parts) if part.size)
    return np.concatenate(list(in_threads(rows.block, asked, n_jobs)))


def _edges(sample: NDArray[np.float32], n_jobs: int | None) -> NDArray[np.float32]:
    """Edges of all columns, at the quantiles of the sample."""
    edges = np.full((sample.shape[1], _EDGES), np.inf, np.float32)
    columns = np.array_split(np.arange(len(edges)), 4 * effective_n_jobs(n_jobs))
    run_in_threads(_find_edges, ((sample, edges, own) for own in columns if own.size), n_jobs)
    return edges


def _find_edges(sample: NDArray[np.float32], edges: NDArray[np.float32], own: NDArray[np.int64]) -> None:
    """Find the edges of some columns, which lie side by side."""
    part = slice(own[0], own[-1] + 1)
    find_edges(np.sort(np.ascontiguousarray(sample[:, part].T), axis=1), edges[part])


def _encode_block(
    rows: Rows, block: int, edges: NDArray[np.float32], row_codes: NDArray[np.uint8], codes: NDArray[np.uint8]
) -> None:
    encode(rows.block(block), edges, row_codes)
    codes[:] = row_codes.T
