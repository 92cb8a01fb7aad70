"""Compiled kernels of the CT phantom: signed distances to shapes, and painting them into a slab of voxels.

A shape is a row of numbers: ``[kind, material, x0, y0, z0, x1, y1, z1, parameters ...]`` in millimetres of the
person; `ct_shapes` writes the rows and says what the parameters mean.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.float32]

CAPSULE, ELLIPSOID, BOX, BODY, SHELL, COLUMN = range(6)
FIRST_PARAMETER = 8
_P = FIRST_PARAMETER
_FAR = 1e3


@kernel
def _capsule(s: FloatArray, x: float, y: float, z: float) -> float:
    """Cone with round ends from a to b, thinned by a factor along one direction."""
    px, py, pz = x - s[_P], y - s[_P + 1], z - s[_P + 2]
    bx, by, bz = s[_P + 3] - s[_P], s[_P + 4] - s[_P + 1], s[_P + 5] - s[_P + 2]
    thin = s[_P + 11]
    t = (px * bx + py * by + pz * bz) / (bx * bx + by * by + bz * bz + 1e-12)
    t = min(max(t, 0.0), 1.0)
    px, py, pz = px - t * bx, py - t * by, pz - t * bz
    along = px * s[_P + 8] + py * s[_P + 9] + pz * s[_P + 10]
    length = math.sqrt(px * px + py * py + pz * pz + (thin * thin - 1.0) * along * along)
    radius = s[_P + 6] + t * (s[_P + 7] - s[_P + 6])
    if thin == 1.0 or length < 1e-9:
        return float(length - radius)
    # a point whose offset is mostly along the thin direction is `thin` times nearer than it looks
    steep = math.sqrt(px * px + py * py + pz * pz + (thin**4 - 1.0) * along * along)
    return float((length - radius) * length / steep)


@kernel
def _ellipsoid(lx: float, ly: float, lz: float, rx: float, ry: float, rz: float) -> float:
    u, v, w = lx / rx, ly / ry, lz / rz
    level = math.sqrt(u * u + v * v + w * w)
    slope = math.sqrt((u / rx) ** 2 + (v / ry) ** 2 + (w / rz) ** 2)
    if slope < 1e-9:
        return -min(rx, ry, rz)
    return level * (level - 1.0) / slope


@kernel
def _box(lx: float, ly: float, lz: float, hx: float, hy: float, hz: float, rounding: float) -> float:
    u, v, w = abs(lx) - hx + rounding, abs(ly) - hy + rounding, abs(lz) - hz + rounding
    outside = math.sqrt(max(u, 0.0) ** 2 + max(v, 0.0) ** 2 + max(w, 0.0) ** 2)
    return outside + min(max(u, v, w), 0.0) - rounding


@kernel
def _body(s: FloatArray, lx: float, ly: float, lz: float) -> float:
    """Vertebral body or disc: oval with a flat back, a waist, hollow endplates, lower in front when wedged."""
    half_width, half_depth, half_height = s[_P + 9], s[_P + 10], s[_P + 11]
    u, v, w = lx / half_width, ly / half_depth, lz / half_height
    round_level = math.sqrt(u * u + v * v)
    level = round_level
    if v > 0.0:
        square_level = math.sqrt(math.sqrt(u**4 + v**4))
        level = 0.25 * round_level + 0.75 * square_level + s[_P + 15] * max(0.0, 1.0 - 3.0 * u * u) * v
    waist = 1.0 - s[_P + 14] * max(0.0, 1.0 - w * w)
    radial = (level - waist) * min(half_width, half_depth)
    front = min(max(0.5 - 0.5 * v, 0.0), 1.0)
    height = half_height * (1.0 - s[_P + 13] * front) - s[_P + 12] * max(0.0, 1.0 - level * level)
    axial = abs(lz) - height
    rounding = 1.2
    a, b = radial + rounding, axial + rounding
    return float(min(max(a, b), 0.0) + math.sqrt(max(a, 0.0) ** 2 + max(b, 0.0) ** 2) - rounding)


@kernel
def _column(s: FloatArray, tables: FloatArray, z0: float, dz: float, x: float, y: float, z: float) -> float:
    """Piece of a stack of ovals, one for each height; optionally only what lies above a dome."""
    if z > s[_P + 5] or z <= s[_P + 6]:
        return _FAR
    table = tables[int(s[_P])]
    place = (z0 - z) / dz
    row = int(place)
    if place < 0.0 or row >= table.shape[0] - 1:
        return _FAR
    f = place - row
    a = table[row, 2] + f * (table[row + 1, 2] - table[row, 2])
    b = table[row, 3] + f * (table[row + 1, 3] - table[row, 3])
    if a < 0.5 or b < 0.5:
        return _FAR
    u = (x - table[row, 0] - f * (table[row + 1, 0] - table[row, 0])) / a
    v = (y - table[row, 1] - f * (table[row + 1, 1] - table[row, 1])) / b
    square = table[row, 4]
    level = math.sqrt(u * u + v * v)
    slope = math.sqrt((u / a) ** 2 + (v / b) ** 2)
    distance = -min(a, b)
    if slope > 1e-9:
        shaped = level
        if square > 0.0:
            shaped = (1.0 - square) * level + square * math.sqrt(math.sqrt(u**4 + v**4))
        distance = level * (shaped - 1.0) / slope
    if s[_P + 4] > 0.0:
        rx, ry = x - s[_P + 1], y - s[_P + 2]
        distance = max(distance, s[_P + 3] - s[_P + 4] * (rx * rx + ry * ry) - z)
    return float(distance)


@kernel
def signed_distance(s: FloatArray, tables: FloatArray, z0: float, dz: float, x: float, y: float, z: float) -> float:
    """Signed distance in millimetres from a point to a shape's surface, negative inside."""
    kind = int(s[0])
    if kind == CAPSULE:
        return _capsule(s, x, y, z)
    if kind == COLUMN:
        return _column(s, tables, z0, dz, x, y, z)
    px, py, pz = x - s[_P], y - s[_P + 1], z - s[_P + 2]
    ax, ay, az = s[_P + 3], s[_P + 4], s[_P + 5]
    bx, by, bz = s[_P + 6], s[_P + 7], s[_P + 8]
    lx, ly = px * ax + py * ay + pz * az, px * bx + py * by + pz * bz
    lz = px * (ay * bz - az * by) + py * (az * bx - ax * bz) + pz * (ax * by - ay * bx)
    if kind == BODY:
        return _body(s, lx, ly, lz)
    if kind == BOX:
        return _box(lx, ly, lz, s[_P + 9], s[_P + 10], s[_P + 11], s[_P + 12])
    distance = _ellipsoid(lx, ly, lz, s[_P + 9], s[_P + 10], s[_P + 11])
    if kind == SHELL:
        half = 0.5 * s[_P + 12]
        cut = s[_P + 13] * px + s[_P + 14] * py + s[_P + 15] * pz - s[_P + 16]
        return float(max(abs(distance + half) - half, cut))
    return distance


