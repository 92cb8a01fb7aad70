"""Two methods on the same scans: differences level by level, with intervals over patients.

Two columns of a table may differ because one method met harder scans, or left out the hard levels. Here only what
both were asked is compared: identification over the annotated levels of the scans that both have, localization
errors over the levels that both located.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from regforest.evaluation.bootstrap import PatientBootstrap
from regforest.evaluation.localization import REGION_NAMES, LevelRow
from regforest.evaluation.numbers import spread

__all__ = ["compare_levels", "paired_difference"]

_Pair = tuple[LevelRow, LevelRow]


def compare_levels(
    ours: Iterable[LevelRow], theirs: Iterable[LevelRow], *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Compare two methods that were judged on the same annotations.

    Parameters
    ----------
    ours, theirs : iterable of LevelRow
        Of `evaluate_case`; scans that only one has are left out.
    resamples, seed : int
        Of the bootstrap over patients (a scan without a patient counts as one).

    Returns
    -------
    dict
        ``cases``; ``regions``: for each region ``identification_rate`` and ``mean_mm``, as from `paired_difference`
        (ours minus theirs: a positive rate and a negative error are better); ``by_case``: counts and errors of both
        for each scan, the scans where most is lost first.

    Examples
    --------
    >>> row = lambda level, hit, mm: LevelRow(level, "lumbar", True, True, hit, mm, case="a")
    >>> theirs = [row("L1", True, 5.0), row("L2", True, 4.0)]
    >>> found = compare_levels([row("L1", True, 3.0), row("L2", False, 9.0)], theirs)
    >>> found["regions"]["lumbar"]["identification_rate"]["difference"], found["by_case"][0]["lost"]
    (-0.5, 1)
    """
    them = {(row.case, row.level): row for row in theirs if row.annotated}
    pairs = [(row, them[row.case, row.level]) for row in ours if row.annotated and (row.case, row.level) in them]
    bootstrap = PatientBootstrap((_owner(row) for row, _ in pairs), resamples, seed)
    regions = {
        region: _region([pair for pair in pairs if region in ("all", pair[0].region)], bootstrap)
        for region in REGION_NAMES
    }
    by_case: dict[str, list[_Pair]] = {}
    for pair in pairs:
        by_case.setdefault(pair[0].case, []).append(pair)
    rows = [_case(case, found) for case, found in sorted(by_case.items())]
    rows.sort(key=lambda row: (-row["lost"], -(row["mean_mm"] or 0.0) + (row["their_mean_mm"] or 0.0)))
    return {"cases": len(rows), "regions": regions, "by_case": rows}


def paired_difference(
    ours: Sequence[float], theirs: Sequence[float], patients: Sequence[str], bootstrap: PatientBootstrap
) -> dict[str, Any]:
    """Mean difference of paired values, ours minus theirs, with its 95 % interval over patients.

    Parameters
    ----------
    ours, theirs : sequence of float, length N
        Without NaN.
    patients : sequence of str, length N
        Whose values they are; all known to `bootstrap`.

    Returns
    -------
    dict
        ``pairs`` (N), ``difference`` (None without a pair) and ``interval`` (None with fewer than two patients).

    Examples
    --------
    >>> paired_difference([1, 1, 0], [0, 1, 0], ["a", "b", "b"], PatientBootstrap("ab"))["difference"]
    0.3333333333333333
    """
    differences = np.subtract(np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64))
    return {
        "pairs": len(differences),
        "difference": spread(differences.tolist())["mean"],
        "interval": bootstrap.mean(differences, patients),
    }


def _region(pairs: Sequence[_Pair], bootstrap: PatientBootstrap) -> dict[str, Any]:
    both = [pair for pair in pairs if pair[0].predicted and pair[1].predicted]

    def difference(chosen: Sequence[_Pair], measure: str) -> dict[str, Any]:
        ours, theirs = ([float(getattr(pair[side], measure)) for pair in chosen] for side in (0, 1))
        return paired_difference(ours, theirs, [_owner(row) for row, _ in chosen], bootstrap)

    return {"identification_rate": difference(pairs, "identified"), "mean_mm": difference(both, "error_mm")}


def _case(case: str, pairs: Sequence[_Pair]) -> dict[str, Any]:
    hits = [sum(pair[side].identified for pair in pairs) for side in (0, 1)]
    errors = [spread([pair[side].error_mm for pair in pairs if pair[side].predicted])["mean"] for side in (0, 1)]
    return {
        "case": case, "annotated": len(pairs), "lost": hits[1] - hits[0],
        "identified": hits[0], "their_identified": hits[1], "mean_mm": errors[0], "their_mean_mm": errors[1],
    }  # fmt: skip


def _owner(row: LevelRow) -> str:
    return row.patient or row.case
