"""Carries out an experiment: cases in parallel, one bad case does not stop the rest, finished cases are kept."""

from __future__ import annotations

import dataclasses
import platform
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments.manifest import Stages, fingerprint, folder_fingerprint, versions
from experiments.options import Options, build_parser, parse, refuse_unknown, settings_keys, with_overrides
from experiments.outputs import RunFolder, write_atomically
from experiments.parallel import in_parallel, prefetched
from experiments.protocol import Experiment, Fold, Method, Outcome, Progress, limited
from experiments.results import write_results
from regforest.datasets import Case, Dataset, open_dataset
from regforest.datasets.patients import read_patients
from regforest.errors import DataError, FileError, RegForestError, UsageError
from regforest.io import read_landmarks
from regforest.spatial import AnnotatedScan, Landmarks, Localization

__all__ = ["Failures", "Plan", "run"]


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
        scan = self.case(name).load()
        if not self.options.channels:
            return scan
        missing = [channel for channel in self.options.channels if channel not in scan.channels]
        if missing:
            raise DataError(f"{name}: no channel {', '.join(missing)}; it has {', '.join(scan.channels)}")
        chosen = {channel: scan.channels[channel] for channel in self.options.channels}
        return dataclasses.replace(scan, channels=chosen)


@dataclass
class Failures:
    """Rows of failures.csv; one cause is noted once, in however many folds it shows."""

    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, case: str, stage: str, error: BaseException | str) -> None:
        """Note that a case failed; unexpected errors leave their traceback on stderr."""
        text = str(error)
        if isinstance(error, BaseException) and not isinstance(error, (RegForestError, OSError)):
            text = f"{type(error).__name__}: {error}"
            tqdm.write("".join(traceback.format_exception(error)), file=sys.stderr)
        row = {"case": case, "stage": stage, "error": text}
        if row not in self.rows:
            self.rows.append(row)
            tqdm.write(f"{case}: failed at {stage}: {text}", file=sys.stderr)


