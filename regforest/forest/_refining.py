"""Compiled kernels of coarse to fine: from one stride to half of it, plane by plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel


@kernel
def mark_planes(
    background: NDArray[np.float32], least: float, plane_start: int, plane_stop: int, wanted: NDArray[np.bool_]
) -> None:
    """Mark the voxels of some planes of half the stride where the foreground, interpolated, is above `least`.

    `background` holds its probability at every second voxel along each axis; these are not marked.
    """
    planes, rows, columns = background.shape
    line = np.empty(columns + 1, np.float32)  # sums of four voxels, the last one repeated
    most = np.float32(8 * (1 - least))
    for z in range(plane_start, plane_stop):
        near, far = background[z // 2], background[min((z + 1) // 2, planes - 1)]
        for y in range(wanted.shape[1]):
            front, back = y // 2, min((y + 1) // 2, rows - 1)
            for x in range(columns):
                line[x] = (near[front, x] + near[back, x]) + (far[front, x] + far[back, x])
            line[columns] = line[columns - 1]
            for x in range(wanted.shape[2]):
                wanted[z, y, x] = line[x // 2] + line[(x + 1) // 2] < most
            if z % 2 == 0 and y % 2 == 0:
                wanted[z, y, ::2] = False


@kernel
def spread_planes(coarse: NDArray[np.float32], plane_start: int, plane_stop: int, maps: NDArray[np.float32]) -> None:
    """Fill planes of all maps from voxels of twice the size.

    maps[k, z, y, x] = coarse[k, z // 2, y // 2, x // 2]
    """
    for k in range(maps.shape[0]):
        for z in range(plane_start, plane_stop):
            for y in range(maps.shape[2]):
                row, target = coarse[k, z // 2, y // 2], maps[k, z, y]
                for x in range(target.size):
                    target[np.uint64(x)] = row[np.uint64(x) // np.uint64(2)]
