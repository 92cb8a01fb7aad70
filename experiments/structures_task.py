"""Judging located and segmented structures: rows, summary and tables of the MR experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.protocol import Outcome
from regforest.evaluation import (
    PUBLISHED_STRUCTURES,
    PatientBootstrap,
    StructureRow,
    evaluate_structures,
    paired_difference,
    summarize_structures,
)
from regforest.evaluation.numbers import defined, spread
from regforest.evaluation.published import UNVERIFIED_NOTE
from regforest.report import Card, Table
from regforest.report.charts import spread_chart
from regforest.report.tables import number, percent
from regforest.spatial import AnnotatedScan

__all__ = ["StructuresTask"]

Row = Mapping[str, Any]
_NUMBERS = ("localization_mm", "dice", "surface_mm", "hausdorff_mm", "centroid_mm", "landmark_mm")
_FLOOR = ("dice", "surface_mm", "hausdorff_mm")
_GROUPS = (
    ("localization mm", ("mean", "std", "median")),
    ("found within", ("2 mm", "4 mm", "6 mm")),
    ("Dice", ("mean", "std")),
    ("surface mm", ("mean", "std")),
    ("missed", ("",)),
)


class StructuresTask:
    """Localization, Dice and surface distance of each structure."""

    table_file = "per_structure.csv"

    def judge(self, scan: AnnotatedScan, outcome: Outcome, definition: str) -> list[dict[str, Any]]:
        """Return one JSON-ready row for each annotated structure."""
        names = outcome.label_names or {}
        landmarks = outcome.localization.landmarks
        rows = evaluate_structures(scan, landmarks, outcome.segmentation, names)
        judged = [{key: _plain(value) for key, value in dataclasses.asdict(row).items()} for row in rows]
        if outcome.floor is not None:
            for row, floor in zip(judged, evaluate_structures(scan, landmarks, outcome.floor, names), strict=True):
                row.update({f"floor_{key}": _plain(getattr(floor, key)) for key in _FLOOR})
        return judged

    def summarize(self, rows: Sequence[Row], seed: int) -> dict[str, Any]:
        """Return all measures, for all structures together and for each."""
        summary = summarize_structures([_structure_row(row) for row in rows], seed=seed)
        floors = [row for row in rows if "floor_dice" in row]
        if floors:
            summary["floor"] = _floor_summary(floors, summary, seed)
        return summary

    def compare(self, ours: Sequence[Row], theirs: Sequence[Row], seed: int) -> dict[str, Any]:
        """Return the paired difference of the localization errors, structure by structure."""
        them = {(row["case"], row["structure"]): row["localization_mm"] for row in theirs}
        pairs = [row for row in ours if (row["case"], row["structure"]) in them]
        bootstrap = PatientBootstrap((row["patient"] for row in pairs), seed=seed)
        values = [row["localization_mm"] for row in pairs], [them[row["case"], row["structure"]] for row in pairs]
        difference = paired_difference(*values, [row["patient"] for row in pairs], bootstrap)
        return {"cases": len({row["case"] for row in pairs}), "localization_mm": difference}

    def case_row(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return means over the structures of one case."""
        columns: dict[str, Any] = {"structures": len(rows), "missed": sum(row["missed"] for row in rows)}
        for key in ("localization_mm", "dice", "surface_mm", "hausdorff_mm"):
            columns[key] = spread([row[key] for row in rows if row[key] is not None])["mean"]
        return columns

    def level_rows(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return one row for each annotated structure."""
        keys = ("structure", "missed", *_NUMBERS, *(f"floor_{key}" for key in _FLOOR))
        return [{key: row[key] for key in keys if key in row} for row in rows]

    def published(self) -> list[dict[str, Any]]:
        """Return the published table."""
        return [row.to_json() for row in PUBLISHED_STRUCTURES]

    def table(self, summary: Row) -> Table:
        """Return the run, other methods, and the published rows below."""
        rows = [(f"this run: {summary['method']}", _cells(summary))]
        rows += [("floor: mean mask at the found centre", _cells(summary["floor"]))] if "floor" in summary else []
        rows += [(name, _cells(part)) for name, part in summary["methods"].items()]
        rows += [
            (entry["name"] + ("" if entry["verified"] else " *") + f" ({entry['data']})", _cells(entry))
            for entry in summary["published"]
        ]
        title = (
            f"{summary['experiment']}: {summary['dataset']}, {summary['cases']} scans, "
            f"{len(summary['folds'])} folds (leave one patient out)"
        )
        located = summary["landmark_mm"]
        notes = [
            "A missed structure (Dice below 0.1 %) counts with the diagonal of the image; the located centres by "
            f"themselves are {number(located['mean'], 2)} mm off on average, median {number(located['median'], 2)}.",
            "Published rows: measured on the data they name, for orientation.",
        ]
        notes += [f"* {UNVERIFIED_NOTE}"] if any(not entry["verified"] for entry in summary["published"]) else []
        return Table(title, _GROUPS, rows, notes)

    def more_tables(self, summary: Row) -> list[tuple[str, Table]]:
        """Return the same columns for each structure."""
        rows = [(name, _cells(part)) for name, part in summary["structures"].items()]
        return [("By structure", Table("By structure", _GROUPS, rows))] if rows else []

    def charts(self, summary: Row, rows: Sequence[Row]) -> list[tuple[str, str]]:
        """Return localization and Dice for each structure."""
        names = sorted({row["structure"] for row in rows})

        def of(key: str) -> dict[str, list[float]]:
            return {n: [r[key] for r in rows if r["structure"] == n and r[key] is not None] for n in names}

        located, dice = of("landmark_mm"), of("dice")
        charts = [("Localization by structure, located ones (mm)", spread_chart(located, "mm", 2))]
        return charts + ([("Dice by structure", spread_chart(dice, "", 3))] if any(map(len, dice.values())) else [])

    def card(self, case: Row) -> Card:
        """Return the card of a case: the lower its Dice, the worse, and then by localization error."""
        row = self.case_row(case["rows"])
        facts = [f"localization {number(row['localization_mm'], 2)} mm"]
        if row["dice"] is not None:
            facts.append(f"Dice {number(row['dice'], 3)}, surface {number(row['surface_mm'], 2)} mm")
        facts += [f"missed {row['missed']} of {row['structures']}"] if row["missed"] else []
        badness = 1000 * (1 - (row["dice"] or 0.0)) + (row["localization_mm"] or 0.0)
        errors = {row["structure"]: row["landmark_mm"] for row in case["rows"]}
        return Card(case["case"], facts, case["status"], case["reason"], badness, errors_mm=errors)


def _plain(value: Any) -> Any:
    return defined(value) if isinstance(value, float) else value


def _structure_row(row: Row, prefix: str = "") -> StructureRow:
    """Make the dataclass of a stored row; with the prefix ``floor_``, that of the floor's measures."""
    own = {key: value for key, value in row.items() if not key.startswith("floor_")}
    own |= {key: row[f"{prefix}{key}"] for key in _FLOOR if prefix}
    return StructureRow(**{**own, **{key: np.nan if own[key] is None else own[key] for key in _NUMBERS}})


def _floor_summary(rows: Sequence[Row], summary: Row, seed: int) -> dict[str, Any]:
    """Dice and surface distance of the floor, and what the run gains over it (positive is better)."""
    floor = summarize_structures([_structure_row(row, "floor_") for row in rows], seed=seed)
    measures = {key: floor[key] for key in _FLOOR}
    means = [(summary[key]["mean"], floor[key]["mean"]) for key in ("dice", "surface_mm")]
    dice, surface = (None if None in pair else pair[0] - pair[1] for pair in means)
    return {**measures, "margin": {"dice": dice, "surface_mm": None if surface is None else -surface}}


def _cells(part: Row) -> list[list[str]]:
    """Cells of one row of the table; published entries hold only some measures, or a range."""
    localization, dice, surface = (part.get(key, {}) for key in ("localization_mm", "dice", "surface_mm"))
    found = part.get("found_within", {})
    return [
        [_mean(localization, 2), number(localization.get("std"), 2), number(localization.get("median"), 2)],
        [percent(found.get(f"{radius}mm"), 0) for radius in (2, 4, 6)],
        [_mean(dice, 3), number(dice.get("std"), 3)],
        [_mean(surface, 2), number(surface.get("std"), 2)],
        [f"{part['missed']} of {part['annotated']}" if "missed" in part else "-"],
    ]


def _mean(measure: Row, digits: int) -> str:
    if "range" in measure:
        return "-".join(f"{value:.{digits}f}" for value in measure["range"])
    return number(measure.get("mean"), digits)
