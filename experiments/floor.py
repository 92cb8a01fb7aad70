"""The floor of a segmentation: the mean training mask, pasted at the found centre without a look at the image.

Structures of the spine are so much alike that this alone scores a high Dice; what a method reaches above it is what
it owes to the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume

__all__ = ["mask_shapes", "mean_shapes", "pasted"]

Shapes = Mapping[str, NDArray[np.float32]]

_REACH_MM, _STEP_MM = 36.0, 1.5
_COUNT = 2 * int(_REACH_MM / _STEP_MM) + 1
_SHARE = 0.5


def mask_shapes(scan: AnnotatedScan) -> dict[str, NDArray[np.float32]]:
    """Sample the mask of each structure on a lattice around its centre.

    Returns
    -------
    dict of str to ndarray, shape (z, y, x)
        Structure -> share of mask at the lattice's points, along the LPS axes; empty without masks.
    """
    if scan.labels is None:
        return {}
    axis = np.arange(_COUNT) * _STEP_MM - _REACH_MM
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    lattice = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    shapes = {}
    for name in scan.landmarks:
        index = scan.labels.grid.lps_to_index(lattice + scan.landmarks[name])[:, ::-1].T
        values = ndimage.map_coordinates(scan.mask(name), index, output=np.float32, order=1, mode="constant")
        shapes[name] = np.asarray(values).reshape(_COUNT, _COUNT, _COUNT)
    return shapes


def mean_shapes(scans: Iterable[Shapes]) -> dict[str, NDArray[np.float32]]:
    """Average the shapes of each structure over the scans that have it."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    for shapes in scans:
        for name, shape in shapes.items():
            found.setdefault(name, []).append(shape)
    return {name: np.mean(shapes, axis=0, dtype=np.float32) for name, shapes in found.items()}


def pasted(shapes: Shapes, landmarks: Landmarks, grid: Grid, label_names: Mapping[int, str]) -> Volume:
    """Label the voxels where a structure's mean mask, centred at its landmark, holds at least half.

    Where two structures claim a voxel, the larger share has it.
    """
    labels = np.zeros(grid.shape_zyx, np.min_scalar_type(max(label_names, default=1)))
    strongest = np.full(grid.shape_zyx, _SHARE, np.float32)
    for value, name in label_names.items():
        if name not in landmarks or name not in shapes:
            continue
        centre = landmarks[name]
        block = _block(grid, centre)
        zyx = np.stack(np.meshgrid(*(np.arange(part.start, part.stop) for part in block), indexing="ij"), axis=-1)
        offset_mm = grid.index_to_lps(zyx[..., ::-1]) - centre
        index = np.moveaxis((offset_mm + _REACH_MM) / _STEP_MM, -1, 0)[::-1]
        share = ndimage.map_coordinates(shapes[name], index, order=1, mode="constant")
        better = share >= strongest[block]
        strongest[block][better] = share[better]
        labels[block][better] = value
    return Volume(labels, grid)


def _block(grid: Grid, centre: NDArray[np.float64]) -> tuple[slice, ...]:
    """Voxels of the grid within reach of a centre."""
    corners = centre + _REACH_MM * np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    index = grid.lps_to_index(corners)
    size = np.asarray(grid.size_xyz)
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, size)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low, size)
    return tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
