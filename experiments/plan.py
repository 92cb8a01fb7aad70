"""Everything about a run that can be settled before any work: data, folds, methods with their settings."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.manifest import data_fingerprint, folder_fingerprint
from experiments.options import Options, refuse_unknown, settings_keys, with_overrides
from experiments.protocol import Experiment, Fold, Method, Progress, limited
from regforest.datasets import Case, Dataset, announce_terms, open_dataset
from regforest.errors import DataError, FileError, UsageError
from regforest.io import walk_files
from regforest.spatial import AnnotatedScan

__all__ = ["SMOKE", "Plan", "circumstances", "make_plan"]

SMOKE = "smoke run (--quick): few cases and the smallest settings, so its figures say nothing about the method"
"""What a reader of such a run must not miss."""


@dataclass(frozen=True)
class Plan:
    """A run that can start: everything that was asked for exists and fits together."""

    experiment: Experiment
    options: Options
    dataset: Dataset
    folds: list[Fold]
    notes: list[str]
    methods: dict[str, Method]  # with the settings as resolved
    published: dict[str, Path]  # case -> file to judge as well
    identity: dict[str, Any]

    def case(self, name: str) -> Case:
        """Look up a case by name."""
        return next(case for case in self.dataset.cases if case.name == name)

    def load(self, name: str) -> AnnotatedScan:
        """Read a case, with the channels that were asked for."""
        return _with_channels(self.case(name).load(), self.options.channels)

    def as_tested(self, scan: AnnotatedScan) -> AnnotatedScan:
        """Return a scan that was read, as a model is to see it."""
        return _with_channels(scan, self.options.test_channels)


def make_plan(experiment: Experiment, options: Options) -> Plan:
    """Check everything that can be checked before any work; raises what says why a run cannot start."""
    methods = _resolved_methods(experiment, options)
    dataset = _opened(experiment, options)
    channels, channel_notes = _channels(dataset.cases, options.channels)
    _check_test_channels(dataset.cases, channels, options.test_channels)
    options = dataclasses.replace(options, channels=channels)
    folds, fold_notes = experiment.folds(dataset, options)
    notes = [*dataset.notes, *channel_notes, *fold_notes, *([SMOKE] if options.quick else [])]
    limit = experiment.quick_cases if options.limit is None and options.quick else options.limit
    folds = limited(folds, limit)
    published = _published_files(options.published, {name for fold in folds for name in fold.test}, notes)
    identity = {
        "experiment": experiment.name,
        "methods": list(options.methods),
        "settings": {name: dataclasses.asdict(method.settings) for name, method in methods.items()},
        "protocol": options.protocol,
        "seed": options.seed,
        "definition": options.definition,
        "pictures": options.pictures,
        "channels": list(options.channels),
        "test_channels": list(options.test_channels),
        "data": {"name": dataset.name, "cases": len(dataset.cases), "fingerprint": data_fingerprint(dataset.cases)},
        "splits": [dataclasses.asdict(fold) for fold in folds],
        "published": folder_fingerprint(published.values()) if options.published else None,
    }
    return Plan(experiment, options, dataset, folds, notes, methods, published, identity)


def _channels(cases: Sequence[Case], asked: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """Return the channels to read (none: all that there are), and a note where scans differ in them.

    A method needs the same ones of all scans: without a choice those that most scans have. A scan without them fails
    by itself, with the reason.
    """
    sets = Counter(frozenset(case.image_files) for case in cases)
    if not any(set(asked) <= own for own in sets):
        known = ", ".join(sorted({channel for case in cases for channel in case.image_files}))
        raise UsageError(f"--channels: no scan has the channels {', '.join(asked)}; known: {known}")
    if asked or len(sets) == 1:
        return asked, []
    most = max(sets, key=lambda own: (sets[own], len(own)))
    chosen = next(tuple(case.image_files) for case in cases if set(case.image_files) == most)
    count = sum(n for own, n in sets.items() if most <= own)
    return chosen, [
        f"scans differ in their channels: {', '.join(chosen)} are used, which {count} of {len(cases)} scans have; "
        "choose others with --channels"
    ]


def _check_test_channels(cases: Sequence[Case], trained: tuple[str, ...], asked: tuple[str, ...]) -> None:
    known = trained or tuple(cases[0].image_files)
    if unknown := [channel for channel in asked if channel not in known]:
        raise UsageError(f"--test-channels: {', '.join(unknown)} not among those of training: {', '.join(known)}")


def _with_channels(scan: AnnotatedScan, wanted: tuple[str, ...]) -> AnnotatedScan:
    """Return a scan with some of its channels, in the order given; with all if none is named."""
    missing = [channel for channel in wanted if channel not in scan.channels]
    if missing:
        raise DataError(f"{scan.name}: no channel {', '.join(missing)}; it has {', '.join(scan.channels)}")
    return dataclasses.replace(scan, channels={name: scan.channels[name] for name in wanted}) if wanted else scan


def circumstances(plan: Plan, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return what belongs in the manifest without deciding the numbers."""
    return {
        "command": list(plan.options.command),
        "versions": dict(versions),
        "machine": platform.machine(),
        "jobs": plan.options.jobs,
        "root": str(plan.dataset.root),
        "layout": plan.dataset.layout,
        "terms": plan.dataset.terms,
        "citation": plan.dataset.citation,
        "notes": plan.notes,
    }


