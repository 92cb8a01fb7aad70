"""Compiled kernels of this layer; all of them read the source in its own number type."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel

ROWS = 24
"""Rows of the result that `resample_rows` makes at once: what it keeps of them stays in the cache."""


class Taps(NamedTuple):
    """Weighted sum of source voxels for each sample along one axis.

    A weight of 0 stands beside a place that has a weight already: no voxel is read for nothing, and a value that is
    not finite reaches only the samples that use it.

    Attributes
    ----------
    places : ndarray of int64, shape (samples, taps)
        Source voxels, inside the image.
    weights : ndarray of float32, shape (samples, taps)
        What each of them counts.
    """

    places: NDArray[np.int64]
    weights: NDArray[np.float32]


@kernel
def resample_rows(
    source: NDArray[Any], taps_z: Taps, taps_y: Taps, taps_x: Taps, top: int, out: NDArray[np.float32]
) -> None:
    """Resample along y, x and then z: rows ``top`` to ``top + ROWS`` of each plane of ``out``.

    Source planes are taken one after the other; those that the next samples along z need as well are kept.
    """
    depth, height, width = out.shape
    count, kept = min(ROWS, height - top), taps_z.places.shape[1]
    left = taps_x.places.min()
    columns = Taps(taps_x.places - left, taps_x.weights)
    rows = np.empty((ROWS, taps_x.places.max() + 1 - left), np.float32)
    planes = np.empty((kept, ROWS, width), np.float32)
    held = np.full(kept, -1, np.int64)
    for z in range(depth):
        target = out[z, top : top + count].reshape(-1)
        for k in range(kept):
            plane = taps_z.places[z, k]
            slot = plane % kept
            if held[slot] != plane:
                held[slot] = plane
                _blend_rows(source[plane], taps_y, top, left, rows)
                _blend_columns(rows, columns, planes[slot])
            _weigh(planes[slot, :count].reshape(-1), taps_z.weights[z, k], k == 0, target)


@kernel
def _blend_rows(plane: NDArray[Any], taps: Taps, top: int, left: int, out: NDArray[np.float32]) -> None:
    """Resample along y, from column `left` on; rows past the last one repeat it."""
    for i in range(ROWS):
        y, target = min(top + i, len(taps.places) - 1), out[i]
        for k in range(taps.places.shape[1]):
            _weigh(plane[taps.places[y, k], left : left + target.size], taps.weights[y, k], k == 0, target)


@kernel
def _weigh(row: NDArray[Any], weight: np.float32, is_first: bool, target: NDArray[np.float32]) -> None:
    """Start the weighted sum with a row, or add the row to it."""
    if is_first:
        for i in range(target.size):
            target[i] = weight * np.float32(row[i])
    elif weight != 0.0:
        for i in range(target.size):
            target[i] += weight * np.float32(row[i])


@kernel
def _blend_columns(rows: NDArray[np.float32], taps: Taps, out: NDArray[np.float32]) -> None:
    """Resample along x, eight rows at a time: looking up the taps costs as much as using them."""
    for i in range(0, ROWS, 8):
        row_a, row_b, row_c, row_d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        row_e, row_f, row_g, row_h = rows[i + 4], rows[i + 5], rows[i + 6], rows[i + 7]
        for x in range(out.shape[1]):
            a = b = c = d = e = f = g = h = np.float32(0.0)
            for k in range(taps.places.shape[1]):
                weight, place = taps.weights[x, k], taps.places[x, k]
                a += weight * row_a[place]
                b += weight * row_b[place]
                c += weight * row_c[place]
                d += weight * row_d[place]
                e += weight * row_e[place]
                f += weight * row_f[place]
                g += weight * row_g[place]
                h += weight * row_h[place]
            out[i, x], out[i + 1, x], out[i + 2, x], out[i + 3, x] = a, b, c, d
            out[i + 4, x], out[i + 5, x], out[i + 6, x], out[i + 7, x] = e, f, g, h


@kernel
def interpolate_affine(
    source: NDArray[Any], to_source: NDArray[np.float64], first: int, last: int, out: NDArray[np.float32]
) -> None:
    """Interpolate linearly: out[z, y, x] = source at the index (x, y, z) that `to_source` (3, 4) maps it to.

    Planes `first` to `last` (exclusive) are filled. Beyond the border the edge repeats.
    """
    depth, height, width = source.shape
    right, below, behind = min(1, width - 1), min(1, height - 1), min(1, depth - 1)
    for z in range(first, last):
        for y in range(out.shape[1]):
            start_x = to_source[0, 1] * y + to_source[0, 2] * z + to_source[0, 3]
            start_y = to_source[1, 1] * y + to_source[1, 2] * z + to_source[1, 3]
            start_z = to_source[2, 1] * y + to_source[2, 2] * z + to_source[2, 3]
            for x in range(out.shape[2]):
                sx = min(max(start_x + to_source[0, 0] * x, 0.0), width - 1.0)
                sy = min(max(start_y + to_source[1, 0] * x, 0.0), height - 1.0)
                sz = min(max(start_z + to_source[2, 0] * x, 0.0), depth - 1.0)
                x0, y0 = min(int(sx), width - 1 - right), min(int(sy), height - 1 - below)
                z0 = min(int(sz), depth - 1 - behind)
                fx, fy, fz = np.float32(sx - x0), np.float32(sy - y0), np.float32(sz - z0)
                x1 = x0 + right
                a = _between(source[z0, y0], x0, x1, fx)
                b = _between(source[z0, y0 + below], x0, x1, fx)
                c = _between(source[z0 + behind, y0], x0, x1, fx)
                d = _between(source[z0 + behind, y0 + below], x0, x1, fx)
                ab = a * (1 - fy) + b * fy
                cd = c * (1 - fy) + d * fy
                out[z, y, x] = ab + (cd - ab) * fz


@kernel
def _between(row: NDArray[Any], x0: int, x1: int, share: np.float32) -> np.float32:
    start = np.float32(row[x0])
    return start + (np.float32(row[x1]) - start) * share


@kernel
def pick_parallel(
    source: NDArray[Any],
    index_z: NDArray[np.int64],
    index_y: NDArray[np.int64],
    index_x: NDArray[np.int64],
    first: int,
    last: int,
    out: NDArray[Any],
) -> None:
    """out[z, y, x] = source[index_z[z], index_y[y], index_x[x]] for planes `first` to `last`, 0 where one is < 0."""
    for z in range(first, last):
        for y in range(out.shape[1]):
            if index_z[z] < 0 or index_y[y] < 0:
                out[z, y] = 0
                continue
            row, target = source[index_z[z], index_y[y]], out[z, y]
            for x in range(target.size):
                target[x] = 0
                if index_x[x] >= 0:
                    target[x] = row[index_x[x]]


@kernel
def pick_affine(
    source: NDArray[Any], to_source: NDArray[np.float64], first: int, last: int, out: NDArray[Any]
) -> None:
    """Take the voxel nearest to the index (x, y, z) that `to_source` (3, 4) maps to, 0 beyond the border.

    Planes `first` to `last` (exclusive) are filled. Halfway between two voxels, the later one is taken.
    """
    depth, height, width = source.shape
    for z in range(first, last):
        for y in range(out.shape[1]):
            start_x = to_source[0, 3] + to_source[0, 2] * z + to_source[0, 1] * y
            start_y = to_source[1, 3] + to_source[1, 2] * z + to_source[1, 1] * y
            start_z = to_source[2, 3] + to_source[2, 2] * z + to_source[2, 1] * y
            for x in range(out.shape[2]):
                sx = int(np.floor(start_x + to_source[0, 0] * x + 0.5))
                sy = int(np.floor(start_y + to_source[1, 0] * x + 0.5))
                sz = int(np.floor(start_z + to_source[2, 0] * x + 0.5))
                out[z, y, x] = 0
                if 0 <= sx < width and 0 <= sy < height and 0 <= sz < depth:
                    out[z, y, x] = source[sz, sy, sx]
