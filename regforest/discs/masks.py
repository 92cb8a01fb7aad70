"""From probability maps to one label image on the input grid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.spatial import Grid, Volume

__all__ = ["label_image", "largest_component", "mask_centre"]

FloatArray = NDArray[np.float64]


def label_image(maps: Mapping[int, Volume], threshold: float, grid: Grid) -> Volume:
    """Threshold maps (label value -> probability) on a grid; the likelier of two structures has a voxel.

    Each structure keeps its largest component; 0 is background.
    """
    labels = np.zeros(grid.shape_zyx, np.min_scalar_type(max(maps, default=1)))
    strongest = np.full(grid.shape_zyx, threshold, np.float32)
    claims = {}
    for value, volume in maps.items():
        block, probability = _on_grid(volume, grid)
        better = probability >= strongest[block]
        strongest[block][better] = probability[better]
        labels[block][better] = value
        claims[value] = block
    for value, block in claims.items():
        own = labels[block] == value
        labels[block][own & ~largest_component(own)] = 0
    return Volume(labels, grid)


def mask_centre(volume: Volume, threshold: float) -> FloatArray | None:
    """Centroid of the mask of one structure, LPS millimetres; None where it is empty."""
    index = np.argwhere(largest_component(volume.voxels >= threshold))
    return volume.grid.index_to_lps(index.mean(axis=0)[::-1]) if len(index) else None


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest face-connected component and fill its holes."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == sizes.argmax()))


def _on_grid(volume: Volume, grid: Grid) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
    """Resample a probability map on the block of the grid that it covers; 0 outside the map."""
    index = grid.lps_to_index(volume.grid.corners_lps_mm())
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.asarray(grid.size_xyz))
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low, np.asarray(grid.size_xyz))
    block = tuple(slice(int(a), int(b)) for a, b in zip(low[::-1], high[::-1], strict=True))
    if (high == low).any():
        return block, np.zeros([s.stop - s.start for s in block], np.float32)
    probability = volume.resampled(grid.cropped(low, (high - low)[::-1].tolist())).voxels
    return block, np.asarray(probability, dtype=np.float32)
