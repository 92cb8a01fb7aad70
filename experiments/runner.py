"""Carries out an experiment: cases in parallel, one bad case does not stop the rest, finished cases are kept."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments.manifest import Stages
from experiments.options import Options, build_parser, parse
from experiments.outputs import RunFolder, write_atomically
from experiments.parallel import in_parallel, prefetched
from experiments.plan import Plan, circumstances, make_plan
from experiments.protocol import Experiment, Fold, Method, Outcome
from experiments.results import write_results
from regforest.errors import DataError, RegForestError, UsageError
from regforest.io import read_landmarks, write_volume
from regforest.report import Masks, PageRoom, case_picture, picture_svg, small_volume
from regforest.spatial import AnnotatedScan, Landmarks, Localization

__all__ = ["Failures", "run"]


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
    methods = list(experiment.methods)
    parser = build_parser(experiment.name, experiment.description, experiment.layouts, methods, experiment.protocols)
    options = parse(parser, methods, argv)
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


def _run(experiment: Experiment, options: Options) -> int:
    start, stages = time.perf_counter(), Stages()
    plan = make_plan(experiment, options, stages)
    folder = RunFolder(options.out, options.methods[0])
    if folder.state(plan.identity, options.resume) == "finished":
        summary = folder.read_json("summary.json")
        print(experiment.task.table(summary).to_text())
        print(f"stored result of {options.out}; nothing was computed")
        return 0
    manifest = {**plan.identity, **circumstances(plan)}
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
    _announce(plan, summary, failures)
    return 1 if failures.rows else 0


def _announce(plan: Plan, summary: Mapping[str, Any], failures: Failures) -> None:
    """Print the table of a run that has just ended, and where the rest is."""
    for note in summary["notes"][len(plan.notes) :]:
        print(note, file=sys.stderr)
    out = plan.options.out
    print(plan.experiment.task.table(summary).to_text())
    print(f"results in {out} ({summary['seconds']:.0f} s); open {out / 'report.html'}")
    if failures.rows:
        print(f"{len(failures.rows)} failures, see {out / 'failures.csv'}")


def _run_method(plan: Plan, name: str, folder: RunFolder, failures: Failures, stages: Stages) -> None:
    """Fit and apply one method in every fold that has unfinished cases."""
    method, options = plan.methods[name], plan.options
    todo = {fold.name: [case for case in fold.test if folder.stored_case(name, case) is None] for fold in plan.folds}
    folds = [fold for fold in plan.folds if todo[fold.name]]
    prepared: Mapping[str, Any] | None = None
    if method.prepare is not None and folds:
        with stages(f"{name}: prepare"):
            prepared = _prepare(plan, method, folds, failures)
    # many folds keep all cores busy by themselves; of two, one at a time keeps one training set in memory
    outer = max(1, min(options.jobs, len(folds))) if len(plan.folds) > 2 else 1
    inner = max(1, options.jobs // outer)
    with tqdm(total=sum(map(len, todo.values())), desc=name, unit="case", disable=None) as bar:

        def work(fold: Fold) -> None:
            try:
                with stages(f"{name}: fit"):
                    model = _fitted(plan, method, fold, prepared, inner, failures, bar)
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


def _fitted(
    plan: Plan,
    method: Method,
    fold: Fold,
    prepared: Mapping[str, Any] | None,
    jobs: int,
    failures: Failures,
    bar: Any,
) -> Any:
    """Return the model of one fold; the bar says which training scan it reads."""
    bar.set_postfix_str(f"fold {fold.name}: fit")
    scans = enumerate(_training_scans(plan, fold, prepared, jobs, failures), start=1)
    shown = (_shown(bar, f"fold {fold.name}: scan {i} of {len(fold.train)}", scan) for i, scan in scans)
    return method.fit(method.settings, plan.options.seed, shown, jobs)


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
            result |= _judge_published(plan, scan, failures)
        stage = "write"
        folder.write_predictions(name, plan.case(case).image_files[next(iter(scan.channels))], scan, outcome)
        if plan.options.pictures and name == plan.options.methods[0]:
            _draw(plan, folder, scan, outcome)
        folder.write_json(str(folder.case_file(name, case).relative_to(folder.root)), result)
    except Exception as error:
        failures.add(case, stage, error)


def _draw(plan: Plan, folder: RunFolder, scan: AnnotatedScan, outcome: Outcome) -> None:
    """Keep what the page shows of a scan: its picture, and a small volume around the spine."""
    room = PageRoom(sum(len(fold.test) for fold in plan.folds))
    predicted = None if outcome.segmentation is None else Masks(outcome.segmentation, outcome.label_names or {})
    annotated = None if scan.labels is None else Masks(scan.labels, scan.label_names)
    picture = case_picture(
        scan.image, outcome.localization, scan.landmarks, predicted_masks=predicted, annotated_masks=annotated
    )
    label = f"{scan.name}: sagittal and coronal picture along the spine with annotated and predicted levels"
    write_atomically(folder.picture_file(scan.name), picture_svg(picture, label, room.picture).encode())
    spine = scan.landmarks if len(scan.landmarks) else outcome.localization.landmarks
    write_volume(small_volume(scan.image, spine.points_lps_mm, room.volume), folder.volume_file(scan.name))


def _judge_published(plan: Plan, scan: AnnotatedScan, failures: Failures) -> dict[str, Any]:
    """Judge the published landmarks of a case; without a readable file all its levels are missed."""
    landmarks, readable = Landmarks({}), False
    try:
        if scan.name in plan.published:
            landmarks, readable = read_landmarks(plan.published[scan.name], scan.image.grid), True
    except RegForestError as error:
        failures.add(scan.name, "published", error)
    outcome = Outcome(Localization(landmarks, "ok"))
    rows = plan.experiment.task.judge(scan, outcome, plan.options.definition)
    return {"published_rows": rows, "published_readable": readable}


def _shown(bar: Any, text: str, item: Any) -> Any:
    bar.set_postfix_str(text)
    return item
