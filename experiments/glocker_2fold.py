"""Vertebrae in CT, two folds: the protocol of Glocker et al., MICCAI 2013; or the challenge of 2014.

Train on one half of the scans, test on the other, and the reverse, so that every scan is tested once by a forest that
never saw its patient. With --protocol csi2014: train once on the release (242 scans) and test on the 60 scans of the
challenge. Without --data the embedded CT phantoms are used, and what is tested is drawn by patient.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.options import SHIPPED_SPLITS, Options
from experiments.protocol import Experiment, Fold, Method, Outcome, Progress
from experiments.runner import run
from experiments.vertebrae_task import VertebraeTask
from regforest._memory import MemoryNeed
from regforest.datasets import Dataset, folds_for, read_splits, split_differences, train_and_test_for
from regforest.spatial import AnnotatedScan, Grid, ScanSize
from regforest.vertebrae.baseline_2012 import Baseline2012, BaselineSettings
from regforest.vertebrae.localizer import VertebraLocalizer, VertebraSettings

__all__ = ["EXPERIMENT", "main"]


PROTOCOLS = ("2-fold", "csi2014")


def folds(dataset: Dataset, options: Options) -> tuple[list[Fold], list[str]]:
    """Return the folds of the protocol asked for."""
    return challenge_2014(dataset, options) if options.protocol == PROTOCOLS[1] else two_folds(dataset, options)


def two_folds(dataset: Dataset, options: Options) -> tuple[list[Fold], list[str]]:
    """Return both directions: the official folds where the scans' ids are in them, else drawn by patient."""
    (first, second), notes = folds_for(dataset.cases, options.splits, options.seed)
    one, two = (tuple(case.name for case in half) for half in (first, second))
    more = []
    if options.splits.resolve() != SHIPPED_SPLITS:
        differences = split_differences(read_splits(options.splits), read_splits(SHIPPED_SPLITS))
        more = [f"{options.splits} against the folds of {SHIPPED_SPLITS.name}: {differences}"]
    return [Fold("1", train=two, test=one), Fold("2", train=one, test=two)], [*notes, *more]


def challenge_2014(dataset: Dataset, options: Options) -> tuple[list[Fold], list[str]]:
    """Return one fold: the challenge's 60 scans are tested, all others are trained on."""
    (train, test), notes = train_and_test_for(dataset.cases, options.splits, options.seed)
    return [Fold("test", *(tuple(case.name for case in part) for part in (train, test)))], list(notes)


def fit(
    settings: VertebraSettings, seed: int, scans: Iterable[AnnotatedScan], n_jobs: int, max_memory_mb: float | None
) -> VertebraLocalizer:
    """Learn from the scans of one fold."""
    return VertebraLocalizer(settings, seed).fit(scans, n_jobs=n_jobs, max_memory_mb=max_memory_mb)


def fit_baseline(
    settings: BaselineSettings, seed: int, scans: Iterable[AnnotatedScan], n_jobs: int, max_memory_mb: float | None
) -> Baseline2012:
    """Learn the 2012 method from the scans of one fold."""
    return Baseline2012(settings, seed).fit(scans, n_jobs=n_jobs, max_memory_mb=max_memory_mb)


def apply(localizer: VertebraLocalizer, scan: AnnotatedScan, max_memory_mb: float | None) -> Outcome:
    """Locate and name the vertebrae of one scan."""
    return Outcome(localizer.localize(scan.image, max_memory_mb=max_memory_mb))


def apply_baseline(localizer: Baseline2012, scan: AnnotatedScan, max_memory_mb: float | None) -> Outcome:
    """Locate and name the vertebrae of one scan; the 2012 method knows no bound for its memory."""
    return Outcome(localizer.localize(scan.image))


def memory_need(localizer: VertebraLocalizer, grid: Grid) -> MemoryNeed:
    """Bound what `apply` takes; voxels may be floats."""
    return localizer.memory_need(grid, 4)


def training_need(
    settings: VertebraSettings | BaselineSettings, sizes: Sequence[ScanSize], n_jobs: int, ahead: int
) -> MemoryNeed:
    """Bound what `fit` or `fit_baseline` takes."""
    method = VertebraLocalizer(settings) if isinstance(settings, VertebraSettings) else Baseline2012(settings)
    return method.training_need(sizes, n_jobs, ahead)


def embedded(jobs: int, progress: Progress) -> Path:
    """Return the embedded CT phantoms."""
    from regforest.datasets.phantoms.ct import embedded_ct

    return embedded_ct(jobs=jobs, progress=progress)


EXPERIMENT = Experiment(
    name="glocker_2fold",
    description=__doc__,
    layouts=("spine-ct", "labelled-folder", "bids"),
    methods={
        "forest": Method(
            VertebraSettings(),
            VertebraSettings.quick(),
            fit,
            apply,
            memory_need=memory_need,
            training_need=training_need,
        ),
        "baseline-2012": Method(
            BaselineSettings(), BaselineSettings.quick(), fit_baseline, apply_baseline, training_need=training_need
        ),
    },
    embedded=embedded,
    folds=folds,
    task=VertebraeTask(),
    quick_cases=12,
    protocols=PROTOCOLS,
)


def main(argv: list[str] | None = None) -> int:
    """Run the experiment; returns the exit status."""
    return run(EXPERIMENT, argv)


if __name__ == "__main__":
    # under its own name, so that the workers of a cluster find what this module defines
    raise SystemExit(importlib.import_module("experiments.glocker_2fold").main())
