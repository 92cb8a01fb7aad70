"""Landmarks against landmarks: localization error and identification rate (Glocker et al. 2013).

Localization error
    Distance between predicted and annotated centre of one level, over the levels that both have.
Identification rate
    Identified levels divided by ALL annotated ones, so that a missed level counts against. Two definitions are in
    use; both ask for at most 20 mm:

    ``closest-annotation`` (the paper's, default): of all annotated centres, the one closest to the prediction of a
    level is that of the same level.

    ``closest-prediction``: of all predicted centres, the one closest to the annotation of a level has its name.
Misses
    Annotated levels without a prediction.
False alarms
    Predicted levels that the case does not annotate, wherever they lie: landmark files know nothing of the field of
    view, and a level invented outside it is as wrong as one invented inside. One reservation: annotations of the
    Spine CT database have gaps (T7-T10 missing between T6 and T11). A prediction that falls into such a gap, where
    at least one ordinary level is missing between its annotated neighbours, may well be right; these are counted
    among the false alarms and once more by themselves, as ``false_alarms_in_gaps``. T13 between T12 and L1 or L6
    between L5 and S1 are no gaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regforest.errors import FrameError, UsageError
from regforest.evaluation.bootstrap import PatientBootstrap
from regforest.evaluation.numbers import spread
from regforest.spatial import DISCS, PAPER_LEVELS, REGIONS, Landmarks, level, sort_levels
from regforest.spatial.levels import anatomical_order

__all__ = ["DEFINITIONS", "IDENTIFICATION_RADIUS_MM", "REGION_NAMES", "LevelRow", "evaluate_case", "summarize"]

DEFINITIONS = ("closest-annotation", "closest-prediction")
"""Definitions of "identified"; the first is the default."""

IDENTIFICATION_RADIUS_MM = 20.0
"""A level further off than this is not identified, whatever is closest."""

REGION_NAMES = ("all", *REGIONS.values())
"""Rows of a summary: all, cervical, thoracic, lumbar, sacral."""


@dataclass(frozen=True)
class LevelRow:
    """What became of one level of one case.

    Attributes
    ----------
    level, region : str
        Name, and region by its first letter.
    annotated, predicted : bool
        Who has it.
    identified : bool
        Whether it counts as identified under the definition asked for.
    error_mm : float
        Distance between the two centres; NaN unless both exist.
    in_gap : bool
        False alarm between annotated levels where at least one ordinary level was not annotated.
    case, patient : str
        Whose it is.
    """

    level: str
    region: str
    annotated: bool
    predicted: bool
    identified: bool = False
    error_mm: float = float("nan")
    in_gap: bool = False
    case: str = ""
    patient: str = ""

    @property
    def missed(self) -> bool:
        """Annotated and not predicted."""
        return self.annotated and not self.predicted

    @property
    def false_alarm(self) -> bool:
        """Predicted and not annotated."""
        return self.predicted and not self.annotated


def evaluate_case(
    predicted: Landmarks,
    reference: Landmarks,
    definition: str = DEFINITIONS[0],
    *,
    case: str = "",
    patient: str = "",
) -> list[LevelRow]:
    """Judge the landmarks of one case.

    Parameters
    ----------
    predicted, reference : Landmarks
        In one frame, which may be LPS or grid millimetres; an empty set fits any frame.
    definition : {"closest-annotation", "closest-prediction"}
        What "identified" means, see the module.
    case, patient : str
        Written into the rows.

    Returns
    -------
    list of LevelRow
        One for each level that either has, cranial to caudal.

    Raises
    ------
    FrameError
        If the frames differ.
    UsageError
        If the definition is unknown.

    Examples
    --------
    >>> truth = Landmarks({"L1": (0, 0, 0), "L2": (0, 0, -30)})
    >>> rows = evaluate_case(Landmarks({"L1": (0, 3, 4), "L3": (0, 0, -60)}), truth)
    >>> [(row.level, row.identified, row.error_mm, row.missed, row.false_alarm) for row in rows]
    [('L1', True, 5.0, False, False), ('L2', False, nan, True, False), ('L3', False, nan, False, True)]
    """
    if definition not in DEFINITIONS:
        raise UsageError(f"a definition of identification is one of {', '.join(DEFINITIONS)}; got {definition!r}")
    if len(predicted) and len(reference) and predicted.frame != reference.frame:
        raise FrameError(
            f"{case or 'case'}: predicted landmarks are in the frame {predicted.frame!r}, the reference in "
            f"{reference.frame!r}; convert one of them with the scan's grid"
        )
    identified = _identified(predicted, reference, definition)
    rows = []
    for name in sort_levels({*predicted, *reference}):
        both = name in predicted and name in reference
        rows.append(
            LevelRow(
                level=name,
                region=level(name).region,
                annotated=name in reference,
                predicted=name in predicted,
                identified=name in identified,
                error_mm=float(np.linalg.norm(predicted[name] - reference[name])) if both else float("nan"),
                in_gap=name not in reference and _in_gap(name, reference),
                case=case,
                patient=patient,
            )
        )
    return rows


def summarize(rows: Sequence[LevelRow], *, resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Aggregate rows of any number of cases by region.

    Parameters
    ----------
    rows : sequence of LevelRow
        Of `evaluate_case`.
    resamples, seed : int
        Of the bootstrap over patients (a case without a patient counts as one).

    Returns
    -------
    dict
        For ``"all"``, ``"cervical"``, ``"thoracic"``, ``"lumbar"`` and ``"sacral"``: the counts ``annotated``,
        ``predicted``, ``identified``, ``missed``, ``false_alarms``, ``false_alarms_in_gaps``; the fraction
        ``identification_rate`` with its 95 % ``interval``; ``median_mm``, ``mean_mm``, ``std_mm`` (population)
        with ``median_mm_interval`` and ``mean_mm_interval``. Undefined numbers are None.
    """
    bootstrap = PatientBootstrap((row.patient or row.case for row in rows), resamples, seed)
    return {
        region: _aggregate([row for row in rows if region in ("all", row.region)], bootstrap)
        for region in REGION_NAMES
    }


