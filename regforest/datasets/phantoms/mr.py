"""MR phantoms: lumbar spines T11 to S1 in Dixon, T2 or T1 contrast, written in real layouts.

Each patient is scanned twice, before and after bed rest, as in the Dixon data set of the 2018 disc challenge:
the same anatomy, slightly changed, in another position, with other shading and noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from regforest.datasets.disc_masks import DISC_NAMES
from regforest.datasets.ivdm3seg import write_ivdm3seg_case
from regforest.datasets.label_names import write_labels_json
from regforest.datasets.labelled_folder import write_labelled_case
from regforest.datasets.masks import centroids
from regforest.datasets.patients import write_patients
from regforest.datasets.phantoms.cache import cached_folder
from regforest.datasets.phantoms.mr_acquisition import PROTOCOLS, acquire, draw_grid, fine_grid
from regforest.datasets.phantoms.mr_anatomy import Disc, Spine, draw_person
from regforest.datasets.phantoms.mr_canvas import Canvas, disc_distance, smooth_noise, window_around
from regforest.datasets.phantoms.mr_scene import CHANNELS, paint_person
from regforest.errors import UsageError
from regforest.io import write_json
from regforest.spatial import AnnotatedScan, Grid, Volume

__all__ = ["EMBEDDED_SCANS", "embedded_mr", "mr_phantom_scan", "write_mr_phantom"]

EMBEDDED_SCANS = 16
"""Scans of the embedded data set: 8 patients x 2 stages."""

_VERSION = 2  # raise it when the same seed gives another picture
_LABEL_NAMES = dict(enumerate(DISC_NAMES, start=1))
_SLANTED = "16"
# how a person outlines discs: scatter of the border, and of the whole outline to the left, to the back and up
_HAND_MM = 0.45
_HAND_SHIFT_MM = (0.3, 0.12, 0.1)


@dataclass(frozen=True)
class _Task:
    case: str
    patient: int
    stage: int
    seed: int
    contrast: str


def write_mr_phantom(
    out: Path,
    n: int,
    seed: int,
    *,
    contrast: str = "dixon",
    layout: str = "ivdm3seg",
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a data set of MR phantoms; the same seed gives the same files whatever the number of jobs.

    Parameters
    ----------
    out : Path
        Folder, made when missing.
    n : int
        Number of scans. The second half are the second stages of the patients of the first half.
    seed : int
        Of the random numbers.
    contrast : {"dixon", "t2", "t1"}
        Dixon: fat, inn, opp and wat on the grid 36 x 256 x 256, 2.00 x 1.25 x 1.25 mm. T2, T1: one image of 17
        sagittal slices, 4.4 and 4.0 mm apart.
    layout : {"ivdm3seg", "labelled-folder"}
        With binary labels as in the disc challenge, or one number for each disc. Both get ``patients.csv`` and
        ``phantom.json``, which holds the truth: disc centres (LPS mm), volumes and degeneration.
    jobs : int
        Processes.
    progress : callable, optional
        Called with the number of scans done and their total.

    Raises
    ------
    UsageError
        If there is no such contrast or layout, or `n` is less than 1.
    """
    if contrast not in PROTOCOLS or layout not in _WRITERS or n < 1:
        raise UsageError(
            f"cannot write {n} MR phantoms with contrast {contrast!r} and layout {layout!r}: expected at least 1, "
            f"a contrast of {', '.join(PROTOCOLS)} and a layout of {', '.join(_WRITERS)}"
        )
    out.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(n, seed, contrast)
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    truths: dict[str, Any] = {}
    for truth in parallel(delayed(_write_scan)(out, task, layout) for task in tasks):
        truths |= truth
        if progress is not None:
            progress(len(truths), n)
    if layout == "labelled-folder":
        write_labels_json(out / "labels.json", _LABEL_NAMES)
    write_patients(out / "patients.csv", {task.case: _patient_name(task) for task in tasks})
    content = {"seed": seed, "contrast": contrast, "frame": "LPS mm", "scans": dict(sorted(truths.items()))}
    write_json(out / "phantom.json", content)


def embedded_mr(jobs: int = 1, progress: Callable[[int, int], None] | None = None) -> Path:
    """Return the folder of the embedded Dixon data set, layout ``ivdm3seg``; it is made at the first call and kept.

    Parameters
    ----------
    jobs : int
        Processes, if it has to be made.
    progress : callable, optional
        As for `write_mr_phantom`.
    """
    return cached_folder(
        "mr-phantom",
        {"scans": EMBEDDED_SCANS, "seed": 0, "contrast": "dixon", "layout": "ivdm3seg", "writer": _VERSION},
        lambda folder: write_mr_phantom(folder, EMBEDDED_SCANS, 0, jobs=jobs, progress=progress),
    )


