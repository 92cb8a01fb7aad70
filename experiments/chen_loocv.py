"""Discs (or any labelled structures) in MR, leave one patient out: the protocol of Chen et al., MLMI 2014.

Train on all scans of all other patients, test on every scan of the one left out. Without --data the embedded Dixon
phantoms are used (8 patients, 2 stages each).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.floor import mask_shapes, mean_shapes, pasted
from experiments.options import Options
from experiments.protocol import Experiment, Fold, Method, Outcome, Progress, leave_one_patient_out
from experiments.runner import run
from experiments.structures_task import StructuresTask
from regforest._memory import MemoryNeed
from regforest.datasets import Dataset
from regforest.discs.localizer import DiscLocalizer
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord
from regforest.spatial import AnnotatedScan, Grid, ScanSize

__all__ = ["EXPERIMENT", "main"]


def patients_left_out(dataset: Dataset, options: Options) -> tuple[list[Fold], list[str]]:
    """Return one fold for each patient."""
    folds = leave_one_patient_out(dataset.cases)
    return folds, [f"leave one patient out: {len(folds)} patients, {len(dataset.cases)} scans"]


@dataclass(frozen=True)
class Prepared:
    """One scan as every fit needs it."""

    record: TrainingRecord
    shapes: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Fitted:
    """The method, and the mean masks of the same training scans."""

    localizer: DiscLocalizer
    shapes: Mapping[str, NDArray[np.float32]]


def prepare(settings: DiscSettings, seed: int, scan: AnnotatedScan, max_memory_mb: float | None) -> Prepared:
    """Extract from one scan what every fit needs of it: done once, used in all folds."""
    return Prepared(DiscLocalizer(settings, seed).prepare(scan, max_memory_mb), mask_shapes(scan))


def fit(
    settings: DiscSettings, seed: int, scans: Iterable[Prepared], n_jobs: int, max_memory_mb: float | None
) -> Fitted:
    """Learn from the scans of all patients but one."""
    training = list(scans)
    records = [scan.record for scan in training]
    localizer = DiscLocalizer(settings, seed).fit(records, n_jobs=n_jobs, max_memory_mb=max_memory_mb)
    return Fitted(localizer, mean_shapes(scan.shapes for scan in training))


def apply(model: Fitted, scan: AnnotatedScan, max_memory_mb: float | None) -> Outcome:
    """Locate the structures of one scan and, where masks were learned, segment them."""
    localization, segmentation = model.localizer.apply(scan.channels, max_memory_mb=max_memory_mb)
    names = model.localizer.label_names
    if not model.shapes:
        return Outcome(localization)
    floor = pasted(model.shapes, localization.landmarks, scan.image.grid, names)
    return Outcome(localization, segmentation, names, floor)


def memory_need(model: Fitted, grid: Grid) -> MemoryNeed:
    """Bound what `apply` takes; voxels may be floats."""
    return model.localizer.memory_need(grid, 4 * len(model.localizer.channels_))


def training_need(settings: DiscSettings, sizes: Sequence[ScanSize], n_jobs: int, ahead: int) -> MemoryNeed:
    """Bound what it takes to prepare scans, `n_jobs` at a time."""
    return DiscLocalizer(settings).training_need(sizes, n_jobs)


def embedded(jobs: int, progress: Progress) -> Path:
    """Return the embedded Dixon phantoms."""
    from regforest.datasets.phantoms.mr import embedded_mr

    return embedded_mr(jobs=jobs, progress=progress)


_FULL = DiscSettings()
_QUICK = replace(
    _FULL, turns_deg=(0.0,), scales=(1.0,), coarse_patches=400, fine_patches=150, label_patches=600, passes=1
)

EXPERIMENT = Experiment(
    name="chen_loocv",
    description=__doc__,
    layouts=("ivdm3seg", "labelled-folder", "bids"),
    methods={
        name: Method(
            replace(_FULL, method=name), replace(_QUICK, method=name), fit, apply, prepare, memory_need, training_need
        )
        for name in ("data-driven", "forest", "knn")
    },
    embedded=embedded,
    folds=patients_left_out,
    task=StructuresTask(),
    quick_cases=4,
)


def main(argv: list[str] | None = None) -> int:
    """Run the experiment; returns the exit status."""
    return run(EXPERIMENT, argv)


if __name__ == "__main__":
    # under its own name, so that the workers of a cluster find what this module defines
    raise SystemExit(importlib.import_module("experiments.chen_loocv").main())
