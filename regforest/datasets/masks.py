"""Label images: their values checked, their centroids, and where they lie when two headers disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.errors import DataError
from regforest.spatial import Grid, Landmarks, Volume

__all__ = ["centroids", "edge_score", "grids_agree", "integer_labels", "labels_on_grid"]

MATRIX_TOLERANCE = 1e-3
"""Largest difference between two entries of matrices that count as equal (writers round differently)."""

_EDGE_SMOOTHING_VOX = 0.7
_CLEAR_GAIN = 1.1  # what positions in space must gain in edge score over plain correspondence of voxels


def integer_labels(voxels: NDArray[np.generic], known: Iterable[int], source: str) -> NDArray[np.integer]:
    """Turn a label image into small integers, after checking that it holds whole numbers that have a name.

    Parameters
    ----------
    voxels : ndarray
        Label image as read, of any number type.
    known : iterable of int
        Values that have a name; 0 is background.
    source : str
        File name for messages.

    Returns
    -------
    ndarray of uint8 or int32, same shape

    Raises
    ------
    DataError
        If a value is not a whole number, has no name, or there is no labelled voxel.
    """
    values = np.unique(voxels)
    if not np.equal(values, np.rint(values)).all():
        raise DataError(f"{source}: expected whole numbers as labels, found {_short(values)}; is this an image?")
    named = set(known)
    strange = [int(value) for value in values if value != 0 and int(value) not in named]
    if strange:
        raise DataError(
            f"{source}: expected the values {sorted(named)} of labels.json, found also {_short(strange)}; "
            "name them in labels.json or set them to 0"
        )
    if not values.any():
        raise DataError(f"{source}: expected labelled voxels, found none; draw the labels or remove the case")
    return voxels.astype(np.uint8 if values.max() < 256 else np.int32)


def centroids(labels: Volume, names: Mapping[int, str]) -> Landmarks:
    """Centroid of each structure's voxels, LPS millimetres; structures without a voxel are left out.

    Examples
    --------
    >>> mask = np.zeros((3, 4, 5), np.uint8)
    >>> mask[1, 2, 1:4] = 7
    >>> centroids(Volume(mask, Grid.from_parts((3, 4, 5))), {7: "L3/L4", 8: "L4/L5"})["L3/L4"]
    array([2., 2., 1.])
    """
    index_zyx = np.nonzero(labels.voxels)
    values = labels.voxels[index_zyx].astype(np.int64)
    counts = np.bincount(values)
    sums = [np.bincount(values, index) for index in reversed(index_zyx)]
    present = {value: name for value, name in names.items() if value < len(counts) and counts[value]}
    return Landmarks(
        {
            name: labels.grid.index_to_lps([total[value] / counts[value] for total in sums])
            for value, name in present.items()
        }
    )


def grids_agree(first: Grid, second: Grid) -> bool:
    """Tell whether two grids have one shape and matrices equal to 1e-3."""
    return first.shape_zyx == second.shape_zyx and bool(
        np.abs(first.matrix - second.matrix).max() <= MATRIX_TOLERANCE
    )


def edge_score(mask: NDArray[np.generic], channels: Iterable[NDArray[np.generic]]) -> float:
    """How well the border of a mask lies on edges of images: the mean image slope across it.

    Each image's slope (per voxel, across the border) is divided by the image's standard deviation near the mask, so
    that channels count alike; 0 for an empty mask.

    Parameters
    ----------
    mask : ndarray, shape (z, y, x)
        Non-zero inside; all structures together.
    channels : iterable of ndarray, shape (z, y, x)
        Images on the same voxels.
    """
    boxes = ndimage.find_objects((mask != 0).astype(np.uint8))
    if not boxes:
        return 0.0
    around = tuple(slice(max(0, part.start - 4), part.stop + 4) for part in boxes[0])
    border = _slopes(mask[around] != 0)
    scores = [np.abs(sum(map(np.multiply, border, _slopes(voxels[around]))), dtype=np.float64) for voxels in channels]
    spread = [float(np.std(voxels[around].astype(np.float64))) or 1.0 for voxels in channels]
    weight = float(np.sqrt(sum(np.square(part) for part in border)).sum())
    return float(np.mean([score.sum() / (weight * scale) for score, scale in zip(scores, spread, strict=True)]))


def labels_on_grid(labels: Volume, channels: Mapping[str, Volume], source: str) -> tuple[Volume, str]:
    """Bring a label image onto its scan's grid.

    Headers that agree to 1e-3 are taken as equal. When they disagree, either the voxels correspond (one header
    is wrong) or the positions in space do: the alignment wins that puts the labels' border on edges of the images;
    voxels correspond unless the positions in space do better by 10 %.

    Parameters
    ----------
    labels : Volume
        Label image with its own header.
    channels : mapping of str to Volume
        Images of the scan, on one grid.
    source : str
        File name of the labels, for messages.

    Returns
    -------
    labels : Volume
        On the images' grid.
    note : str
        What was decided; empty when the headers agree.

    Raises
    ------
    DataError
        If the shapes differ.
    """
    image = next(iter(channels.values()))
    if labels.grid.shape_zyx != image.grid.shape_zyx:
        raise DataError(
            f"{source}: expected labels of the image's shape {image.grid.shape_zyx} (z, y, x), found "
            f"{labels.grid.shape_zyx}; resample the labels onto the image"
        )
    by_index = Volume(labels.voxels, image.grid)
    if grids_agree(labels.grid, image.grid):
        return by_index, ""
    in_space = labels.resampled_labels(image.grid)
    voxels = [volume.voxels for volume in channels.values()]
    scores = [edge_score(candidate.voxels, voxels) for candidate in (by_index, in_space)]
    apart = float(np.linalg.norm(labels.grid.corners_lps_mm() - image.grid.corners_lps_mm(), axis=1).max())
    spatial = scores[1] > _CLEAR_GAIN * scores[0]
    note = (
        f"{source}: the headers of labels and image disagree by up to {apart:.1f} mm; aligned "
        + ("by the positions in space" if spatial else "voxel by voxel, against the labels' header")
        + f", judged by the edges under the labels' border (score by voxel {scores[0]:.2f}, in space {scores[1]:.2f})"
    )
    return (in_space if spatial else by_index), note


def _slopes(voxels: NDArray[np.generic]) -> list[NDArray[np.float32]]:
    smooth = voxels.astype(np.float32)
    return [
        ndimage.gaussian_filter(smooth, _EDGE_SMOOTHING_VOX, order=[int(axis == other) for other in range(3)])
        for axis in range(3)
    ]


def _short(values: Iterable[float]) -> str:
    shown = [f"{value:g}" for value in values]
    return ", ".join(shown[:6]) + (f" ... ({len(shown)} values)" if len(shown) > 6 else "")