def _resolved_methods(experiment: Experiment, options: Options) -> dict[str, Method]:
    """Chosen methods with ``--quick`` and ``--set`` applied."""
    chosen: dict[str, Method] = {}
    unknown, known = set(options.overrides), []
    for name in options.methods:
        method = experiment.methods[name]
        if isinstance(method, str):
            raise UsageError(f"--method {name}: {method}")
        defaults = method.quick if options.quick else method.settings
        settings, strange = with_overrides(defaults, options.overrides)
        unknown &= strange
        known += settings_keys(settings)
        chosen[name] = dataclasses.replace(method, settings=settings)
    refuse_unknown(unknown, known)
    return chosen


def _opened(experiment: Experiment, options: Options) -> Dataset:
    if options.data is None:
        with tqdm(desc="phantoms (once, then cached)", unit="scan", leave=False, disable=None) as bar:
            root, layout = experiment.embedded(options.jobs, _progress_of(bar)), "auto"
    else:
        # phantoms are written in real layouts
        root, layout = options.data, "auto" if options.layout == "phantom" else options.layout
    dataset = open_dataset(root, layout, options.patients)
    if not dataset.cases:
        reasons = "; ".join(f"{fault.case}: {fault.error}" for fault in dataset.faults[:3]) or "no case found"
        raise FileError(root, "a data set with usable cases", reasons, "check --data and --layout")
    announce_terms(dataset)
    return dataset


def _progress_of(bar: Any) -> Progress:
    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return progress


def _published_files(folder: Path | None, cases: set[str], notes: list[str]) -> dict[str, Path]:
    """LML files of a published method by case; a case without a file will count as missed.

    Folders that cannot be looked at go to `notes`.
    """
    if folder is None:
        return {}
    if not os.path.isdir(folder):
        raise FileError(folder, "a folder with <id>_centroids_conf.lml files", "no folder", "correct --published")
    suffix = "_centroids_conf"
    files: dict[str, Path] = {}
    for path in walk_files(folder, notes):
        if not path.name.endswith(f"{suffix}.lml"):
            continue
        first = files.setdefault(path.stem.removesuffix(suffix), path)
        if first is not path:
            raise FileError(folder, "one file for each scan", f"{first} and {path}", "keep one of them")
    found = {case: files[case] for case in sorted(cases & set(files))}
    if not found:
        raise FileError(
            folder, "<id>_centroids_conf.lml files of the data set's scans", f"{len(files)} files, none of them of "
            "these scans", "correct --published or --data",
        )  # fmt: skip
    return found
