"""Compiled kernel of coarse to fine: from one stride to half of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest._jit import kernel


@kernel
def refine_plane(
    coarse: NDArray[np.float32],
    background: int,
    least: float,
    z: int,
    maps: NDArray[np.float32],
    wanted: NDArray[np.bool_],
) -> None:
    """Fill a plane of maps (output, z, y, x) of half the stride, and say which of its voxels to look at closely.

    maps[k, z, y, x] = coarse[k, z // 2, y // 2, x // 2]. Wanted are the voxels between those of `coarse` at which the
    foreground, interpolated between these, is above `least`.
    """
    _, planes, rows, columns = coarse.shape
    below, above = z // 2, min((z + 1) // 2, planes - 1)
    line = np.empty(columns + 1, np.float32)  # sums of four voxels, the last one repeated
    most = np.float32(8 * (1 - least))
    for y in range(maps.shape[2]):
        front, back = y // 2, min((y + 1) // 2, rows - 1)
        near, far = coarse[background, below], coarse[background, above]
        for x in range(columns):
            line[x] = (near[front, x] + near[back, x]) + (far[front, x] + far[back, x])
        line[columns] = line[columns - 1]
        for x in range(maps.shape[3]):
            wanted[z, y, x] = line[x // 2] + line[(x + 1) // 2] < most
        if z % 2 == 0 and y % 2 == 0:
            wanted[z, y, ::2] = False
        for k in range(maps.shape[0]):
            target, row = maps[k, z, y], coarse[k, below, front]
            for x in range(target.size):
                target[x] = row[x // 2]
