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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from regforest.errors import DataError
from regforest.evaluation.bootstrap import PatientBootstrap
from regforest.evaluation.numbers import spread
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume, sort_levels

__all__ = [
    "FOUND_WITHIN_MM",
    "MISSING_DICE",
    "MaskScores",
    "StructureRow",
    "compare_masks",
    "diagonal_mm",
    "divide_among",
    "evaluate_structures",
    "summarize_structures",
]

MISSING_DICE = 0.001
"""A structure with a smaller Dice coefficient counts as missed."""

FOUND_WITHIN_MM = (2, 4, 6)
"""Radii of the share of structures found."""

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class MaskScores:
    """Agreement of two masks: Dice coefficient; mean symmetric surface, Hausdorff and centroid distance in mm."""

    dice: float
    surface_mm: float
    hausdorff_mm: float
    centroid_mm: float


@dataclass(frozen=True)
class StructureRow:
    """What became of one annotated structure of one case.

    Attributes
    ----------
    structure : str
        Its name.
    localization_mm : float
        From the located centre to the centroid of the reference; the diagonal if missed.
    dice, surface_mm, hausdorff_mm : float
        Of the masks; NaN where there is none to compare (points only).
    centroid_mm : float
        From centroid to centroid of the masks; the diagonal if missed, NaN without masks.
    landmark_mm : float
        From the located centre to the reference also where the structure counts as missed; NaN without a centre.
    missed : bool
        No centre located, or Dice below `MISSING_DICE`.
    case, patient : str
        Whose it is.
    """

    structure: str
    localization_mm: float
    dice: float
    surface_mm: float
    hausdorff_mm: float
    centroid_mm: float
    landmark_mm: float
    missed: bool
    case: str = ""
    patient: str = ""


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


def evaluate_structures(
    scan: AnnotatedScan, landmarks: Landmarks, segmentation: Volume | None, names: Mapping[int, str]
) -> list[StructureRow]:
    """Judge located centres and masks of one case.

    Parameters
    ----------
    scan : AnnotatedScan
        Reference: landmarks, and labels where masks are to be judged.
    landmarks : Landmarks
        Located centres, LPS millimetres.
    segmentation : Volume or None
        Integer labels on the scan's grid.
    names : mapping of int to str
        Value in `segmentation` -> structure. Empty: a binary prediction, divided by `divide_among`.

    Returns
    -------
    list of StructureRow
        One for each annotated structure, cranial to caudal.

    Raises
    ------
    DataError
        If segmentation and reference are not on one grid.
    """
    grid = scan.image.grid if scan.labels is None else scan.labels.grid
    scores: dict[str, MaskScores] = {}
    if scan.labels is not None and segmentation is not None:
        scores = _compare_labels(segmentation, names, scan.labels, scan.label_names, scan.name)
    points = dict(zip(scan.landmarks, scan.landmarks.points_lps_mm, strict=True))
    located = dict(zip(landmarks, landmarks.points_lps_mm, strict=True))
    rows = []
    for name in sort_levels(points):
        distance = float(np.linalg.norm(located[name] - points[name])) if name in located else float("nan")
        score = scores.get(name, MaskScores(*[float("nan")] * 4))
        missed = name not in located or score.dice < MISSING_DICE
        rows.append(
            StructureRow(
                structure=name,
                localization_mm=diagonal_mm(grid) if missed else distance,
                dice=score.dice,
                surface_mm=score.surface_mm,
                hausdorff_mm=score.hausdorff_mm,
                centroid_mm=score.centroid_mm,
                landmark_mm=distance,
                missed=missed,
                case=scan.name,
                patient=scan.patient,
            )
        )
    return rows


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


def summarize_structures(rows: Sequence[StructureRow], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Aggregate rows of any number of cases, all together and by structure.

    ``mean`` of Dice and surface distances is taken over a case's structures, then over cases; everything else pools
    all structures. 95 % intervals are bootstraps over patients.

    Returns
    -------
    dict
        ``localization_mm`` (mean, interval, std, median, max), ``found_within`` (fractions at ``2mm``, ``4mm``,
        ``6mm``, each with an ``.._interval``), ``dice`` (mean, interval, std, median, min), ``surface_mm``,
        ``hausdorff_mm`` and ``centroid_mm`` (mean, interval, std, median, max), ``landmark_mm`` (mean, std, median,
        max over located centres, those of missed masks included), ``missed``, ``annotated``; and ``structures``:
        the same for each structure. Undefined numbers are None.
    """
    bootstrap = PatientBootstrap((row.patient or row.case for row in rows), resamples, seed)
    names = sort_levels({row.structure for row in rows})
    by_structure = {name: _aggregate([row for row in rows if row.structure == name], bootstrap) for name in names}
    return {**_aggregate(rows, bootstrap), "structures": by_structure}


def _compare_labels(
    predicted: Volume, predicted_names: Mapping[int, str], reference: Volume, names: Mapping[int, str], case: str
) -> dict[str, MaskScores]:
    """Scores of every structure that the reference holds, searched only in the blocks where it lies."""
    if not predicted.grid.is_close(reference.grid, tolerance_mm=0.01):
        raise DataError(
            f"{case}: the segmentation (shape {predicted.grid.shape_zyx}) is not on the grid of the reference "
            f"(shape {reference.grid.shape_zyx}); resample it to that grid first"
        )
    found = predicted.voxels
    if not predicted_names:
        found, predicted_names = divide_among(found != 0, reference.voxels, reference.grid), names
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


def _compare_block(
    predicted: BoolArray, reference: BoolArray, start_zyx: NDArray[np.intp], grid: Grid
) -> MaskScores:
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


def _aggregate(rows: Sequence[StructureRow], bootstrap: PatientBootstrap) -> dict[str, Any]:
    missed = sum(row.missed for row in rows)
    distances = [row.localization_mm for row in rows]
    owners = [row.patient or row.case for row in rows]
    localization = spread(distances)
    localization_mm = {
        "mean": localization["mean"], "interval": bootstrap.mean(distances, owners), "std": localization["std"],
        "median": localization["median"], "max": localization["max"],
    }  # fmt: skip
    found_within: dict[str, Any] = {}
    for radius in FOUND_WITHIN_MM:
        found = [distance <= radius for distance in distances]
        found_within[f"{radius}mm"] = sum(found) / len(found) if found else None
        found_within[f"{radius}mm_interval"] = bootstrap.mean(found, owners)
    by_case = {key: _over_cases(rows, key, bootstrap) for key in _MEASURES}
    located = spread([row.landmark_mm for row in rows if np.isfinite(row.landmark_mm)])
    return {
        "localization_mm": localization_mm, "found_within": found_within, **by_case,
        "landmark_mm": {key: located[key] for key in ("mean", "std", "median", "max")},
        "missed": missed, "annotated": len(rows),
    }  # fmt: skip


_MEASURES = tuple(f.name for f in fields(MaskScores))


def _over_cases(rows: Sequence[StructureRow], measure: str, bootstrap: PatientBootstrap) -> dict[str, Any]:
    """Statistics of one measure, the mean being that of the cases' means."""
    of_case: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        value = getattr(row, measure)
        if np.isfinite(value):
            of_case.setdefault((row.patient or row.case, row.case), []).append(value)
    pooled = spread([value for values in of_case.values() for value in values])
    means = [float(np.mean(values)) for values in of_case.values()]
    worst = "min" if measure == "dice" else "max"
    return {
        "mean": spread(means)["mean"],
        "interval": bootstrap.mean(means, [patient for patient, _ in of_case]),
        **{key: pooled[key] for key in ("std", "median", worst)},
    }