def _identified(predicted: Landmarks, reference: Landmarks, definition: str) -> set[str]:
    """Names of the identified levels."""
    asked, among = (predicted, reference) if definition == "closest-annotation" else (reference, predicted)
    if not len(asked) or not len(among):
        return set()
    distance = np.linalg.norm(asked.points[:, None] - among.points[None], axis=2)
    nearest = distance.argmin(axis=1)
    return {
        name
        for i, name in enumerate(asked.names)
        if among.names[nearest[i]] == name and distance[i, nearest[i]] <= IDENTIFICATION_RADIUS_MM
    }


def _in_gap(name: str, reference: Mapping[str, object]) -> bool:
    """Whether an ordinary level is missing between the annotated neighbours of `name`."""
    position = anatomical_order(name)
    orders = [anatomical_order(other) for other in reference]
    above = max((order for order in orders if order < position), default=None)
    below = min((order for order in orders if order > position), default=None)
    if above is None or below is None:
        return False
    ordinary = _ORDINARY_DISCS if level(name).is_disc else PAPER_LEVELS
    return any(above < anatomical_order(other) < below for other in ordinary)


# T12/T13, T13/L1, L5/L6 and L6/S1 exist in transitional spines only
_ORDINARY_DISCS = tuple(name for name in DISCS if not {"T13", "L6"} & set(name.split("/")))


def _aggregate(rows: Sequence[LevelRow], bootstrap: PatientBootstrap) -> dict[str, Any]:
    annotated = [row for row in rows if row.annotated]
    both = [row for row in annotated if row.predicted]
    hits = [row.identified for row in annotated]
    errors = [row.error_mm for row in both]
    owners = [row.patient or row.case for row in both]
    error = spread(errors)
    return {
        "annotated": len(annotated),
        "predicted": sum(row.predicted for row in rows),
        "identified": sum(hits),
        "identification_rate": sum(hits) / len(hits) if hits else None,
        "interval": bootstrap.mean(hits, [row.patient or row.case for row in annotated]),
        "median_mm": error["median"],
        "median_mm_interval": bootstrap.median(errors, owners),
        "mean_mm": error["mean"],
        "mean_mm_interval": bootstrap.mean(errors, owners),
        "std_mm": error["std"],
        "missed": len(annotated) - len(both),
        "false_alarms": sum(row.false_alarm for row in rows),
        "false_alarms_in_gaps": sum(row.in_gap for row in rows),
    }
