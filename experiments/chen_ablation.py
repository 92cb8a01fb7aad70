"""What each part of the MR method contributes: one setting is changed at a time, leave one patient out.

Every row is a run of `chen_loocv` with other options, kept below --out with everything that decided its numbers; rows
that are there already are not computed again. Without --data the embedded Dixon phantoms are used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import chen_loocv
from experiments.options import seed_number
from regforest.discs.settings import DiscSettings, PatchSettings
from regforest.io import write_text
from regforest.report.tables import number

__all__ = ["VARIANTS", "main", "table_row"]

_JOINT = ("coarse_joint", "fine_joint")
_PATCHES = ("coarse_patch", "fine_patch", "label_patch")


def _set(**changes: Any) -> tuple[str, ...]:
    """Options of `chen_loocv` that change settings; a double underscore stands for the dot of a nested one."""
    pairs = ((key.replace("__", "."), value) for key, value in changes.items())
    return tuple(part for key, value in pairs for part in ("--set", f"{key}={value}"))


def _joint(name: str, value: float) -> tuple[str, ...]:
    return _set(**{f"{joint}__{name}": value for joint in _JOINT})


def _sizes(factor: float) -> tuple[str, ...]:
    """All patches larger or smaller."""
    patches: list[tuple[str, PatchSettings]] = [(name, getattr(DiscSettings(), name)) for name in _PATCHES]
    return _set(**{f"{name}__sizes_mm": tuple(factor * size for size in p.sizes_mm) for name, p in patches})


VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "forest (Chu 2015)": ("--method", "forest"),
    "kNN alone: w = b = 0": ("--method", "knn"),
    "k = 5": _joint("neighbours", 5) + _set(label_joint__neighbours=5),
    "k = 60": _joint("neighbours", 60) + _set(label_joint__neighbours=60),
    "a = 0.2": _joint("data_weight", 0.2),
    "a = 5": _joint("data_weight", 5.0),
    "b = 0": _joint("geometry_weight", 0.0),
    "b = 1": _joint("geometry_weight", 1.0),
    "w = 0": _joint("affinity_weight", 0.0),
    "w = 0.2": _joint("affinity_weight", 0.2),
    "smoothness of labels 0.1": _set(label_joint__geometry_weight=0.1),
    "smoothness of labels 2": _set(label_joint__geometry_weight=2.0),
    "patches 0.7 x": _sizes(0.7),
    "patches 1.4 x": _sizes(1.4),
    "test patches every 14 mm": _set(coarse_grid_mm=14.0),
    "150 fine patches": _set(fine_patches=150),
    "1500 fine patches": _set(fine_patches=1500),
    "600 label samples": _set(label_patches=600),
    "no turned fine views": _set(fine_turns_deg=(0.0,)),
    "one pass": _set(passes=1),
}
"""Row of the table -> options of `chen_loocv`."""

_COLUMNS = ("", "localization mm, mean (median)", "Dice", "surface mm", "missed", "s a case")


def table_row(name: str, folder: Path) -> list[str]:
    """Cells of a finished run."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    cases = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("cases/*.json"))]
    located = summary["landmark_mm"]
    return [
        name,
        f"{number(located['mean'], 2)} ({number(located['median'], 2)})",
        number(summary["dice"]["mean"], 3),
        number(summary["surface_mm"]["mean"], 2),
        f"{summary['missed']} of {summary['annotated']}",
        number(float(np.mean([case["seconds"] for case in cases])), 1),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.chen_ablation",
        description=__doc__,
        epilog="rows:\n  " + "\n  ".join(VARIANTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="data set (default: the embedded phantoms)")
    parser.add_argument("--limit", type=int, metavar="N", help="N cases in all")
    parser.add_argument("--channels", metavar="A;B", help="also run with these channels only, e.g. 'fat;wat;fat,wat'")
    parser.add_argument(
        "--test-channels", metavar="A;B", help="also train on all channels, test on these: 'fat,wat;wat'"
    )
    parser.add_argument("--only", metavar="A;B", help="these rows only (default: all, see below)")
    parser.add_argument("--jobs", type=int, metavar="N", help="threads (default: all cores)")
    parser.add_argument("--seed", type=seed_number, default=0, metavar="N", help="default: %(default)s")
    out = Path("results/chen_ablation")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="default: %(default)s")
    return parser


def _common(options: argparse.Namespace) -> list[str]:
    """Options that all rows share."""
    given = {"--data": options.data, "--limit": options.limit, "--jobs": options.jobs, "--seed": options.seed}
    return [str(part) for key, value in given.items() if value is not None for part in (key, value)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run all rows; returns the worst exit status of `chen_loocv` (0 done, 1 some cases failed, 2 and 3 refused)."""
    parser = _parser()
    options = parser.parse_args(argv)
    variants = dict(VARIANTS)
    for channels in options.channels.split(";") if options.channels else ():
        variants[f"channels {channels}"] = ("--channels", channels)
    for channels in options.test_channels.split(";") if options.test_channels else ():
        variants[f"only {channels} at test time"] = ("--test-channels", channels)
    chosen = [name.strip() for name in options.only.split(";")] if options.only else list(variants)
    if unknown := [name for name in chosen if name not in variants]:
        parser.error(f"--only: no row {', '.join(unknown)}; there are {'; '.join(variants)}")
    rows, worst = [], 0
    for name in chosen:
        folder = options.out / "".join(c if c.isalnum() else "_" for c in name)
        run = [*_common(options), "--no-pictures", "--resume", "--out", str(folder), *variants[name]]
        with contextlib.redirect_stdout(sys.stderr):
            status = chen_loocv.main(run)
        worst = max(worst, status)
        if status in (0, 1):
            rows.append(table_row(name, folder))
    lines = ["| " + " | ".join(cells) + " |" for cells in (_COLUMNS, ["---"] * len(_COLUMNS), *rows)]
    text = "\n".join(lines) + "\n"
    if rows:
        write_text(options.out / "table.md", text)
    print(text, end="")
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
