"""Vertebrae in CT, two folds: the protocol of Glocker et al., MICCAI 2013.

Train on one half of the scans, test on the other, and the reverse, so that every scan is tested once by a forest that
never saw its patient. Without --data the embedded CT phantoms are used, and folds are drawn by patient.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from experiments.options import Options
from experiments.protocol import Experiment, Fold, Method, Outcome, Progress
from experiments.runner import run
from experiments.vertebrae_task import VertebraeTask
from regforest._memory import MemoryNeed
from regforest.datasets import Dataset, folds_for
from regforest.spatial import AnnotatedScan, Grid
from regforest.vertebrae.baseline_2012 import Baseline2012, BaselineSettings
from regforest.vertebrae.localizer import VertebraLocalizer, VertebraSettings

__all__ = ["EXPERIMENT", "main"]


def two_folds(dataset: Dataset, options: Options) -> tuple[list[Fold], list[str]]:
    """Return both directions: the official folds where the scans' ids are in them, else drawn by patient."""
    (first, second), notes = folds_for(dataset.cases, options.splits, options.seed)
    one, two = (tuple(case.name for case in half) for half in (first, second))
    return [Fold("1", train=two, test=one), Fold("2", train=one, test=two)], list(notes)


def fit(settings: VertebraSettings, seed: int, scans: Iterable[AnnotatedScan], n_jobs: int) -> VertebraLocalizer:
    """Learn from the scans of one fold."""
    return VertebraLocalizer(settings, seed).fit(scans, n_jobs=n_jobs)


def fit_baseline(settings: BaselineSettings, seed: int, scans: Iterable[AnnotatedScan], n_jobs: int) -> Baseline2012:
    """Learn the 2012 method from the scans of one fold."""
    return Baseline2012(settings, seed).fit(scans, n_jobs=n_jobs)


def apply(localizer: VertebraLocalizer, scan: AnnotatedScan, max_memory_mb: float | None) -> Outcome:
    """Locate and name the vertebrae of one scan."""
    return Outcome(localizer.localize(scan.image, max_memory_mb=max_memory_mb))


def apply_baseline(localizer: Baseline2012, scan: AnnotatedScan, max_memory_mb: float | None) -> Outcome:
    """Locate and name the vertebrae of one scan; the 2012 method knows no bound for its memory."""
    return Outcome(localizer.localize(scan.image))


def memory_need(localizer: VertebraLocalizer, grid: Grid) -> MemoryNeed:
    """Bound what `apply` takes; voxels may be floats."""
    return localizer.memory_need(grid, 4)


def embedded(jobs: int, progress: Progress) -> Path:
    """Return the embedded CT phantoms."""
    from regforest.datasets.phantoms.ct import embedded_ct

    return embedded_ct(jobs=jobs, progress=progress)


EXPERIMENT = Experiment(
    name="glocker_2fold",
    description=__doc__,
    layouts=("spine-ct", "labelled-folder"),
    methods={
        "forest": Method(VertebraSettings(), VertebraSettings.quick(), fit, apply, memory_need=memory_need),
        "baseline-2012": Method(BaselineSettings(), BaselineSettings.quick(), fit_baseline, apply_baseline),
    },
    embedded=embedded,
    folds=two_folds,
    task=VertebraeTask(),
    quick_cases=12,
)


def main(argv: list[str] | None = None) -> int:
    """Run the experiment; returns the exit status."""
    return run(EXPERIMENT, argv)


if __name__ == "__main__":
    # under its own name, so that the workers of a cluster find what this module defines
    raise SystemExit(importlib.import_module("experiments.glocker_2fold").main())
