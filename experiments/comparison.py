"""How the paired comparison with judged landmark files (``--published``) is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regforest.report import Table
from regforest.report.tables import number

__all__ = ["comparison_notes", "comparison_table"]

_NAMED, _SHOWN = 3, 10


def comparison_notes(entry: Mapping[str, Any]) -> list[str]:
    """Return lines below the main table: what is gained over the judged files, where most is lost."""
    compared, absent = entry["comparison"], entry["cases_without_file"]
    lines = (
        [f"{entry['name']}: {absent} of {entry['cases']} scans have no file and count as missed."] if absent else []
    )
    if not compared["cases"]:
        return [*lines, f"Against {entry['name']}: no scan has a file that can be read."]
    every = compared["regions"]["all"]
    lines.append(
        f"Against {entry['name']}, {compared['cases']} scans, this run minus theirs, 95 % interval over patients: "
        f"id. rate {_signed(every['identification_rate'], 100)} points; "
        f"error {_signed(every['mean_mm'])} mm over the {every['mean_mm']['pairs']} levels that both located."
    )
    worst = [
        f"{row['case']} ({row['identified']} of {row['annotated']}, theirs {row['their_identified']})"
        for row in compared["by_case"][:_NAMED]
        if row["lost"] > 0
    ]
    return lines + ([f"Most is lost against {entry['name']} in {', '.join(worst)}."] if worst else [])


def comparison_table(entry: Mapping[str, Any]) -> tuple[str, Table]:
    """Return heading and table of the scans where most is lost, scan by scan."""
    groups = [("identified", ("of", "this run", "theirs")), ("mean error mm", ("this run", "theirs"))]
    rows = [
        (
            row["case"],
            [
                [str(row[key]) for key in ("annotated", "identified", "their_identified")],
                [number(row["mean_mm"]), number(row["their_mean_mm"])],
            ],
        )
        for row in entry["comparison"]["by_case"][:_SHOWN]
    ]
    return f"Against {entry['name']}: the scans where most is lost first", Table("", groups, rows)


def _signed(found: Mapping[str, Any], factor: float = 1) -> str:
    """Write a difference and its interval with their signs."""
    if found["difference"] is None:
        return "-"
    low_high = found["interval"]
    around = "" if low_high is None else f" ({factor * low_high[0]:+.1f} to {factor * low_high[1]:+.1f})"
    return f"{factor * found['difference']:+.1f}{around}"
