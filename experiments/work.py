"""The steps of a run, each a function of the plan and of what went before: done in a thread here or on a worker."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from experiments.outputs import CaseFiles, prediction_files
from experiments.parallel import prefetched
from experiments.plan import Plan
from experiments.protocol import Fold, Outcome
from regforest.errors import RegForestError, may_pass
from regforest.io import read_grid, read_landmarks, write_volume
from regforest.report import Masks, PageRoom, case_picture, picture_svg, small_volume
from regforest.spatial import AnnotatedScan, Landmarks, Localization

__all__ = ["Result", "Share", "Trouble", "finish_case", "fit_fold", "prepare_scan"]

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Trouble:
    """Why a case failed at a stage; `passing` if another try may do better."""

    case: str
    stage: str
    error: str
    passing: bool = False
    trace: str = ""

    @classmethod
    def of(cls, case: str, stage: str, error: BaseException) -> Trouble:
        """Describe an error; one that nobody foresaw keeps its traceback."""
        if isinstance(error, (RegForestError, OSError)):
            return cls(case, stage, str(error), may_pass(error))
        trace = "".join(traceback.format_exception(error))
        return cls(case, stage, f"{type(error).__name__}: {error}", may_pass(error), trace)


@dataclass(frozen=True)
class Result(Generic[T]):
    """What a step came to; no value if it failed."""

    value: T | None
    troubles: tuple[Trouble, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Share:
    """What a step may use of the machine.

    Attributes
    ----------
    jobs : int
        Threads.
    memory_mb : float or None
        Beside the process itself; no bound if None.
    sparing : bool
        Use as little memory as possible: a second try.
    ahead : int
        Scans that are read while another one is learned from.
    """

    jobs: int = 1
    memory_mb: float | None = None
    sparing: bool = False
    ahead: int = 0


def prepare_scan(plan: Plan, name: str, case: str, memory_mb: float | None) -> Result[Any]:
    """Extract what a method keeps of one training scan."""
    start, method = time.perf_counter(), plan.methods[name]
    assert method.prepare is not None
    scan, troubles = _loaded(plan, case)
    if scan is None:
        return Result(None, troubles)
    try:
        value = method.prepare(method.settings, plan.options.seed, scan, memory_mb)
    except Exception as error:
        return Result(None, (Trouble.of(case, "prepare", error),))
    return Result(value, (), time.perf_counter() - start)


def fit_fold(
    plan: Plan, name: str, fold: Fold, share: Share, prepared: Sequence[Result[Any]], say: Say | None = None
) -> Result[Any]:
    """Learn the model of a fold, from prepared scans if there are some; scans that cannot be read are left out."""
    start, method, troubles = time.perf_counter(), plan.methods[name], list[Trouble]()
    if method.prepare is not None:
        scans: Iterator[Any] = (result.value for result in prepared if result.value is not None)
    else:
        scans = _training_scans(plan, fold, share, troubles, say)
    try:
        model = method.fit(method.settings, plan.options.seed, scans, share.jobs, share.memory_mb)
    except Exception as error:
        return Result(None, (*troubles, *(Trouble.of(case, "fit", error) for case in fold.test)))
    return Result(model, tuple(troubles), time.perf_counter() - start)


def finish_case(plan: Plan, name: str, fold: Fold, case: str, share: Share, fitted: Result[Any]) -> Result[CaseFiles]:
    """Apply a model to one case and judge it."""
    start, stage = time.perf_counter(), "load"
    method, options, first = plan.methods[name], plan.options, name == plan.options.methods[0]
    try:
        limit_mb = _memory_limit(plan, name, case, share, fitted.value)
        scan = plan.load(case)
        stage = "apply"
        outcome = method.apply(fitted.value, plan.as_tested(scan), limit_mb)
        seconds = time.perf_counter() - start
        stage = "evaluate"
        published, troubles = _judge_published(plan, scan) if options.published and first else ({}, ())
        stored = {
            "case": case, "patient": scan.patient, "fold": fold.name, "method": name, "seconds": round(seconds, 3),
            **outcome.localization.to_json(_image_file(plan, case, scan).name),
            "annotated": {level: scan.landmarks[level].tolist() for level in scan.landmarks},
            "notes": [*scan.notes, *outcome.localization.notes],
            "rows": plan.experiment.task.judge(scan, outcome, options.definition),
            **published,
        }  # fmt: skip
        stage = "write"
        predictions = prediction_files(_image_file(plan, case, scan), scan, outcome)
        pictures = _pictures(plan, scan, outcome) if options.pictures and first else {}
    except Exception as error:
        return Result(None, (Trouble.of(case, stage, error),))
    return Result(CaseFiles(stored, predictions, pictures), troubles, time.perf_counter() - start)


def _training_scans(
    plan: Plan, fold: Fold, share: Share, troubles: list[Trouble], say: Say | None
) -> Iterator[AnnotatedScan]:
    """Training scans of a fold, read ahead by a few."""
    read = prefetched(lambda case: _loaded(plan, case), fold.train, share.ahead)
    for number, (scan, trouble) in enumerate(read, start=1):
        if say is not None:
            say(f"fold {fold.name}: scan {number} of {len(fold.train)}")
        troubles += trouble
        if scan is not None:
            yield scan


def _loaded(plan: Plan, case: str) -> tuple[AnnotatedScan | None, tuple[Trouble, ...]]:
    try:
        return plan.load(case), ()
    except Exception as error:
        return None, (Trouble.of(case, "load", error),)


def _memory_limit(plan: Plan, name: str, case: str, share: Share, model: Any) -> float | None:
    """Check, from the image's header, that a case fits; in a second try nothing that can be spared is used."""
    need_of = plan.methods[name].memory_need
    if need_of is None or (share.memory_mb is None and not share.sparing):
        return share.memory_mb
    grid = read_grid(next(iter(plan.case(case).image_files.values())))
    need = need_of(model, grid)
    need.check(share.memory_mb, case)
    return need.least_mb if share.sparing else share.memory_mb


