"""A tiny method and tiny data: the mean shape of the training scans, pasted wherever the image is brightest."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from experiments.protocol import Experiment, Fold, Method, Outcome, leave_one_patient_out
from experiments.structures_task import StructuresTask
from experiments.vertebrae_task import VertebraeTask
from regforest._memory import MemoryNeed, Stage
from regforest.datasets.labelled_folder import write_labelled_folder
from regforest.datasets.patients import write_patients
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Localization, Volume

VERTEBRAE = ("T11", "T12", "L1", "L2")
DISCS = {1: "L1/L2", 2: "L2/L3"}


@dataclass(frozen=True)
class Inner:
    radius_mm: float = 4.0


@dataclass(frozen=True)
class Settings:
    """Settings of the fake, one of each kind."""

    trees: int = 3
    shift_mm: float = 0.0
    mode: str = "mean"
    range_mm: tuple[float, float] = (1.0, 2.0)
    inner: Inner = field(default_factory=Inner)


class Log:
    """What was asked of the method, and what it shall do wrong."""

    def __init__(self) -> None:
        self.fits: list[tuple[str, ...]] = []
        self.applied: list[str] = []
        self.prepared: list[str] = []
        self.stop_after: int | None = None
        self.fail_fit_on: str = ""
        self.faults: dict[str, list[Exception]] = {}  # case -> what its next tries raise
        self.bounds_mb: list[tuple[str, float | None]] = []
        self.lock = threading.Lock()


@dataclass
class Model:
    mean: dict[str, np.ndarray]
    settings: Settings


def method(log: Log, settings: Settings = Settings(), *, prepared: bool = False) -> Method:
    """Make the method; it writes into the log."""

    def prepare(settings, seed, scan, max_memory_mb):
        with log.lock:
            log.prepared.append(scan.name)
        return scan

    def fit(settings, seed, scans, n_jobs, max_memory_mb):
        scans = list(scans)
        with log.lock:
            log.fits.append(tuple(scan.name for scan in scans))
        if log.fail_fit_on in [scan.name for scan in scans]:
            raise ValueError("cannot learn from this")
        noise = np.random.default_rng(seed).normal(0, 0.5, 3)
        names = {name for scan in scans for name in scan.landmarks}
        mean = {n: np.mean([s.landmarks[n] for s in scans if n in s.landmarks], axis=0) + noise for n in names}
        return Model(mean, settings)

    def apply(model, scan, max_memory_mb):
        with log.lock:
            if log.stop_after is not None and len(log.applied) >= log.stop_after:
                raise KeyboardInterrupt
            log.applied.append(scan.name)
            log.bounds_mb.append((scan.name, max_memory_mb))
            if log.faults.get(scan.name):
                raise log.faults[scan.name].pop(0)
        moved = {n: p + np.array([0, 0, model.settings.shift_mm]) for n, p in model.mean.items()}
        landmarks = Landmarks(moved, dict.fromkeys(moved, 0.5))
        probabilities = dict.fromkeys(moved, 0.9)
        localization = Localization(landmarks, "ok", probabilities=probabilities)
        if scan.labels is None:
            return Outcome(localization)
        masks, floor = (balls(scan.image.grid, landmarks, r) for r in (model.settings.inner.radius_mm, 3.0))
        return Outcome(localization, masks, DISCS, floor)

    quick = Settings(trees=1)

    def memory_need(model, grid):
        return MemoryNeed(classifying=Stage(100.0, work_mb=400.0, slab_mb=20.0))

    return Method(settings, quick, fit, apply, prepare if prepared else None, memory_need)


def balls(grid: Grid, landmarks: Landmarks, radius_mm: float) -> Volume:
    """Label image with a ball around each disc."""
    zyx = np.stack(np.meshgrid(*map(np.arange, grid.shape_zyx), indexing="ij"), axis=-1)
    points = grid.index_to_lps(zyx[..., ::-1])
    labels = np.zeros(grid.shape_zyx, np.uint8)
    for value, name in DISCS.items():
        if name in landmarks:
            labels[np.linalg.norm(points - landmarks[name], axis=-1) <= radius_mm] = value
    return Volume(labels, grid)


def experiment(log: Log, root: Path, *, discs: bool = False, prepared: bool = False) -> Experiment:
    """Make the experiment; `root` is its embedded data set."""

    def folds(dataset, options):
        if discs:
            return leave_one_patient_out(dataset.cases), ["leave one patient out"]
        names = [case.name for case in dataset.cases]
        half = len(names) // 2
        first, second = tuple(names[:half]), tuple(names[half:])
        return [Fold("1", second, first), Fold("2", first, second)], ["two halves"]

    return Experiment(
        name="fake",
        description="a fake",
        layouts=("labelled-folder",),
        methods={
            "mean": method(log, prepared=prepared),
            "shifted": method(log, Settings(shift_mm=30.0)),
            "later": "comes later",
        },
        embedded=lambda jobs, progress: root,
        folds=folds,
        task=StructuresTask() if discs else VertebraeTask(),
        quick_cases=4,
    )


def write_data(root: Path, *, discs: bool = False, patients: int = 3, stages: int = 2) -> Path:
    """Write tiny scans with names p0a, p0b, p1a ...; the scans of a patient resemble each other."""
    rng = np.random.default_rng(1)
    grid = Grid.from_parts((40, 16, 14), spacing_mm=(2, 2, 4), origin_mm=(-10, -20, -130))
    scans, owners = [], {}
    for patient in range(patients):
        middle = np.array([4.0, -4.0, -10.0]) + rng.normal(0, 1.5, 3)
        for stage in "ab"[:stages]:
            name = f"p{patient}{stage}"
            owners[name] = f"patient{patient}"
            levels = DISCS.values() if discs else VERTEBRAE
            points = {n: middle + np.array([0, 0, -30.0 * i]) + rng.normal(0, 0.5, 3) for i, n in enumerate(levels)}
            image = Volume(rng.integers(0, 200, grid.shape_zyx).astype(np.int16), grid)
            landmarks = Landmarks(points)
            labels = balls(grid, landmarks, 5.0) if discs else None
            scans.append(
                AnnotatedScan(name, owners[name], {"image": image}, landmarks, labels, DISCS if discs else {})
            )
    write_labelled_folder(root, scans)
    write_patients(root / "patients.csv", owners)
    return root
