"""Compiled kernels of this layer: the summed-volume table and the boxes read from it.

The table is int32 and wraps around; a difference of its corners, cut back to 32 bits, is exact all the same. numba
promotes int32 arithmetic to 64 bits, hence the casts. A box mean is ``float32(sum) * float32(1 / count)`` wherever
it is computed, so that dense and gathered values agree bit for bit. Unsigned positions spare numba's treatment of
negative indices, which would keep loops from being vectorised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel

_GATHER_BLOCK = 64


class BoxTable(NamedTuple):
    """All that a kernel needs to compute features. Inner loops take its arrays one by one, which numba does better.

    `table`: the flat summed-volume table, int32. `corners` (F, 16): flat offsets of the corners of the first and the
    second box, int32, in the order of (z, y, x) = (low, low, low), (low, low, high) ... (high, high, high). `scales`
    (F, 2): one over the number of voxels, float32; 0 for an absent second box.
    """

    table: NDArray[np.int32]
    corners: NDArray[np.int32]
    scales: NDArray[np.float32]


@kernel
def integrate(voxels: NDArray[np.int16], pad_z: int, pad_y: int, pad_x: int, table: NDArray[np.int32]) -> None:
    """Fill table[z, y, x] with the sum of the edge-padded voxels before (z, y, x); modulo 2**32.

    The running sums of one row and one plane are kept and reused for the rows and planes of the padding.
    """
    size_z, size_y = voxels.shape[0], voxels.shape[1]
    rows, columns = table.shape[1], table.shape[2]
    row = np.zeros(columns, np.int32)
    plane = np.zeros((rows, columns), np.int32)
    table[0] = 0
    previous_z = -1
    for z in range(table.shape[0] - 1):
        source_z = min(max(z - pad_z, 0), size_z - 1)
        if source_z != previous_z:
            previous_z = source_z
            previous_y = -1
            for y in range(rows - 1):
                source_y = min(max(y - pad_y, 0), size_y - 1)
                if source_y != previous_y:
                    previous_y = source_y
                    running_sum(voxels[source_z, source_y], pad_x, row)
                add_rows(plane[y], row, plane[y + 1])
        for y in range(rows):
            add_rows(table[z, y], plane[y], table[z + 1, y])


@kernel
def running_sum(line: NDArray[np.int16], pad: int, out: NDArray[np.int32]) -> None:
    """Write the exclusive running sum of an edge-padded line."""
    total = np.int32(0)
    out[0] = 0
    for x in range(out.size - 1):
        total = np.int32(np.int64(total) + line[min(max(x - pad, 0), line.size - 1)])
        out[x + 1] = total


@kernel
def add_rows(a: NDArray[np.int32], b: NDArray[np.int32], out: NDArray[np.int32]) -> None:
    """Add element by element, modulo 2**32."""
    for x in range(out.size):
        out[x] = np.int32(np.int64(a[x]) + np.int64(b[x]))


@kernel
def box_sum_at(
    table: NDArray[np.int32], corners: NDArray[np.int32], position: int, feature: int, first: int
) -> float:
    """Sum of the box whose corners start at column `first`, for the voxel at a flat position, as float32."""
    c0 = np.int64(table[np.uint64(position + corners[feature, first])])
    c1 = np.int64(table[np.uint64(position + corners[feature, first + 1])])
    c2 = np.int64(table[np.uint64(position + corners[feature, first + 2])])
    c3 = np.int64(table[np.uint64(position + corners[feature, first + 3])])
    c4 = np.int64(table[np.uint64(position + corners[feature, first + 4])])
    c5 = np.int64(table[np.uint64(position + corners[feature, first + 5])])
    c6 = np.int64(table[np.uint64(position + corners[feature, first + 6])])
    c7 = np.int64(table[np.uint64(position + corners[feature, first + 7])])
    return np.float32(np.int32((c7 - c6) - (c5 - c4) - (c3 - c2) + (c1 - c0)))  # type: ignore[return-value]


@kernel
def feature_at(
    table: NDArray[np.int32], corners: NDArray[np.int32], scales: NDArray[np.float32], position: int, feature: int
) -> float:
    """One feature of the voxel at a flat position: a box mean, or a difference of two, as float32."""
    value: float = box_sum_at(table, corners, position, feature, 0) * scales[feature, 0]
    if scales[feature, 1] != 0:
        value -= box_sum_at(table, corners, position, feature, 8) * scales[feature, 1]
    return value


@kernel
def feature_along(
    table: NDArray[np.int32],
    corners: NDArray[np.int32],
    scales: NDArray[np.float32],
    position: int,
    feature: int,
    out: NDArray[np.float32],
    start: int,
    count: int,
) -> None:
    """One feature of `count` voxels that follow each other in a row, written to ``out[start : start + count]``.

    Each loop reads the eight corners of one box: beyond that many streams that might overlap the output the
    compiler gives up vector instructions.
    """
    scale = scales[feature, 0]
    c0, c1 = position + corners[feature, 0], position + corners[feature, 1]
    c2, c3 = position + corners[feature, 2], position + corners[feature, 3]
    c4, c5 = position + corners[feature, 4], position + corners[feature, 5]
    c6, c7 = position + corners[feature, 6], position + corners[feature, 7]
    for x in range(count):
        total = np.int64(table[np.uint64(c7 + x)]) - np.int64(table[np.uint64(c6 + x)])
        total -= np.int64(table[np.uint64(c5 + x)]) - np.int64(table[np.uint64(c4 + x)])
        total -= np.int64(table[np.uint64(c3 + x)]) - np.int64(table[np.uint64(c2 + x)])
        total += np.int64(table[np.uint64(c1 + x)]) - np.int64(table[np.uint64(c0 + x)])
        out[np.uint64(start + x)] = np.float32(np.int32(total)) * scale
    scale = scales[feature, 1]
    if scale == 0:
        return
    c0, c1 = position + corners[feature, 8], position + corners[feature, 9]
    c2, c3 = position + corners[feature, 10], position + corners[feature, 11]
    c4, c5 = position + corners[feature, 12], position + corners[feature, 13]
    c6, c7 = position + corners[feature, 14], position + corners[feature, 15]
    for x in range(count):
        total = np.int64(table[np.uint64(c7 + x)]) - np.int64(table[np.uint64(c6 + x)])
        total -= np.int64(table[np.uint64(c5 + x)]) - np.int64(table[np.uint64(c4 + x)])
        total -= np.int64(table[np.uint64(c3 + x)]) - np.int64(table[np.uint64(c2 + x)])
        total += np.int64(table[np.uint64(c1 + x)]) - np.int64(table[np.uint64(c0 + x)])
        out[np.uint64(start + x)] -= np.float32(np.int32(total)) * scale


@kernel
def gather(boxes: BoxTable, positions: NDArray[np.int64], order: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """All features at points, out[point, feature]; points are visited in `order`, a block at a time."""
    table, corners, scales = boxes.table, boxes.corners, boxes.scales
    for start in range(0, order.size, _GATHER_BLOCK):
        block = order[start : start + _GATHER_BLOCK]
        for feature in range(out.shape[1]):
            for point in block:
                out[point, feature] = feature_at(table, corners, scales, positions[point], feature)


@kernel
def dense(boxes: BoxTable, first: int, stride_z: int, stride_y: int, out: NDArray[np.float32]) -> None:
    """All features at all voxels, out[feature, z, y, x]; `first` is the flat position of voxel (0, 0, 0)."""
    table, corners, scales = boxes.table, boxes.corners, boxes.scales
    for feature in range(out.shape[0]):
        for z in range(out.shape[1]):
            for y in range(out.shape[2]):
                row = first + z * stride_z + y * stride_y
                feature_along(table, corners, scales, row, feature, out[feature, z, y], 0, out.shape[3])
