"""RESULTS.md: what was measured, on what machine, and how."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine, describe_versions
from benchmarks.scaling import PLOT, draw
from benchmarks.table import Record, cells, markdown
from regforest.io import write_text

__all__ = ["RESULTS", "write_results"]

_BOUNDS = "## What bounds the goals that are missed"

RESULTS = Path(__file__).with_name("RESULTS.md")

_HOW = """\
Each ratio is the peer's time over ours, pair by pair: ours, peer, peer, ours, ... after a call of each that is thrown
away (slow peers that compile nothing go without). The table gives the median over the pairs and the range. Both sides
have two threads unless the row says otherwise, and start from the same voxels or the same C-contiguous float32 rows;
what a user's call would do (summed-volume table, binning, validation) is inside the clock on both sides. Peak memory
is that of our side in a process of its own, interpreter, libraries and inputs included (10^6 bytes). *Reached* says
"stretch", "goal" or "missed"; a row whose accuracy or labels are not equal, as its note says, has missed its goal.
"""


def write_results(rows: Sequence[Record], command: str, file: Path = RESULTS) -> None:
    """Write the page, and the plot of the scaling rows beside it; what it says of bounds stays as it is."""
    scaling = [row for row in rows if row["benchmark"] == "scaling"]
    others = [row for row in rows if row["benchmark"] != "scaling"]
    parts = ["# Benchmarks", _provenance(command), "## Against peers", markdown(others), *_bounds(file)]
    if scaling:
        draw(scaling, file.with_name(PLOT.name))
        parts += ["## How cost grows", f"![seconds over size]({PLOT.name})", _scaling_table(scaling)]
    parts += ["## How it is measured", _HOW.strip()]
    write_text(file, "\n\n".join(parts) + "\n")


def _bounds(file: Path) -> list[str]:
    """Return the section on goals that are missed, which people write, of the page as it is."""
    text = file.read_text() if file.exists() else ""
    sections = re.split(r"\n(?=## )", text)
    return [section.strip() for section in sections if section.startswith(_BOUNDS)]


def _provenance(command: str) -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    facts = {"command": f"`{command}`", "date": today, **describe_machine()}
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    versions = ", ".join(f"{name} {version}" for name, version in describe_versions().items())
    return "\n".join([*lines, f"- versions: {versions}"])


def _scaling_table(rows: Sequence[Record]) -> str:
    lines = [("what", "size", "seconds"), ("---",) * 3]
    lines += [
        (row["what"].removeprefix("scaling: "), f"{row['value']:g} {row['unit']}", cells(row)[3]) for row in rows
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