def mr_phantom_scan(
    seed: int, patient: int, stage: int = 0, contrast: str = "dixon"
) -> tuple[AnnotatedScan, dict[str, Any]]:
    """Make one scan in memory.

    Parameters
    ----------
    seed, patient, stage : int
        Patient 0, 1, ... of the data set of this seed; stage 0 or 1.
    contrast : {"dixon", "t2", "t1"}
        See `write_mr_phantom`.

    Returns
    -------
    scan : AnnotatedScan
        With the labels 1 to 7 for T11/T12 to L5/S1, drawn with the scatter of a hand.
    truth : dict
        Disc -> centre (LPS mm), volume (cm3) and degeneration, before they were drawn by hand.
    """
    return _make_scan(_Task(f"{patient}-{stage}", patient, stage, seed, contrast))


def _tasks(n: int, seed: int, contrast: str) -> list[_Task]:
    patients = (n + 1) // 2
    width = max(2, len(str(n)))
    return [_Task(f"{i + 1:0{width}d}", i % patients, i // patients, seed, contrast) for i in range(n)]


def _patient_name(task: _Task) -> str:
    return f"P{task.patient + 1:02d}"


def _make_scan(task: _Task) -> tuple[AnnotatedScan, dict[str, Any]]:
    person = draw_person(np.random.default_rng([task.seed, task.patient]))
    rng = np.random.default_rng([task.seed, task.patient, task.stage + 1])
    if task.stage:
        person = person.next_stage(rng)
    person = replace(person, centres_lps_mm=person.centres_lps_mm + rng.normal(0, [8.0, 20.0, 30.0]))
    spine = person.spine()
    protocol = PROTOCOLS[task.contrast]
    discs = [spine.disc(name).frame.centre_lps_mm for name in DISC_NAMES]
    grid = draw_grid(protocol, np.mean(discs, axis=0) + np.array([0, -22.0, 4.0]), rng)  # the belly is in view too
    fine = fine_grid(grid, protocol.fine_slices)
    canvas = Canvas(fine, len(CHANNELS[task.contrast]), float(fine.spacing_mm.mean()))
    paint_person(canvas, person, spine, task.contrast, rng)
    channels = acquire(canvas.signals, grid, protocol, task.contrast, rng)
    labels = Volume(_draw_labels(spine, grid, rng), grid)
    scan = AnnotatedScan(
        task.case, _patient_name(task), channels, centroids(labels, _LABEL_NAMES), labels, _LABEL_NAMES
    )
    return scan, {name: _truth(spine.disc(name), fine) for name in DISC_NAMES}


def _draw_labels(spine: Spine, grid: Grid, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Outline the discs as a person would: borders off by some tenths of a millimetre here and there."""
    labels = np.zeros(grid.shape_zyx, np.uint8)
    wobble = np.float32(_HAND_MM) * smooth_noise(rng, grid, 5.0)
    for value, name in _LABEL_NAMES.items():
        true = spine.disc(name)
        disc = replace(true, frame=replace(true.frame, centre_lps_mm=true.frame.world(rng.normal(0, _HAND_SHIFT_MM))))
        window = window_around(grid, disc.frame.centre_lps_mm, disc.shape.half_width_mm + 5)
        if window is not None:
            drawn = disc_distance(disc, window) + wobble[window.slices] + np.float32(rng.normal(0, 0.15))
            labels[window.slices][drawn < 0] = value
    return labels


def _truth(disc: Disc, grid: Grid) -> dict[str, Any]:
    window = window_around(grid, disc.frame.centre_lps_mm, disc.shape.half_width_mm + 5)
    if window is None:
        return {"centre": None, "volume_cm3": 0.0, "degeneration": round(disc.shape.degeneration, 3)}
    share = np.clip(0.5 - disc_distance(disc, window), 0, 1)
    place = np.array([np.average(axis, weights=share) for axis in window.local(disc.frame)])
    voxel_cm3 = abs(float(np.linalg.det(grid.matrix[:3, :3]))) / 1000
    return {
        "centre": [round(float(x), 3) for x in disc.frame.world(place)],
        "volume_cm3": round(float(share.sum()) * voxel_cm3, 3),
        "degeneration": round(disc.shape.degeneration, 3),
    }


def _write_scan(out: Path, task: _Task, layout: str) -> dict[str, Any]:
    scan, discs = _make_scan(task)
    _WRITERS[layout](out, scan)
    return {task.case: {"patient": _patient_name(task), "stage": task.stage + 1, "discs": discs}}


def _write_ivdm3seg(out: Path, scan: AnnotatedScan) -> None:
    """Write a scan; the mask of scan 16 gets a header without the slant of the images', as in the real data."""
    grid = scan.image.grid
    centre = grid.index_to_lps((np.array(grid.size_xyz) - 1) / 2)
    upright = np.diag([1.0, 1.0, -1.0])
    origin = centre - upright @ ((np.array(grid.size_xyz) - 1) / 2 * grid.spacing_mm)
    straight = Grid.from_parts(grid.shape_zyx, grid.spacing_mm, origin, upright)
    write_ivdm3seg_case(out, scan, straight if scan.name == _SLANTED else None)


_WRITERS: dict[str, Callable[[Path, AnnotatedScan], None]] = {
    "ivdm3seg": _write_ivdm3seg,
    "labelled-folder": write_labelled_case,
}
