"""What each part of the MR method contributes: one setting is changed at a time, leave one patient out.

Every row is a run of `chen_loocv` with other options, kept below --out with everything that decided its numbers; rows
that are there already are not computed again. Without --data the embedded Dixon phantoms are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments import chen_loocv
from experiments.ablation import Ablation
from experiments.ablation import settings_options as _set
from regforest.discs.settings import DiscSettings, PatchSettings
from regforest.report.tables import number

__all__ = ["ABLATION", "main"]

_JOINT = ("coarse_joint", "fine_joint")
_PATCHES = ("coarse_patch", "fine_patch", "label_patch")


def _joint(name: str, value: float) -> tuple[str, ...]:
    return _set(**{f"{joint}__{name}": value for joint in _JOINT})


def _sizes(factor: float) -> tuple[str, ...]:
    """All patches larger or smaller."""
    patches: list[tuple[str, PatchSettings]] = [(name, getattr(DiscSettings(), name)) for name in _PATCHES]
    return _set(**{f"{name}__sizes_mm": tuple(factor * size for size in p.sizes_mm) for name, p in patches})


_VARIANTS: dict[str, tuple[str, ...]] = {
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
    "smoothness of labels 0.5": _set(label_joint__geometry_weight=0.5),
    "smoothness of labels 2": _set(label_joint__geometry_weight=2.0),
    "patches 0.7 x": _sizes(0.7),
    "patches 1.4 x": _sizes(1.4),
    "test patches every 14 mm": _set(coarse_grid_mm=14.0),
    "150 fine patches": _set(fine_patches=150),
    "1500 fine patches": _set(fine_patches=1500),
    "600 label samples": _set(label_patches=600),
    "2500 label samples": _set(label_patches=2500),
    "no turned fine views": _set(fine_turns_deg=(0.0,)),
    "one pass": _set(passes=1),
}
_COLUMNS = ("localization mm, mean (median)", "Dice", "surface mm", "missed", "s a case")


def _cells(summary: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> list[str]:
    located = summary["landmark_mm"]
    return [
        f"{number(located['mean'], 2)} ({number(located['median'], 2)})",
        number(summary["dice"]["mean"], 3),
        number(summary["surface_mm"]["mean"], 2),
        f"{summary['missed']} of {summary['annotated']}",
        number(float(np.mean([case["seconds"] for case in cases])), 1),
    ]


ABLATION = Ablation("chen_ablation", str(__doc__), chen_loocv.main, _VARIANTS, _COLUMNS, _cells)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rows asked for; returns the worst exit status of `chen_loocv`."""
    parser = ABLATION.parser()
    parser.add_argument("--channels", metavar="A;B", help="also run with these channels only, e.g. 'fat;wat;fat,wat'")
    parser.add_argument(
        "--test-channels", metavar="A;B", help="also train on all channels, test on these: 'fat,wat;wat'"
    )
    options = parser.parse_args(argv)
    more: dict[str, tuple[str, ...]] = {}
    for channels in options.channels.split(";") if options.channels else ():
        more[f"channels {channels}"] = ("--channels", channels)
    for channels in options.test_channels.split(";") if options.test_channels else ():
        more[f"only {channels} at test time"] = ("--test-channels", channels)
    return ABLATION.main(options, parser, more)


if __name__ == "__main__":
    raise SystemExit(main())