@kernel
def _smooth_noise(tile: ImageArray, x: float, y: float, z: float) -> float:
    """Trilinear value of a periodic cube of noise; coordinates in cells."""
    n = tile.shape[0]
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - i, y - j, z - k
    ii, jj, kk = (i + 1) % n, (j + 1) % n, (k + 1) % n
    i, j, k = i % n, j % n, k % n
    low = (tile[k, j, i] * (1 - fx) + tile[k, j, ii] * fx) * (1 - fy)
    low += (tile[k, jj, i] * (1 - fx) + tile[k, jj, ii] * fx) * fy
    high = (tile[kk, j, i] * (1 - fx) + tile[kk, j, ii] * fx) * (1 - fy)
    high += (tile[kk, jj, i] * (1 - fx) + tile[kk, jj, ii] * fx) * fy
    return float(low * (1 - fz) + high * fz)


@kernel
def _fine_noise(tile: ImageArray, x: float, y: float, z: float) -> float:
    n = tile.shape[0]
    return float(tile[math.floor(z) % n, math.floor(y) % n, math.floor(x) % n])


@kernel
def _tissue_value(m: FloatArray, tiles: ImageArray, x: float, y: float, z: float) -> float:
    """HU of a tissue at a point: mean, fine grain, slow drift, and a second component mixed in.

    m: mean HU, fine, coarse, cell of the coarse noise in mm, mode, HU of the second component, threshold, softness.
    Mode 1 mixes it in where slow noise exceeds the threshold (lobules, bowel), mode 2 along the tubes where two
    slow noises are both near zero (vessels in lungs).
    """
    value = m[0]
    if m[1] > 0.0:
        value += m[1] * _fine_noise(tiles[0], x * 1.1, y * 1.1, z * 1.1)
    if m[2] == 0.0 and m[4] == 0.0:
        return float(value)
    cell = m[3]
    slow = _smooth_noise(tiles[1], x / cell, y / cell, z / cell)
    value += m[2] * slow
    if m[4] == 1.0:
        share = min(max((slow - m[6]) / m[7] + 0.5, 0.0), 1.0)
        value += share * (m[5] - value)
    elif m[4] == 2.0:
        other = _smooth_noise(tiles[2], x / cell, y / cell, z / cell)
        share = min(max((m[6] - math.sqrt(slow * slow + other * other)) / m[7] + 0.5, 0.0), 1.0)
        value += share * (m[5] - value)
    return float(value)


