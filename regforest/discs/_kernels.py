"""Compiled kernels of the data-driven estimate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel


@kernel
def smallest_of_rows(
    values: NDArray[np.float32], out_value: NDArray[np.float32], out_index: NDArray[np.int64]
) -> None:
    """Write the k smallest values of each row, ascending, and their columns (insertion into a short list)."""
    rows, columns = values.shape
    k = out_value.shape[1]
    for row in range(rows):
        best, index = out_value[row], out_index[row]
        best[:] = np.inf
        for column in range(columns):
            value = values[row, column]
            if value < best[k - 1]:
                place = k - 1
                while place > 0 and best[place - 1] > value:
                    best[place] = best[place - 1]
                    index[place] = index[place - 1]
                    place -= 1
                best[place] = value
                index[place] = column


@kernel
def interpolate_affine(source: NDArray[np.float32], to_source: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Interpolate linearly: out[z, y, x] = source at the index (x, y, z) that `to_source` (3, 4) maps it to.

    Beyond the border the edge repeats.
    """
    depth, height, width = source.shape
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                sx = to_source[0, 0] * x + to_source[0, 1] * y + to_source[0, 2] * z + to_source[0, 3]
                sy = to_source[1, 0] * x + to_source[1, 1] * y + to_source[1, 2] * z + to_source[1, 3]
                sz = to_source[2, 0] * x + to_source[2, 1] * y + to_source[2, 2] * z + to_source[2, 3]
                sx = min(max(sx, 0.0), width - 1.0)
                sy = min(max(sy, 0.0), height - 1.0)
                sz = min(max(sz, 0.0), depth - 1.0)
                x0 = min(int(sx), max(width - 2, 0))
                y0 = min(int(sy), max(height - 2, 0))
                z0 = min(int(sz), max(depth - 2, 0))
                x1 = min(x0 + 1, width - 1)
                y1 = min(y0 + 1, height - 1)
                z1 = min(z0 + 1, depth - 1)
                fx, fy, fz = sx - x0, sy - y0, sz - z0
                low = (source[z0, y0, x0] * (1 - fx) + source[z0, y0, x1] * fx) * (1 - fy) + (
                    source[z0, y1, x0] * (1 - fx) + source[z0, y1, x1] * fx
                ) * fy
                high = (source[z1, y0, x0] * (1 - fx) + source[z1, y0, x1] * fx) * (1 - fy) + (
                    source[z1, y1, x0] * (1 - fx) + source[z1, y1, x1] * fx
                ) * fy
                out[z, y, x] = low * (1 - fz) + high * fz
