"""What each part of the CT method contributes: one setting is changed at a time, two folds.

Every row is a run of `glocker_2fold` with other options, kept below --out with everything that decided its numbers;
rows that are there already are not computed again. Without --data the embedded CT phantoms are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments import glocker_2fold
from experiments.ablation import Ablation
from experiments.ablation import settings_options as _set
from regforest.report.tables import number, percent

__all__ = ["ABLATION", "main"]

_VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "the paper's way: modes of each vertebra's map": _set(bodies__trees=0),
    "hard labels": _set(sampling__soft_labels=False),
    "hard labels, the paper's way": _set(sampling__soft_labels=False, bodies__trees=0),
    "labels as wide as the body": _set(sampling__claim_share=1.0),
    "pool of 150 features": _set(features=150, bodies__features=100),
    "pool of 1500 features": _set(features=1500, bodies__features=1000),
    "10 trees": _set(trees=10, bodies__trees=5),
    "80 trees": _set(trees=80, bodies__trees=40),
    "working grid of 4 mm": _set(spacing_mm=4.0),
    "boxes within 30 mm": _set(max_offset_mm=30.0),
    "a candidate's mass says nothing": _set(bodies__mass_steepness=0.001),
    "regression forest and HMM (2012)": ("--method", "baseline-2012"),
}
_COLUMNS = ("identified", "mean mm (median)", "missed", "false alarms", "s a scan", "s in all")


def _cells(summary: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> list[str]:
    every = summary["regions"]["all"]
    return [
        percent(every["identification_rate"]),
        f"{number(every['mean_mm'])} ({number(every['median_mm'])})",
        str(every["missed"]),
        str(every["false_alarms"]),
        number(sum(case["seconds"] for case in cases) / max(len(cases), 1)),
        number(summary["seconds"], 0),
    ]


ABLATION = Ablation("glocker_ablation", str(__doc__), glocker_2fold.main, _VARIANTS, _COLUMNS, _cells)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rows asked for; returns the worst exit status of `glocker_2fold`."""
    parser = ABLATION.parser()
    return ABLATION.main(parser.parse_args(argv), parser, {})


if __name__ == "__main__":
    raise SystemExit(main())
