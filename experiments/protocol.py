"""What an experiment consists of: methods, folds, and a way of judging."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from experiments.options import Options
from regforest._memory import MemoryNeed
from regforest.datasets import Case, Dataset
from regforest.errors import DataError, UsageError
from regforest.report import Card, Table
from regforest.spatial import AnnotatedScan, Grid, Localization, ScanSize, Volume

__all__ = ["Experiment", "Fold", "Method", "Outcome", "Progress", "Task", "leave_one_patient_out", "limited"]


Progress = Callable[[int, int], None]
"""Called with the number of steps done and their total."""


@dataclass(frozen=True)
class Fold:
    """Names of the cases to train on and to test on."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a method says about one scan.

    Attributes
    ----------
    localization : Localization
        Landmarks (LPS mm) with the verdict on them.
    segmentation : Volume or None
        Integer labels on the scan's grid.
    label_names : mapping of int to str
        Value in the segmentation -> structure.
    floor : Volume or None
        Labels of the same kind that needed no look at the image, to compare with (`experiments.floor`).
    """

    localization: Localization
    segmentation: Volume | None = None
    label_names: Mapping[int, str] | None = None
    floor: Volume | None = None


@dataclass(frozen=True)
class Method:
    """One way of solving the task.

    Attributes
    ----------
    settings : dataclass
        Defaults, which ``--set`` changes.
    quick : dataclass
        Smallest useful settings, for ``--quick``.
    fit : callable
        ``(settings, seed, scans, n_jobs, max_memory_mb) -> model``; scans come one at a time and may be prepared
        ones. The bound is None where there is none.
    apply : callable
        ``(model, scan, max_memory_mb) -> Outcome``; is called from several threads at once. The bound is None, or no
        lower than the least of `memory_need`.
    prepare : callable, optional
        ``(settings, seed, scan, max_memory_mb) -> anything that fit accepts in place of the scan``; done once for
        each scan and shared by all folds, which makes leave-one-out cheap.
    memory_need : callable, optional
        ``(model, grid of the image) -> MemoryNeed`` of `apply`.
    training_need : callable, optional
        ``(settings, sizes of the training scans, n_jobs, scans read ahead) -> MemoryNeed`` of `fit`; with `prepare`,
        of preparing them side by side, as its only stage.
    """

    settings: Any
    quick: Any
    fit: Callable[[Any, int, Iterable[Any], int, float | None], Any]
    apply: Callable[[Any, AnnotatedScan, float | None], Outcome]
    prepare: Callable[[Any, int, AnnotatedScan, float | None], Any] | None = None
    memory_need: Callable[[Any, Grid], MemoryNeed] | None = None
    training_need: Callable[[Any, Sequence[ScanSize], int, int], MemoryNeed] | None = None


class Task(Protocol):
    """How outcomes are judged, aggregated and shown: vertebrae or structures."""

    table_file: str

    def judge(self, scan: AnnotatedScan, outcome: Outcome, definition: str) -> list[dict[str, Any]]:
        """Return one JSON-ready row for each level."""

    def summarize(self, rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
        """Return the part of summary.json that the rows decide."""

    def compare(
        self, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], seed: int
    ) -> dict[str, Any]:
        """Return the paired comparison of the rows of two methods on the same cases."""

    def case_row(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the columns of per_case.csv that the rows decide."""

    def level_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of per_vertebra.csv / per_structure.csv."""

    def published(self) -> list[dict[str, Any]]:
        """Return the published tables for summary.json."""

    def table(self, summary: Mapping[str, Any]) -> Table:
        """Return the main table."""

    def more_tables(self, summary: Mapping[str, Any]) -> list[tuple[str, Table]]:
        """Return further tables of the page, with headings."""

    def charts(self, summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """Return headings and inline SVG, from the summary and the rows of the main method."""

    def card(self, case: Mapping[str, Any]) -> Card:
        """Return the card of a stored case, without what is the same for all tasks: fold, points and pictures."""


@dataclass(frozen=True)
class Experiment:
    """One protocol of one paper.

    Attributes
    ----------
    name, description : str
        Module name, and the text of ``--help``.
    layouts : tuple of str
        Data layouts that make sense.
    methods : mapping of str to Method or str
        The first is the default; a str says why a method is refused for now.
    embedded : callable
        ``(jobs, progress) -> folder`` of the embedded phantom data, made at the first call.
    folds : callable
        ``(dataset, options) -> (folds, notes)``.
    task : Task
        How to judge.
    quick_cases : int
        Cases of a ``--quick`` run.
    protocols : tuple of str
        Choices of ``--protocol`` that `folds` knows, the default first; empty where there is one only.
    """

    name: str
    description: str
    layouts: tuple[str, ...]
    methods: Mapping[str, Method | str]
    embedded: Callable[[int, Progress], Path]
    folds: Callable[[Dataset, Options], tuple[list[Fold], list[str]]]
    task: Task
    quick_cases: int
    protocols: tuple[str, ...] = ()


def leave_one_patient_out(cases: Iterable[Case]) -> list[Fold]:
    """One fold for each patient: all scans of the patient are tested, none of them is trained on."""
    patients: dict[str, list[str]] = {}
    for case in cases:
        patients.setdefault(case.patient, []).append(case.name)
    everyone = [name for names in patients.values() for name in names]
    return [
        Fold(patient, tuple(name for name in everyone if name not in patients[patient]), tuple(patients[patient]))
        for patient in sorted(patients)
    ]


def limited(folds: Sequence[Fold], limit: int | None) -> list[Fold]:
    """Keep `limit` cases in all, dealt to the folds in turn and spread evenly within each.

    Folds that get no case to test are dropped; the cases that were dropped are not trained on either. Of a single
    fold, training and test set keep their proportion.

    Raises
    ------
    UsageError
        If fewer than two folds would be left.
    DataError
        If a fold has nothing to train on or to test.
    """
    if len(folds) == 1:
        return [_limited_fold(folds[0], limit)]
    quota = [len(fold.test) for fold in folds]
    if limit is not None and limit < sum(quota):
        quota = _dealt(quota, limit)
        if sum(n > 0 for n in quota) < 2:
            raise UsageError(f"--limit {limit} leaves no case to train on; use at least 2")
    kept = {fold.name: _spread(fold.test, n) for fold, n in zip(folds, quota, strict=True) if n}
    everyone = {name for names in kept.values() for name in names}
    result = [Fold(f.name, tuple(n for n in f.train if n in everyone), kept[f.name]) for f in folds if f.name in kept]
    for fold in result:
        if not fold.train:
            raise DataError(f"fold {fold.name!r} has no case to train on: at least two patients are needed")
    if not result:
        raise DataError("there is no case to test: the splits hold none of the data set's cases")
    return result


def _limited_fold(fold: Fold, limit: int | None) -> Fold:
    total = len(fold.train) + len(fold.test)
    if not fold.train:
        raise DataError(f"fold {fold.name!r} has no case to train on: at least two patients are needed")
    if limit is None or limit >= total:
        return fold
    if limit < 2:
        raise UsageError(f"--limit {limit} leaves no case to train on; use at least 2")
    tested = min(max(1, round(limit * len(fold.test) / total)), limit - 1)
    return Fold(fold.name, _spread(fold.train, limit - tested), _spread(fold.test, tested))


def _spread(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Take some names, evenly spread."""
    return tuple(names[i] for i in np.linspace(0, len(names) - 1, count).round().astype(int))


def _dealt(available: Sequence[int], total: int) -> list[int]:
    dealt = [0] * len(available)
    while total:
        for i, count in enumerate(available):
            if total and dealt[i] < count:
                dealt[i] += 1
                total -= 1
    return dealt
