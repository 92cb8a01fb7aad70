"""Compiled kernels of this layer: the summed-volume table and the boxes read from it.

The table is int32 and wraps around; a difference of its corners, cut back to 32 bits, is exact all the same. numba
promotes int32 arithmetic to 64 bits, hence the casts. A box mean is ``float32(sum) * float32(1 / count)`` wherever
it is computed, so that dense and gathered values agree bit for bit. Unsigned positions spare numba's treatment of
negative indices, which would keep loops from being vectorised.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
def integrate(
    voxels: NDArray[np.int16],
    padding_zyx: tuple[int, int, int],
    first_plane: int,
    row_start: int,
    row_stop: int,
    table: NDArray[np.int32],
) -> None:
    """Fill rows `row_start` up to `row_stop` of every plane of a table of edge-padded voxels; modulo 2**32.

    table[z, y, x] is the sum of what stands before (z, y, x) in the padded voxels from plane `first_plane` on. The
    sums over one plane are kept, and used again for the planes of the padding. Ranges of rows are independent: each
    adds up the rows before it by itself.
    """
    pad_z, pad_y, pad_x = padding_zyx
    size_z, size_y = voxels.shape[0], voxels.shape[1]
    columns = table.shape[2]
    row = np.zeros(columns, np.int32)
    plane = np.zeros((row_stop - row_start, columns), np.int32)
    table[0, row_start:row_stop] = 0
    previous_z = -1
    for z in range(table.shape[0] - 1):
        source_z = min(max(first_plane + z - pad_z, 0), size_z - 1)
        if source_z != previous_z:
            previous_z = source_z
            sum_rows(voxels[source_z], pad_y, pad_x, row_start, plane[0])
            previous_y = -1
            for y in range(row_start, row_stop - 1):
                source_y = min(max(y - pad_y, 0), size_y - 1)
                if source_y != previous_y:
                    previous_y = source_y
                    running_sum(voxels[source_z, source_y], pad_x, row)
                add_rows(plane[y - row_start], row, plane[y - row_start + 1])
        for y in range(row_start, row_stop):
            add_rows(table[z, y], plane[y - row_start], table[z + 1, y])


@kernel
def sum_rows(plane: NDArray[np.int16], pad_y: int, pad_x: int, rows: int, out: NDArray[np.int32]) -> None:
    """Write the exclusive running sum of the sum of the first `rows` lines of an edge-padded plane."""
    line = np.zeros(plane.shape[1], np.int32)
    for y in range(rows):
        add_rows(line, plane[min(max(y - pad_y, 0), plane.shape[0] - 1)], line)
    running_sum(line, pad_x, out)


@kernel
def running_sum(line: NDArray[np.integer[Any]], pad: int, out: NDArray[np.int32]) -> None:
    """Write the exclusive running sum of an edge-padded line."""
    total = np.int32(0)
    first, last = np.int32(line[0]), np.int32(line[line.size - 1])
    out[0] = 0
    for x in range(pad):
        total = np.int32(np.int64(total) + first)
        out[x + 1] = total
    for x in range(line.size):
        total = np.int32(np.int64(total) + line[x])
        out[np.uint64(pad + x + 1)] = total
    for x in range(pad + line.size, out.size - 1):
        total = np.int32(np.int64(total) + last)
        out[x + 1] = total


@kernel
def add_rows(a: NDArray[np.int32], b: NDArray[np.integer[Any]], out: NDArray[np.int32]) -> None:
    """Add element by element, modulo 2**32."""
    for x in range(out.size):
        out[x] = np.int32(np.int64(a[x]) + np.int64(b[x]))


@kernel
def regroup_columns(table: NDArray[np.int32], step: int, out: NDArray[np.int32]) -> None:
    """Reorder each row so that every `step`-th number follows the other: out[.., x % step, x // step]."""
    for plane in range(table.shape[0]):
        for y in range(table.shape[1]):
            for phase in range(step):
                for x in range((table.shape[2] - phase + step - 1) // step):
                    out[plane, y, phase, x] = table[plane, y, np.uint64(phase + step * x)]


@kernel
def corner(table: NDArray[np.int32], position: int, offset: int) -> np.int64:
    """Read one corner of a box, as 64 bits."""
    return np.int64(table[np.uint64(position + offset)])


@kernel
def feature_at(
    table: NDArray[np.int32], corners: NDArray[np.int32], scales: NDArray[np.float32], position: int, feature: int
) -> float:
    """One feature of the voxel at a flat position: a box mean, or a difference of two, as float32.

    The second box is read even if it is absent (its corners are one, its scale is 0): a branch here costs more.
    """
    c = corners[feature]
    first = corner(table, position, c[7]) - corner(table, position, c[6])
    first -= corner(table, position, c[5]) - corner(table, position, c[4])
    first -= corner(table, position, c[3]) - corner(table, position, c[2])
    first += corner(table, position, c[1]) - corner(table, position, c[0])
    second = corner(table, position, c[15]) - corner(table, position, c[14])
    second -= corner(table, position, c[13]) - corner(table, position, c[12])
    second -= corner(table, position, c[11]) - corner(table, position, c[10])
    second += corner(table, position, c[9]) - corner(table, position, c[8])
    value: float = np.float32(np.int32(first)) * scales[feature, 0]
    value -= np.float32(np.int32(second)) * scales[feature, 1]
    return value


@kernel
def feature_along(
    table: NDArray[np.int32],
    corners: NDArray[np.int32],
    scales: NDArray[np.float32],
    position: int,
    feature: int,
    out: NDArray[np.float32],
) -> None:
    """One feature of the voxels that follow each other in a row from a position on, as many as `out` holds.

    Each loop reads the eight corners of one box: beyond that many streams that might overlap the output the
    compiler gives up vector instructions.
    """
    scale = scales[feature, 0]
    c0, c1 = position + corners[feature, 0], position + corners[feature, 1]
    c2, c3 = position + corners[feature, 2], position + corners[feature, 3]
    c4, c5 = position + corners[feature, 4], position + corners[feature, 5]
    c6, c7 = position + corners[feature, 6], position + corners[feature, 7]
    for x in range(out.size):
        total = np.int64(table[np.uint64(c7 + x)]) - np.int64(table[np.uint64(c6 + x)])
        total -= np.int64(table[np.uint64(c5 + x)]) - np.int64(table[np.uint64(c4 + x)])
        total -= np.int64(table[np.uint64(c3 + x)]) - np.int64(table[np.uint64(c2 + x)])
        total += np.int64(table[np.uint64(c1 + x)]) - np.int64(table[np.uint64(c0 + x)])
        out[np.uint64(x)] = np.float32(np.int32(total)) * scale
    scale = scales[feature, 1]
    if scale == 0:
        return
    c0, c1 = position + corners[feature, 8], position + corners[feature, 9]
    c2, c3 = position + corners[feature, 10], position + corners[feature, 11]
    c4, c5 = position + corners[feature, 12], position + corners[feature, 13]
    c6, c7 = position + corners[feature, 14], position + corners[feature, 15]
    for x in range(out.size):
        total = np.int64(table[np.uint64(c7 + x)]) - np.int64(table[np.uint64(c6 + x)])
        total -= np.int64(table[np.uint64(c5 + x)]) - np.int64(table[np.uint64(c4 + x)])
        total -= np.int64(table[np.uint64(c3 + x)]) - np.int64(table[np.uint64(c2 + x)])
        total += np.int64(table[np.uint64(c1 + x)]) - np.int64(table[np.uint64(c0 + x)])
        out[np.uint64(x)] -= np.float32(np.int32(total)) * scale


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
def dense(boxes: BoxTable, first: int, step_z: int, step_y: int, out: NDArray[np.float32]) -> None:
    """All features at all voxels, out[feature, z, y, x]; `first` and the steps are flat positions."""
    table, corners, scales = boxes.table, boxes.corners, boxes.scales
    for feature in range(out.shape[0]):
        for z in range(out.shape[1]):
            for y in range(out.shape[2]):
                row = first + z * step_z + y * step_y
                feature_along(table, corners, scales, row, feature, out[feature, z, y])