def run(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Run an experiment from the command line.

    Returns
    -------
    int
        Exit status: 0 done (or found done), 1 some cases failed, 2 wrong usage, 3 data that cannot be used.
    """
    parser = build_parser(
        experiment.name, experiment.description, experiment.layouts, list(experiment.methods)
    )
    options = parse(parser, list(experiment.methods), argv)
    try:
        return _run(experiment, options)
    except UsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except (RegForestError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; finished cases are kept, go on with --resume", file=sys.stderr)
        return 130


def make_plan(experiment: Experiment, options: Options, stages: Stages) -> Plan:
    """Check everything that can be checked before any work; raises what says why a run cannot start."""
    methods = _resolved_methods(experiment, options)
    with stages("data"):
        dataset = _opened(experiment, options)
    wanted = set(options.channels)
    if not any(wanted <= set(case.image_files) for case in dataset.cases):
        known = sorted({channel for case in dataset.cases for channel in case.image_files})
        asked = ", ".join(options.channels)
        raise UsageError(f"--channels: no scan has the channels {asked}; known: {', '.join(known)}")
    folds, notes = experiment.folds(dataset, options)
    limit = experiment.quick_cases if options.limit is None and options.quick else options.limit
    folds = limited(folds, limit)
    published = _published_files(options.published, {name for fold in folds for name in fold.test})
    identity = {
        "experiment": experiment.name,
        "methods": list(options.methods),
        "settings": {name: dataclasses.asdict(method.settings) for name, method in methods.items()},
        "seed": options.seed,
        "definition": options.definition,
        "pictures": options.pictures,
        "channels": list(options.channels),
        "data": {"name": dataset.name, "cases": len(dataset.cases), "fingerprint": fingerprint(dataset.cases)},
        "splits": [dataclasses.asdict(fold) for fold in folds],
        "published": folder_fingerprint(published.values()) if options.published else None,
    }
    return Plan(experiment, options, dataset, folds, [*dataset.notes, *notes], methods, published, identity)


def _run(experiment: Experiment, options: Options) -> int:
    start, stages = time.perf_counter(), Stages()
    plan = make_plan(experiment, options, stages)
    folder = RunFolder(options.out, options.methods[0])
    if folder.state(plan.identity, options.resume) == "finished":
        summary = folder.read_json("summary.json")
        print(experiment.task.table(summary).to_text())
        print(f"stored result of {options.out}; nothing was computed")
        return 0
    manifest = {**plan.identity, **_circumstances(plan)}
    folder.begin(manifest)
    failures = Failures()
    for fault in plan.dataset.faults:
        failures.add(fault.case, fault.stage, fault.error)
    for note in plan.notes:
        print(note, file=sys.stderr)
    # with one BLAS thread, sums do not depend on how many cases run at once
    with threadpool_limits(limits=1):
        for name in options.methods:
            _run_method(plan, name, folder, failures, stages)
    with stages("report"):
        summary = write_results(plan, folder, failures.rows, time.perf_counter() - start)
    folder.write_json(
        "manifest.json",
        {**manifest, "stages": stages.record, "failed": len(failures.rows), "finished": summary["cases"] > 0},
    )
    if not summary["cases"]:
        raise DataError(f"no case could be finished; {folder.root / 'failures.csv'} says why")
    print(experiment.task.table(summary).to_text())
    print(f"results in {options.out} ({summary['seconds']:.0f} s); open {options.out / 'report.html'}")
    if failures.rows:
        print(f"{len(failures.rows)} failures, see {options.out / 'failures.csv'}")
    return 1 if failures.rows else 0


def _run_method(plan: Plan, name: str, folder: RunFolder, failures: Failures, stages: Stages) -> None:
    """Fit and apply one method in every fold that has unfinished cases."""
    method, options = plan.methods[name], plan.options
    todo = {
        fold.name: [case for case in fold.test if folder.stored_case(name, case) is None] for fold in plan.folds
    }
    folds = [fold for fold in plan.folds if todo[fold.name]]
    prepared: Mapping[str, Any] | None = None
    if method.prepare is not None and folds:
        with stages(f"{name}: prepare"):
            prepared = _prepare(plan, method, folds, failures)
    # many folds keep all cores busy by themselves; of two, one at a time keeps one training set in memory
    outer = min(options.jobs, len(folds)) if len(plan.folds) > 2 else 1
    with tqdm(total=sum(map(len, todo.values())), desc=name, unit="case", disable=None) as bar:

        def work(fold: Fold) -> None:
            inner = max(1, options.jobs // outer)
            bar.set_postfix_str(f"fold {fold.name}: fit")
            try:
                with stages(f"{name}: fit"):
                    scans = _training_scans(plan, fold, prepared, inner, failures)
                    model = method.fit(method.settings, options.seed, scans, inner)
            except Exception as error:
                for case in todo[fold.name]:
                    failures.add(case, "fit", error)
                return

            def apply(case: str) -> None:
                bar.set_postfix_str(f"fold {fold.name}: {case}")
                _finish_case(plan, name, model, fold, case, folder, failures)
                bar.update()

            with stages(f"{name}: apply"):
                in_parallel(apply, todo[fold.name], inner)

        in_parallel(work, folds, outer)


def _prepare(plan: Plan, method: Method, folds: Sequence[Fold], failures: Failures) -> dict[str, Any]:
    """Return what the method keeps of each training scan, by case; cases that fail are left out."""
    needed = sorted({case for fold in folds for case in fold.train})

    def work(case: str) -> Any:
        scan = _loaded(plan, case, failures)
        try:
            return None if scan is None or method.prepare is None else method.prepare(
                method.settings, plan.options.seed, scan
            )  # fmt: skip
        except Exception as error:
            failures.add(case, "prepare", error)
            return None

    found = in_parallel(work, needed, plan.options.jobs, "prepare")
    return {case: value for case, value in zip(needed, found, strict=True) if value is not None}


def _training_scans(
    plan: Plan, fold: Fold, prepared: Mapping[str, Any] | None, jobs: int, failures: Failures
) -> Iterator[Any]:
    """Training scans of a fold, read ahead by a few; unreadable ones are noted and left out."""
    if prepared is not None:
        yield from (prepared[case] for case in fold.train if case in prepared)
        return
    for scan in prefetched(lambda case: _loaded(plan, case, failures), fold.train, jobs):
        if scan is not None:
            yield scan


def _loaded(plan: Plan, case: str, failures: Failures) -> AnnotatedScan | None:
    try:
        return plan.load(case)
    except Exception as error:
        failures.add(case, "load", error)
        return None


def _finish_case(
    plan: Plan, name: str, model: Any, fold: Fold, case: str, folder: RunFolder, failures: Failures
) -> None:
    """Apply a model to one case, judge it, and store predictions, picture and rows."""
    start = time.perf_counter()
    scan = _loaded(plan, case, failures)
    if scan is None:
        return
    stage = "apply"
    try:
        outcome = plan.methods[name].apply(model, scan)
        seconds = time.perf_counter() - start
        stage = "evaluate"
        result = {
            "case": case, "patient": scan.patient, "fold": fold.name, "method": name, "seconds": round(seconds, 3),
            **outcome.localization.to_json(plan.case(case).image_files[next(iter(scan.channels))].name),
            "annotated": {level: scan.landmarks[level].tolist() for level in scan.landmarks},
            "notes": list(scan.notes),
            "rows": plan.experiment.task.judge(scan, outcome, plan.options.definition),
        }  # fmt: skip
        if plan.options.published and name == plan.options.methods[0]:
            result["published_rows"] = _judge_published(plan, scan, failures)
        stage = "write"
        folder.write_predictions(name, plan.case(case).image_files[next(iter(scan.channels))], scan, outcome)
        if plan.options.pictures and name == plan.options.methods[0]:
            _draw(scan, outcome, folder.picture_file(case))
        folder.write_json(str(folder.case_file(name, case).relative_to(folder.root)), result)
    except Exception as error:
        failures.add(case, stage, error)


def _draw(scan: AnnotatedScan, outcome: Outcome, path: Path) -> None:
    from regforest.report import case_picture  # matplotlib takes a second to import, and may not be wanted

    write_atomically(path, case_picture(scan.image, outcome.localization.landmarks, scan.landmarks))


def _judge_published(plan: Plan, scan: AnnotatedScan, failures: Failures) -> list[dict[str, Any]]:
    """Judge the published landmarks of a case; without a readable file all its levels are missed."""
    landmarks = Landmarks({})
    try:
        if scan.name in plan.published:
            landmarks = read_landmarks(plan.published[scan.name], scan.image.grid)
    except RegForestError as error:
        failures.add(scan.name, "published", error)
    outcome = Outcome(Localization(landmarks, "ok"))
    return plan.experiment.task.judge(scan, outcome, plan.options.definition)


def _published_files(folder: Path | None, cases: set[str]) -> dict[str, Path]:
    """LML files of a published method by case; a case without a file will count as missed."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise FileError(folder, "a folder with <id>_centroids_conf.lml files", "no folder", "correct --published")
    suffix = "_centroids_conf"
    files = {path.stem.removesuffix(suffix): path for path in sorted(folder.rglob(f"*{suffix}.lml"))}
    found = {case: files[case] for case in sorted(cases & set(files))}
    if not found:
        raise FileError(
            folder, "<id>_centroids_conf.lml files of the data set's scans", f"{len(files)} files, none of them of "
            "these scans", "correct --published or --data",
        )  # fmt: skip
    return found


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
        with tqdm(desc="phantoms (once, then cached)", unit="scan", disable=None) as bar:
            root, layout = experiment.embedded(options.jobs, _progress_of(bar)), "auto"
    else:
        # phantoms are written in real layouts
        root, layout = options.data, "auto" if options.layout == "phantom" else options.layout
    dataset = open_dataset(root, layout)
    if not dataset.cases:
        reasons = "; ".join(f"{fault.case}: {fault.error}" for fault in dataset.faults[:3]) or "no case found"
        raise FileError(root, "a data set with usable cases", reasons, "check --data and --layout")
    if options.patients is None:
        return dataset
    patients = read_patients(options.patients)
    cases = [dataclasses.replace(case, patient=patients.get(case.name, case.patient)) for case in dataset.cases]
    return dataclasses.replace(dataset, cases=tuple(cases))


def _progress_of(bar: Any) -> Progress:
    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return progress


def _circumstances(plan: Plan) -> dict[str, Any]:
    """Return what belongs in the manifest without deciding the numbers."""
    return {
        "command": list(plan.options.command),
        "versions": versions(),
        "machine": platform.machine(),
        "jobs": plan.options.jobs,
        "root": str(plan.dataset.root),
        "layout": plan.dataset.layout,
        "terms": plan.dataset.terms,
        "citation": plan.dataset.citation,
        "notes": plan.notes,
    }
