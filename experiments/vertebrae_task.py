"""Judging located vertebrae: rows, summary and tables of the CT experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.comparison import comparison_notes, comparison_table
from experiments.protocol import Outcome
from experiments.scan_kinds import by_kind, kind_remarks, kinds_of, kinds_table
from regforest.evaluation import (
    PUBLISHED_VERTEBRAE,
    LevelRow,
    compare_levels,
    error_histogram,
    evaluate_case,
    summarize,
)
from regforest.evaluation.localization import REGION_NAMES
from regforest.evaluation.numbers import defined, spread
from regforest.evaluation.published import TEST60_DATA, TWO_FOLD_DATA, UNVERIFIED_NOTE
from regforest.report import Card, Table
from regforest.report.charts import histogram_chart, rate_chart, spread_chart
from regforest.report.tables import number, percent
from regforest.spatial import AnnotatedScan

__all__ = ["VertebraeTask"]

Row = Mapping[str, Any]
_SHOWN_REGIONS = ("all", "cervical", "thoracic", "lumbar")
_COLUMNS = ("median", "mean", "std", "id. rate")
_COUNTS = ("annotated", "predicted", "identified", "missed", "false_alarms", "false_alarms_in_gaps")


class VertebraeTask:
    """Localization error and identification rate by region."""

    table_file = "per_vertebra.csv"

    def judge(self, scan: AnnotatedScan, outcome: Outcome, definition: str) -> list[dict[str, Any]]:
        """Return one JSON-ready row for each level that is annotated or predicted."""
        found, truth = outcome.localization.landmarks, scan.landmarks
        rows = evaluate_case(found, truth, definition, case=scan.name, patient=scan.patient)
        kinds = kinds_of(scan, outcome)
        return [{**dataclasses.asdict(row), "error_mm": defined(row.error_mm), "kinds": kinds} for row in rows]

    def summarize(self, rows: Sequence[Row], seed: int) -> dict[str, Any]:
        """Return ``{"regions": ..., "error_histogram": ..., "kinds": {kind of scan: counts}}``."""
        levels = [_level_row(row) for row in rows]
        errors = error_histogram(row.error_mm for row in levels)
        return {"regions": summarize(levels, seed=seed), "error_histogram": errors, "kinds": by_kind(rows)}

    def compare(self, ours: Sequence[Row], theirs: Sequence[Row], seed: int) -> dict[str, Any]:
        """Return the paired comparison of two methods on the same scans."""
        return compare_levels(map(_level_row, ours), map(_level_row, theirs), seed=seed)

    def case_row(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return counts, identification rate and errors of one case."""
        annotated = [row for row in rows if row["annotated"]]
        errors = spread([row["error_mm"] for row in annotated if row["predicted"]])
        identified = sum(row["identified"] for row in annotated)
        return {
            "annotated": len(annotated),
            "predicted": sum(row["predicted"] for row in rows),
            "identified": identified,
            "identification_rate": identified / len(annotated) if annotated else None,
            "median_mm": errors["median"],
            "mean_mm": errors["mean"],
            "max_mm": errors["max"],
            "missed": sum(not row["predicted"] for row in annotated),
            "false_alarms": " ".join(row["level"] for row in rows if not row["annotated"]),
        }

    def level_rows(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return the annotated levels: false alarms are counted in per_case.csv."""
        keys = ("level", "region", "predicted", "identified", "error_mm")
        return [{key: row[key] for key in keys} for row in rows if row["annotated"]]

    def published(self) -> list[dict[str, Any]]:
        """Return the published tables, those of the same protocol first."""
        return [row.to_json() for row in PUBLISHED_VERTEBRAE]

    def table(self, summary: Row) -> Table:
        """Return the run beside other methods, judged results and the paper's columns."""
        columns, marked, data = _own_columns(summary), False, _published_data(summary)
        for entry in summary["published"]:
            if entry.get("judged") or entry["data"] == data:
                marked |= not entry["verified"]
                columns.append((entry["name"] + ("" if entry["verified"] else " *"), entry))
        rows = [(name, [_cells(part) for part in parts]) for name, parts in _by_row(summary, columns, _SHOWN_REGIONS)]
        folds = summary["folds"]
        design = f"trained on {folds[0]['train']} others" if len(folds) == 1 else f"{len(folds)} folds"
        counts = f"{summary['cases']} scans, {design}"
        title = (
            f"{summary['experiment']}: {summary['dataset']}, {counts}; "
            f"localization error in mm, identified = {summary['definition']} within 20 mm"
        )
        notes = [*_remarks(summary["regions"]), *kind_remarks(summary), f"Published columns: {data}."]
        notes += [note for entry in _judged(summary) for note in comparison_notes(entry)]
        notes += [f"* {UNVERIFIED_NOTE}"] if marked else []
        return Table(title, [(name, _COLUMNS) for name, _ in columns], rows, notes)

    def more_tables(self, summary: Row) -> list[tuple[str, Table]]:
        """Return misses and false alarms, and published results on other data and protocols, for orientation."""
        data = _published_data(summary)
        others = [e for e in summary["published"] if not e.get("judged") and e["data"] != data]
        rows = [
            (f"{e['name']}{'' if e['verified'] else ' *'}: {e['data']}", [_cells(e["regions"]["all"])])
            for e in others
        ]
        table = Table("", [("all", _COLUMNS)], rows, [f"* {UNVERIFIED_NOTE}"])
        return [
            *map(comparison_table, _judged(summary)),
            ("Kinds of scans", kinds_table(_own_columns(summary))),
            ("Misses and false alarms", _counts_table(summary)),
            ("Published on other data, for orientation", table),
        ]

    def charts(self, summary: Row, rows: Sequence[Row]) -> list[tuple[str, str]]:
        """Return error and identification for each level, and the errors of each method."""
        annotated = [row for row in rows if row["annotated"]]
        levels = sorted({row["level"] for row in annotated})
        errors = {
            name: [row["error_mm"] for row in annotated if row["level"] == name and row["predicted"]]
            for name in levels
        }
        hits = {name: [row["identified"] for row in annotated if row["level"] == name] for name in levels}
        return [
            ("Localization error by level (mm)", spread_chart(errors, "mm")),
            ("Identified by level (%)", rate_chart({name: (sum(h), len(h)) for name, h in hits.items()})),
            *(
                (f"Localization errors (mm), {name}: located levels in bins of 2 mm (%)", histogram_chart(**counts))
                for name, counts in ((name, part["error_histogram"]) for name, part in _own_columns(summary))
            ),
        ]

    def card(self, case: Row) -> Card:
        """Return the card of a case: the fewer levels are identified, the worse, and then by mean error."""
        row = self.case_row(case["rows"])
        rate = row["identification_rate"] or 0.0
        facts = [f"identified {row['identified']} of {row['annotated']}"]
        if row["mean_mm"] is not None:
            facts.append(f"mean error {number(row['mean_mm'])} mm, largest {number(row['max_mm'])} mm")
        facts += [f"missed {row['missed']}"] if row["missed"] else []
        facts += [f"not annotated: {row['false_alarms']}"] if row["false_alarms"] else []
        badness = (1 - rate) * 1000 + (row["mean_mm"] or 0.0)
        errors = {row["level"]: row["error_mm"] for row in case["rows"] if row["annotated"]}
        return Card(case["case"], facts, case["status"], case["reason"], badness, errors_mm=errors)


def _level_row(row: Row) -> LevelRow:
    values = {field.name: row[field.name] for field in dataclasses.fields(LevelRow)}
    return LevelRow(**{**values, "error_mm": float("nan") if row["error_mm"] is None else row["error_mm"]})


def _published_data(summary: Row) -> str:
    """Name data and protocol of the published columns that compare like for like."""
    return TEST60_DATA if summary["protocol"] == "csi2014" else TWO_FOLD_DATA


def _judged(summary: Row) -> list[Row]:
    """Return the entries of ``--published``."""
    return [entry for entry in summary["published"] if entry.get("judged")]


def _own_columns(summary: Row) -> list[tuple[str, Row]]:
    """Name and judgement of each method of the run, the main one first."""
    return [(f"this run: {summary['method']}", summary), *summary["methods"].items()]


def _by_row(summary: Row, columns: Sequence[tuple[str, Row]], regions: Sequence[str]) -> list[tuple[str, list[Row]]]:
    """Name of each row of a table, regions before folds, and what each column has of it (nothing: an empty part)."""
    rows = [(region, [part["regions"].get(region, {}) for _, part in columns]) for region in regions]
    for i, fold in enumerate(summary["folds"] if len(summary["folds"]) > 1 else ()):
        parts = [part["folds"][i]["regions"]["all"] if part.get("folds") else {} for _, part in columns]
        rows.append((f"fold {fold['name']}", parts))
    return rows


def _counts_table(summary: Row) -> Table:
    """Return annotated, missed and wrongly named levels of each method of the run, by region and by fold."""
    columns = _own_columns(summary)
    rows = [
        (name, [[str(part[key]) for key in _COUNTS] for part in parts])
        for name, parts in _by_row(summary, columns, REGION_NAMES)
    ]
    heads = [key.replace("_", " ") for key in _COUNTS]
    note = "False alarms in gaps, where a vertebra was left out of the annotation, may well be right."
    return Table("", [(name, heads) for name, _ in columns], rows, [note])


def _cells(region: Row) -> list[str]:
    errors = [number(region.get(key)) for key in ("median_mm", "mean_mm", "std_mm")]
    return [*errors, percent(region.get("identification_rate"))]


def _remarks(regions: Row) -> list[str]:
    intervals = [
        f"{name} {100 * region['interval'][0]:.0f}-{100 * region['interval'][1]:.0f} %"
        for name, region in regions.items()
        if name in _SHOWN_REGIONS and region["interval"]
    ]
    every = regions["all"]
    lines = [f"Missed {every['missed']} of {every['annotated']} annotated; false alarms {every['false_alarms']}."]
    return lines + ([f"95 % interval of the id. rate over patients: {', '.join(intervals)}."] if intervals else [])
