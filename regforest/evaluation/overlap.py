"""Masks against masks: Dice, surface distances and centres of structures (IVDM3Seg's rules).

All distances are millimetres on the image's own grid, whatever its spacing or obliqueness. Surface voxels are voxels
of a mask with one of their six neighbours outside it (beyond the image counts as outside).

Empty masks never improve a mean:

- reference present, prediction empty, or overlapping by a Dice below 0.1 %: the structure is MISSED; its distances
  (localization too) are the diagonal of the case's label grid, edge to edge: size x spacing along each axis,
  458.24 mm for 36 x 256 x 256 voxels of 2 x 1.25 x 1.25 mm;
- reference empty, prediction present: Dice 0, distances the diagonal in `compare_masks`; in `evaluate_structures`,
  where annotations need not name every visible structure, it is not a row;
- both empty: undefined (NaN), no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from regforest.errors import DataError
from regforest.spatial import Grid, Volume

__all__ = [
    "MISSING_DICE",
    "MaskScores",
    "compare_labels",
    "compare_masks",
    "diagonal_mm",
    "divide_among",
    "divided_labels",
]

MISSING_DICE = 0.001
"""A structure with a smaller Dice coefficient counts as missed."""

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class MaskScores:
    """Agreement of two masks: Dice coefficient; mean symmetric surface, Hausdorff and centroid distance in mm."""

    dice: float
    surface_mm: float
    hausdorff_mm: float
    centroid_mm: float


def diagonal_mm(grid: Grid) -> float:
    """Diagonal of the field of view, edge to edge.

    Examples
    --------
    >>> round(diagonal_mm(Grid.from_parts((256, 256, 36), spacing_mm=(2, 1.25, 1.25))), 2)
    458.24
    """
    return float(np.linalg.norm(grid.extent_mm))


def compare_masks(predicted: BoolArray, reference: BoolArray, grid: Grid) -> MaskScores:
    """Compare two masks of one structure.

    Parameters
    ----------
    predicted, reference : ndarray of bool, shape (z, y, x)
        On `grid`.
    grid : Grid
        Gives the millimetres.

    Raises
    ------
    DataError
        If a mask does not have the grid's shape.

    Examples
    --------
    >>> grid = Grid.from_parts((1, 1, 4), spacing_mm=(2, 1, 1))
    >>> left, right = np.zeros((2, 1, 1, 4), bool)
    >>> left[..., :2], right[..., 1:3] = True, True
    >>> compare_masks(left, right, grid)
    MaskScores(dice=0.5, surface_mm=1.0, hausdorff_mm=2.0, centroid_mm=2.0)
    """
    if not predicted.shape == reference.shape == grid.shape_zyx:
        raise DataError(
            f"masks must have the grid's shape {grid.shape_zyx}, got {predicted.shape} and {reference.shape}"
        )
    block = ndimage.find_objects((predicted | reference).astype(np.uint8))
    if not block:
        return MaskScores(*[float("nan")] * 4)
    start_zyx = np.array([part.start for part in block[0]])
    return _compare_block(predicted[block[0]], reference[block[0]], start_zyx, grid)


def compare_labels(
    predicted: Volume, predicted_names: Mapping[int, str], reference: Volume, names: Mapping[int, str], case: str
) -> dict[str, MaskScores]:
    """Compare label images structure by structure, by name.

    Parameters
    ----------
    predicted, reference : Volume
        Integer labels on one grid.
    predicted_names, names : mapping of int to str
        Value -> structure of each. Without names for the prediction it is binary, see `divide_among`.
    case : str
        For messages.

    Returns
    -------
    dict of str to MaskScores
        Of every structure that the reference holds.

    Raises
    ------
    DataError
        If the grids differ.
    """
    if not predicted_names:
        predicted, predicted_names = divided_labels(predicted, reference, case), names
    _require_one_grid(predicted, reference, case)
    found = predicted.voxels
    value_of = {name: value for value, name in predicted_names.items()}
    there, here = _blocks(found), _blocks(reference.voxels)
    scores = {}
    for value, name in names.items():
        if value not in here:
            continue
        other = value_of.get(name, -1)
        block = _union(here[value], there.get(other))
        start_zyx = np.array([part.start for part in block])
        scores[name] = _compare_block(
            found[block] == other, reference.voxels[block] == value, start_zyx, reference.grid
        )
    return scores


def divided_labels(predicted: Volume, reference: Volume, case: str) -> Volume:
    """Divide a binary segmentation among the structures of a reference, see `divide_among`.

    Parameters
    ----------
    predicted, reference : Volume
        Binary, and integer labels, on one grid.
    case : str
        For messages.

    Returns
    -------
    Volume
        The reference's labels on the predicted foreground.

    Raises
    ------
    DataError
        If the grids differ.
    """
    _require_one_grid(predicted, reference, case)
    return Volume(divide_among(predicted.voxels != 0, reference.voxels, reference.grid), reference.grid)


def divide_among(predicted: BoolArray, reference: NDArray[np.integer[Any]], grid: Grid) -> NDArray[np.integer[Any]]:
    """Divide a binary prediction among the structures of a reference: each voxel goes to the nearest structure.

    Parameters
    ----------
    predicted : ndarray of bool, shape (z, y, x)
        Foreground of all structures together.
    reference : ndarray of int, shape (z, y, x)
        Labels, 0 is background.
    grid : Grid
        Gives the millimetres.

    Returns
    -------
    ndarray of int, shape (z, y, x)
        The reference's labels on the predicted foreground; all 0 where the reference is empty.
    """
    divided = np.where(predicted, reference, 0)
    astray = np.argwhere(predicted & (reference == 0))
    surface = np.argwhere(_surface(reference != 0) & (reference != 0))
    if len(astray) and len(surface):
        tree = cKDTree(grid.index_to_lps(surface[:, ::-1]))
        nearest = surface[tree.query(grid.index_to_lps(astray[:, ::-1]))[1]]
        divided[tuple(astray.T)] = reference[tuple(nearest.T)]
    return np.asarray(divided)


def _compare_block(predicted: BoolArray, reference: BoolArray, start_zyx: NDArray[np.intp], grid: Grid) -> MaskScores:
    """Scores of two masks, not both empty, cut to a block that starts at `start_zyx` of the grid."""
    sizes = int(predicted.sum()), int(reference.sum())
    dice = 2 * int((predicted & reference).sum()) / sum(sizes)
    if min(sizes) == 0 or dice < MISSING_DICE:
        return MaskScores(dice, *[diagonal_mm(grid)] * 3)

    def points(mask: BoolArray) -> NDArray[np.float64]:
        return grid.index_to_lps((np.argwhere(mask) + start_zyx)[:, ::-1])

    surfaces = points(_surface(predicted)), points(_surface(reference))
    there = cKDTree(surfaces[1]).query(surfaces[0])[0]
    back = cKDTree(surfaces[0]).query(surfaces[1])[0]
    distances = np.concatenate([there, back])
    centroid_mm = np.linalg.norm(points(predicted).mean(axis=0) - points(reference).mean(axis=0))
    return MaskScores(dice, float(distances.mean()), float(distances.max()), float(centroid_mm))


def _require_one_grid(predicted: Volume, reference: Volume, case: str) -> None:
    if not predicted.grid.is_close(reference.grid, tolerance_mm=0.01):
        raise DataError(
            f"{case}: the segmentation (shape {predicted.grid.shape_zyx}) is not on the grid of the reference "
            f"(shape {reference.grid.shape_zyx}); resample it to that grid first"
        )


def _surface(mask: BoolArray) -> BoolArray:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _blocks(labels: NDArray[np.integer[Any]]) -> dict[int, tuple[slice, ...]]:
    """Bounding block of each label."""
    found = ndimage.find_objects(labels.astype(np.int32, copy=False))
    return {value: block for value, block in enumerate(found, start=1) if block is not None}


def _union(a: tuple[slice, ...], b: tuple[slice, ...] | None) -> tuple[slice, ...]:
    if b is None:
        return a
    return tuple(slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
