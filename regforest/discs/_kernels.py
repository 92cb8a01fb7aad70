"""Compiled kernels of the data-driven estimate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel


@kernel
def integrate(padded: NDArray[np.float32], out_sum: NDArray[np.float64], out_square: NDArray[np.float64]) -> None:
    """Write the integral volumes of the values and of their squares, one larger than `padded` along each axis."""
    depth, height, width = padded.shape
    out_sum[0], out_square[0] = 0.0, 0.0
    for z in range(depth):
        out_sum[z + 1, 0], out_square[z + 1, 0] = 0.0, 0.0
        for y in range(height):
            line, line_square = 0.0, 0.0
            out_sum[z + 1, y + 1, 0], out_square[z + 1, y + 1, 0] = 0.0, 0.0
            for x in range(width):
                value = np.float64(padded[z, y, x])
                line += value
                line_square += value * value
                out_sum[z + 1, y + 1, x + 1] = line + out_sum[z + 1, y, x + 1]
                out_square[z + 1, y + 1, x + 1] = line_square + out_square[z + 1, y, x + 1]
        for y in range(1, height + 1):
            for x in range(1, width + 1):
                out_sum[z + 1, y, x] += out_sum[z, y, x]
                out_square[z + 1, y, x] += out_square[z, y, x]


@kernel
def block_moments(
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
    first: int,
    block: int,
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
) -> None:
    """Write mean and deviation of the cube of `block` voxels that begins `first` after each voxel of the padding."""
    depth, height, width = mean.shape
    share = 1.0 / block**3
    total, square = np.empty(width + block), np.empty(width + block)
    for z in range(depth):
        z0, z1 = z + first, z + first + block
        for y in range(height):
            y0, y1 = y + first, y + first + block
            # slices that begin at 0 let the loops be vectorised
            a, b, c, d = sums[z0, y0, first:], sums[z0, y1, first:], sums[z1, y0, first:], sums[z1, y1, first:]
            e, f = squares[z0, y0, first:], squares[z0, y1, first:]
            g, h = squares[z1, y0, first:], squares[z1, y1, first:]
            for x in range(width + block):
                total[x] = (d[x] - c[x]) - (b[x] - a[x])
                square[x] = (h[x] - g[x]) - (f[x] - e[x])
            out_mean, out_deviation = mean[z, y], deviation[z, y]
            for x in range(width):
                average = (total[x + block] - total[x]) * share
                out_mean[x] = average
                variance = (square[x + block] - square[x]) * share - average * average
                out_deviation[x] = np.sqrt(np.float32(max(variance, 0.0)))


@kernel
def gather_blocks(
    table: NDArray[np.float32],
    index_zyx: NDArray[np.int64],
    steps: NDArray[np.int64],
    out: NDArray[np.float32],
    column: int,
) -> None:
    """Copy the values at index + steps (every combination, the edge repeats) into the columns of `out`."""
    depth, height, width = table.shape
    for row in range(len(index_zyx)):
        at = column
        for dz in steps:
            z = min(max(index_zyx[row, 0] + dz, 0), depth - 1)
            for dy in steps:
                line = table[z, min(max(index_zyx[row, 1] + dy, 0), height - 1)]
                for dx in steps:
                    out[row, at] = line[min(max(index_zyx[row, 2] + dx, 0), width - 1)]
                    at += 1


@kernel
def dominant_mode(
    offsets: NDArray[np.float32],
    weights: NDArray[np.float64],
    kernel_mm: float,
    out_mean: NDArray[np.float64],
    out_weight: NDArray[np.float64],
) -> None:
    """Write, per row, the mean of the offsets (k, 3) that support the best supported one, and their weight."""
    rows, k = weights.shape
    agreement = np.empty((k, k))
    for row in range(rows):
        best, most = 0, -np.inf
        for i in range(k):
            support = 0.0
            for j in range(k):
                squared = 0.0
                for axis in range(3):
                    away = np.float64(offsets[row, i, axis]) - np.float64(offsets[row, j, axis])
                    squared += away * away
                agreement[i, j] = np.exp(-0.5 * squared / kernel_mm**2) * weights[row, j]
                support += agreement[i, j]
            if weights[row, i] > 0 and support > most:
                best, most = i, support
        out_weight[row] = agreement[best].sum()
        for axis in range(3):
            total = 0.0
            for j in range(k):
                total += agreement[best, j] * offsets[row, j, axis]
            out_mean[row, axis] = total / out_weight[row]