@kernel
def paint(
    image: ImageArray,
    clear: ImageArray,
    shapes: FloatArray,
    bounds: NDArray[np.int64],
    frame: FloatArray,
    tables: FloatArray,
    table_frame: FloatArray,
    tissues: FloatArray,
    tiles: ImageArray,
    blur_mm: float,
) -> None:
    """Paint shapes into a slab (z, y, x) in HU, the first one in front, edges blended over `blur_mm`.

    `clear` is the share of each voxel that nothing covers yet: it starts at 1 and what is 0 costs no more time.
    bounds (n, 6): first and one-past-last voxel along z, y, x; frame (4, 3): position of the first voxel and the
    steps along x, y, z.
    """
    for n in range(shapes.shape[0]):
        s = shapes[n]
        tissue = tissues[int(s[1])]
        for k in range(bounds[n, 0], bounds[n, 3]):
            for j in range(bounds[n, 1], bounds[n, 4]):
                for i in range(bounds[n, 2], bounds[n, 5]):
                    left = clear[k, j, i]
                    if left <= 0.0:
                        continue
                    x = frame[0, 0] + i * frame[1, 0] + j * frame[2, 0] + k * frame[3, 0]
                    y = frame[0, 1] + i * frame[1, 1] + j * frame[2, 1] + k * frame[3, 1]
                    z = frame[0, 2] + i * frame[1, 2] + j * frame[2, 2] + k * frame[3, 2]
                    d = signed_distance(s, tables, table_frame[0], table_frame[1], x, y, z)
                    share = min(0.5 - d / blur_mm, 1.0)
                    if share <= 0.0:
                        continue
                    image[k, j, i] += left * share * _tissue_value(tissue, tiles, x, y, z)
                    clear[k, j, i] = left * (1.0 - share)


@kernel
def measure(
    distance: ImageArray,
    owner: NDArray[np.int16],
    shapes: FloatArray,
    bounds: NDArray[np.int64],
    frame: FloatArray,
    tables: FloatArray,
    table_frame: FloatArray,
) -> None:
    """Lower `distance` to that of the union of the shapes; `owner` is the material of the nearest one."""
    for n in range(shapes.shape[0]):
        s = shapes[n]
        material = np.int16(s[1])
        for k in range(bounds[n, 0], bounds[n, 3]):
            for j in range(bounds[n, 1], bounds[n, 4]):
                for i in range(bounds[n, 2], bounds[n, 5]):
                    x = frame[0, 0] + i * frame[1, 0] + j * frame[2, 0] + k * frame[3, 0]
                    y = frame[0, 1] + i * frame[1, 1] + j * frame[2, 1] + k * frame[3, 1]
                    z = frame[0, 2] + i * frame[1, 2] + j * frame[2, 2] + k * frame[3, 2]
                    d = np.float32(signed_distance(s, tables, table_frame[0], table_frame[1], x, y, z))
                    if d < distance[k, j, i]:
                        distance[k, j, i] = d
                        owner[k, j, i] = material


@kernel
def shade_bone(
    image: ImageArray,
    clear: ImageArray,
    distance: ImageArray,
    owner: NDArray[np.int16],
    bones: FloatArray,
    frame: FloatArray,
    tiles: ImageArray,
    blur_mm: float,
) -> None:
    """Turn the distance to bone into HU: a cortical shell around trabecular bone with grain.

    bones (m, 4): cortical HU, trabecular HU, thickness of the cortex in mm, grain in HU.
    """
    for k in range(image.shape[0]):
        for j in range(image.shape[1]):
            for i in range(image.shape[2]):
                outer = min(0.5 - distance[k, j, i] / blur_mm, 1.0)
                left = clear[k, j, i]
                if outer <= 0.0 or left <= 0.0:
                    continue
                b = bones[owner[k, j, i]]
                x = frame[0, 0] + i * frame[1, 0] + j * frame[2, 0] + k * frame[3, 0]
                y = frame[0, 1] + i * frame[1, 1] + j * frame[2, 1] + k * frame[3, 1]
                z = frame[0, 2] + i * frame[1, 2] + j * frame[2, 2] + k * frame[3, 2]
                inner = min(max(0.5 - (distance[k, j, i] + b[2]) / blur_mm, 0.0), 1.0)
                grain = _fine_noise(tiles[0], x * 0.9, y * 0.9, z * 0.9)
                grain += _smooth_noise(tiles[1], x / 2.5, y / 2.5, z / 2.5)
                image[k, j, i] += left * outer * (b[0] + inner * (b[1] + b[3] * grain - b[0]))
                clear[k, j, i] = left * (1.0 - outer)
