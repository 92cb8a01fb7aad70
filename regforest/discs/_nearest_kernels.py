"""Compiled kernels of the search for the nearest rows: blocks of rows side by side, and boxes around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel
from regforest.discs._lanes import CHUNK, LANES, add_squares
from regforest.features._lanes import lowest_bit

_SOON = 0.1  # on the way from the nearest box to the mean: blocks that are looked at first, to bound what counts


@kernel
def order_in_blocks(rows: NDArray[np.float32], order: NDArray[np.int64]) -> None:
    """Sort `order`, the numbers of some rows, so that each `LANES` of them in a row lie close together.

    A k-d tree without its inner nodes: halves along the column of largest variance, each a whole number of blocks.
    """
    begins, ends = np.empty(64, np.int64), np.empty(64, np.int64)
    begins[0], ends[0], waiting = 0, len(order), 1
    while waiting > 0:
        waiting -= 1
        begin, end = begins[waiting], ends[waiting]
        blocks = (end - begin + LANES - 1) // LANES
        if blocks <= 1:
            continue
        own = order[begin:end]
        order[begin:end] = own[np.argsort(rows[own, _widest(rows, own)], kind="mergesort")]
        middle = begin + blocks // 2 * LANES
        begins[waiting], ends[waiting] = begin, middle
        begins[waiting + 1], ends[waiting + 1] = middle, end
        waiting += 2


@kernel
def _widest(rows: NDArray[np.float32], own: NDArray[np.int64]) -> int:
    """Return the column of largest variance of some rows."""
    columns = rows.shape[1]
    sums, squares = np.zeros(columns), np.zeros(columns)
    for number in own:
        for column in range(columns):
            value = np.float64(rows[number, column])
            sums[column] += value
            squares[column] += value * value
    return int(np.argmax(squares - sums * sums / len(own)))


@kernel
def nearest_in_blocks(
    queries: NDArray[np.float32],
    runs: NDArray[np.int64],
    blocks: NDArray[np.float32],
    boxes: NDArray[np.float32],
    numbers: NDArray[np.int64],
    owners: NDArray[np.int64],
    excluded: int,
    out_squared: NDArray[np.float32],
    out_number: NDArray[np.int64],
) -> None:
    """Write the k nearest rows of each query, ascending, from the blocks of its runs.

    Parameters
    ----------
    queries : ndarray, shape (Q, C)
        Rows to look for; C is a whole number of chunks.
    runs : ndarray, shape (Q, R, 2)
        First block and end of each run of blocks to search.
    blocks : ndarray, shape (B * C * LANES,)
        Rows: block after block, column after column, `LANES` rows side by side; infinite beyond the last row.
    boxes : ndarray, shape (2, D, B)
        Lowest and highest number of each block in the first D columns.
    numbers, owners : ndarray, shape (B, LANES)
        Number of each row, and whose it is.
    excluded : int
        Owner whose rows do not count; -1 for none.
    out_squared, out_number : ndarray, shape (Q, k)
        Infinite and -1 where there are fewer.
    """
    most = 0
    for q in range(len(queries)):
        most = max(most, (runs[q, :, 1] - runs[q, :, 0]).sum())
    bounds, which = np.empty(most, np.float32), np.empty(most, np.int64)
    distance = np.empty(LANES, np.float32)
    out_squared[:], out_number[:] = np.inf, -1
    for q in range(len(queries)):
        query, count = queries[q], 0
        for first, end in runs[q]:
            _box_distances(query, boxes, first, bounds[count : count + end - first])
            for block in range(first, end):
                which[count] = block
                count += 1
        if count > 0:
            least, mean = bounds[:count].min(), bounds[:count].mean()
            for furthest in (np.float32(least + _SOON * (mean - least)), np.float32(np.inf)):
                _search(
                    query, blocks, bounds[:count], which, numbers, owners, excluded, furthest, distance,
                    out_squared[q], out_number[q],
                )  # fmt: skip


@kernel
def _box_distances(
    query: NDArray[np.float32], boxes: NDArray[np.float32], first: int, out: NDArray[np.float32]
) -> None:
    """Write the squared distance from a query to the boxes of consecutive blocks."""
    out[:] = 0.0
    for column in range(boxes.shape[1]):
        at = query[column]
        low, high = boxes[0, column, first:], boxes[1, column, first:]
        for i in range(len(out)):
            below, above = low[i] - at, at - high[i]
            gap = below if below > above else above
            gap = gap if gap > np.float32(0.0) else np.float32(0.0)
            out[i] += gap * gap


@kernel
def _search(
    query: NDArray[np.float32],
    blocks: NDArray[np.float32],
    bounds: NDArray[np.float32],
    which: NDArray[np.int64],
    numbers: NDArray[np.int64],
    owners: NDArray[np.int64],
    excluded: int,
    furthest: np.float32,
    distance: NDArray[np.float32],
    best: NDArray[np.float32],
    found: NDArray[np.int64],
) -> None:
    """Take the rows nearer than the k nearest so far, of blocks not looked at yet and at most `furthest` away."""
    last = len(best) - 1
    for turn in range(len(bounds)):
        if bounds[turn] > furthest or bounds[turn] >= best[last]:
            continue
        bounds[turn] = np.inf
        block, near = which[turn], np.uint64(0)
        start = block * len(query) * LANES
        distance[:] = 0.0
        for first in range(0, len(query), CHUNK):
            near = add_squares(blocks, start + first * LANES, query, first, distance, best[last])
            if near == 0:
                break
        while near != 0:
            i = np.int64(lowest_bit(near))
            near &= near - np.uint64(1)
            if distance[i] < best[last] and (excluded < 0 or owners[block, i] != excluded):
                place = last
                while place > 0 and best[place - 1] > distance[i]:
                    best[place] = best[place - 1]
                    found[place] = found[place - 1]
                    place -= 1
                best[place] = distance[i]
                found[place] = numbers[block, i]
