"""Structures of a case against the reference: rows, and their summary (discs, or anything with a name and a mask)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from regforest.evaluation.bootstrap import PatientBootstrap
from regforest.evaluation.numbers import spread
from regforest.evaluation.overlap import MISSING_DICE, MaskScores, compare_labels, diagonal_mm
from regforest.spatial import AnnotatedScan, Landmarks, Volume, sort_levels

__all__ = ["FOUND_WITHIN_MM", "StructureRow", "evaluate_structures", "summarize_structures"]

FOUND_WITHIN_MM = (2, 4, 6)
"""Radii of the share of structures found."""

_MEASURES = tuple(f.name for f in fields(MaskScores))


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
        Integer labels on the scan's grid. None: masks are not judged (Dice and surface distances undefined); where a
        segmentation was due and is absent, give an empty one, which counts as missed.
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
        scores = compare_labels(segmentation, names, scan.labels, scan.label_names, scan.name)
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


def summarize_structures(rows: Sequence[StructureRow], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Aggregate rows of any number of cases, all together and by structure.

    ``mean`` of Dice and surface distances is taken over a case's structures, then over cases; everything else pools
    all structures. 95 % intervals are bootstraps over patients.

    Parameters
    ----------
    rows : sequence of StructureRow
        Of `evaluate_structures`.
    resamples, seed : int
        Of the bootstrap over patients (a case without a patient counts as one).

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