def _image_file(plan: Plan, case: str, scan: AnnotatedScan) -> Path:
    return plan.case(case).image_files[next(iter(scan.channels))]


def _pictures(plan: Plan, scan: AnnotatedScan, outcome: Outcome) -> dict[str, bytes]:
    """Return what the page shows of a scan: its picture, and a small volume around the spine."""
    room = PageRoom(sum(len(fold.test) for fold in plan.folds))
    predicted = None if outcome.segmentation is None else Masks(outcome.segmentation, outcome.label_names or {})
    annotated = None if scan.labels is None else Masks(scan.labels, scan.label_names)
    picture = case_picture(
        scan.image, outcome.localization, scan.landmarks, predicted_masks=predicted, annotated_masks=annotated
    )
    label = f"{scan.name}: sagittal and coronal picture along the spine with annotated and predicted levels"
    spine = scan.landmarks if len(scan.landmarks) else outcome.localization.landmarks
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.nii.gz"
        write_volume(small_volume(scan.image, spine.points_lps_mm, room.volume), small)
        return {".svg": picture_svg(picture, label, room.picture).encode(), ".nii.gz": small.read_bytes()}


def _judge_published(plan: Plan, scan: AnnotatedScan) -> tuple[Mapping[str, Any], tuple[Trouble, ...]]:
    """Judge the published landmarks of a case; without a readable file all its levels are missed."""
    landmarks, readable, troubles = Landmarks({}), False, ()
    try:
        if scan.name in plan.published:
            landmarks, readable = read_landmarks(plan.published[scan.name], scan.image.grid), True
    except RegForestError as error:
        troubles = (Trouble(scan.name, "published", str(error)),)
    outcome = Outcome(Localization(landmarks, "ok"))
    rows = plan.experiment.task.judge(scan, outcome, plan.options.definition)
    return {"published_rows": rows, "published_readable": readable}, troubles
