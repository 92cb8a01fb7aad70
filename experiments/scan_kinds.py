"""Kinds of scans of the CT experiment: how hard they are, and what the method itself said of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.protocol import Outcome
from regforest.evaluation import DIFFICULTIES, difficulties
from regforest.report import Table
from regforest.report.tables import number, percent
from regforest.spatial import AnnotatedScan

__all__ = ["by_kind", "kind_remarks", "kinds_of", "kinds_table"]

Row = Mapping[str, Any]
_HARD, _EASY = "any of these", "none of these"
_SAID = {"ok": "said to be ok", "uncertain": "said to be uncertain", "empty": "said to be empty"}
_NOTE = (
    "Metal beside the vertebrae; a lateral Cobb angle above 20 degrees; at most six annotated levels. "
    "A scan is right if every annotated level is identified."
)


def kinds_of(scan: AnnotatedScan, outcome: Outcome) -> list[str]:
    """Return the kinds that a scan and its outcome belong to."""
    hard = difficulties(scan)
    return [*hard, _HARD if hard else _EASY, _SAID[outcome.localization.status]]


def by_kind(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Count scans and levels of each kind, of rows that hold their ``"kinds"``."""
    kinds = (*DIFFICULTIES, _HARD, _EASY, *_SAID.values())
    return {kind: _counts([row for row in rows if row["annotated"] and kind in row["kinds"]]) for kind in kinds}


def kinds_table(columns: Sequence[tuple[str, Row]]) -> Table:
    """Return the summaries of several methods by kind of scan."""
    heads = ("scans", "scans right", "id. rate", "mean mm")
    rows = [
        (kind, [[str(part["cases"]), percent(_rate(part["cases_right"], part["cases"])),
                 percent(part["identification_rate"]), number(part["mean_mm"])]
                for part in (summary["kinds"][kind] for _, summary in columns)])
        for kind in columns[0][1]["kinds"]
    ]  # fmt: skip
    return Table("", [(name, heads) for name, _ in columns], rows, [_NOTE])


def kind_remarks(summary: Row) -> list[str]:
    """Return a line on the hard scans, and one on those that were said to be ok."""
    hard, sure = summary["kinds"][_HARD], summary["kinds"][_SAID["ok"]]
    lines = []
    if hard["cases"]:
        rate = percent(hard["identification_rate"])
        lines.append(f"Hard scans (metal, scoliosis or few levels, {hard['cases']}): {rate} of {hard['annotated']}.")
    if sure["cases"]:
        rate = percent(sure["identification_rate"])
        lines.append(
            f"Said to be ok: {sure['cases']} scans, {rate} of {sure['annotated']}, {sure['cases_right']} right."
        )
    return lines


def _counts(annotated: Sequence[Row]) -> dict[str, Any]:
    wrong = {row["case"] for row in annotated if not row["identified"]}
    cases = {row["case"] for row in annotated}
    identified = sum(row["identified"] for row in annotated)
    errors = [row["error_mm"] for row in annotated if row["predicted"]]
    return {
        "cases": len(cases),
        "cases_right": len(cases - wrong),
        "annotated": len(annotated),
        "identified": identified,
        "identification_rate": _rate(identified, len(annotated)),
        "mean_mm": sum(errors) / len(errors) if errors else None,
    }


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
