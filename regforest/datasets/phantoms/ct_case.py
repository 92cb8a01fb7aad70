"""One scan of a CT phantom data set: from its plan to files."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.labelled_folder import write_labelled_case
from regforest.datasets.phantoms.ct_person import Person, coronal_tilt_deg, draw_person
from regforest.datasets.phantoms.ct_plan import PatientPlan, ScanPlan
from regforest.datasets.phantoms.ct_scanner import Scan, scan_scene
from regforest.datasets.phantoms.ct_scene import build_scene
from regforest.datasets.phantoms.ct_variety import POSE_FACTOR, draw_varied_person
from regforest.datasets.spine_ct_writer import write_spine_ct_case
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume

__all__ = ["Shot", "Task", "describe", "lay_out", "make_scan"]

FloatArray = NDArray[np.float64]

_MARGIN_MM = 3.0
_SIDE_MARGIN_MM = 14.0
_WIDE_FIELD_MM = 300.0
_WHOLE_HEAD_SHARE = 0.3
_FULL_MATRIX = 512


@dataclass(frozen=True)
class Task:
    """One scan to make: everything that a worker needs.

    Attributes
    ----------
    out, layout, matrix : Path, str, int
        As in `write_ct_phantom`.
    patient, scan_id : str
        Names in the data set.
    plan, scan : PatientPlan, ScanPlan
        What to show.
    seeds : tuple of numpy.random.SeedSequence
        Spine and soft body (the same for all scans of a patient), tissues, pose, noise.
    varied : bool
        Whether patients differ more from one another, see `ct_variety`.
    """

    out: Path
    layout: str
    matrix: int
    patient: str
    scan_id: str
    plan: PatientPlan
    scan: ScanPlan
    seeds: tuple[np.random.SeedSequence, ...]
    varied: bool = False


@dataclass(frozen=True, eq=False)
class Shot:
    """A scan that is laid out but not yet imaged.

    Attributes
    ----------
    person : Person
        Who is scanned.
    implants : tuple of str
        Levels with screws, in view or not.
    scan, grid : Scan, Grid
        Where the scanner looks, in its own frame, and the grid that the file will have.
    landmarks : Landmarks
        Body centres in view, LPS mm of `grid`.
    """

    person: Person
    implants: tuple[str, ...]
    scan: Scan
    grid: Grid
    landmarks: Landmarks


def lay_out(task: Task) -> Shot:
    """Draw the patient and choose pose, field of view and origin."""
    spine_seed, pose_seed = task.seeds[0], task.seeds[3]
    person, rng = _draw(task, spine_seed), np.random.default_rng(pose_seed)
    scan = _aim(person, task, rng)
    origin = np.round(rng.uniform(-400, 400, 3), 3)
    grid = Grid.from_parts(scan.shape_zyx, scan.spacing_mm, origin)
    centres = person.centres @ scan.turn.T - scan.first_mm + origin
    landmarks = Landmarks(dict(zip(person.levels, centres, strict=True)))
    seen = _seen(landmarks, grid, scan.padded)
    implants = _levels_between(person, task.scan.implants)
    return Shot(person, implants, scan, grid, landmarks.select(lambda name: name in seen))


def make_scan(task: Task) -> dict[str, Any]:
    """Make and write one scan; returns its row of ``phantom.json``."""
    shot = lay_out(task)
    _, body_seed, tissue_seed, _, noise_seed = task.seeds
    rng = np.random.default_rng(tissue_seed)
    scene = build_scene(shot.person, body_seed, rng, task.scan.contrast, shot.implants, task.varied)
    _write(task, Volume(scan_scene(scene, shot.scan, noise_seed), shot.grid), shot.landmarks)
    return describe(task, shot)


def _draw(task: Task, seed: np.random.SeedSequence) -> Person:
    fractures = {_paper_name(u): loss for u, loss in task.plan.fractures}
    draw = draw_varied_person if task.varied else draw_person
    return draw(np.random.default_rng(seed), dataclasses.replace(task.plan.traits, fractures=fractures))


def _paper_name(nominal: float) -> str:
    number = round(nominal)
    return f"T{number - 6}" if number <= 18 else f"L{number - 18}"


def _levels_between(person: Person, ends: tuple[float, ...]) -> tuple[str, ...]:
    if not ends:
        return ()
    inside = (person.nominal >= ends[0] - 1e-6) & (person.nominal <= ends[1] + 1e-6)
    names = tuple(name for name, there in zip(person.levels, inside, strict=True) if there)
    return names if len(names) > 1 else ()


def _aim(person: Person, task: Task, rng: np.random.Generator) -> Scan:
    """Choose pose and field of view so that the wanted levels are in view."""
    angles = np.radians(rng.normal(0, 1, 3) * (4.0, 2.5, 4.0))
    turn = _rotation(*(angles * POSE_FACTOR if task.varied else angles))
    centres = person.centres @ turn.T
    first = int(np.clip(np.searchsorted(person.nominal, task.scan.first - 1e-6), 0, len(centres) - 1))
    last = int(np.searchsorted(person.nominal, task.scan.last + 1e-6)) - 1
    last = max(last, first)
    cut = rng.uniform(0.3, 0.8, 2)
    # a scan that begins above the spine shows the skull's base, or now and then the whole head
    above_mm = rng.uniform(75, 155) if rng.random() < _WHOLE_HEAD_SHARE else rng.uniform(15, 75)
    top = _edge(centres, first, -1, cut[0], above_mm)
    bottom = _edge(centres, last, 1, cut[1], -rng.uniform(15, 80))
    wanted = centres[first : last + 1, :2]
    span = np.ptp(wanted, axis=0)
    reach = 1.2 if task.scan.padded else 1.0
    field = max(task.scan.field_mm, reach * float(np.max(span)) + 2 * _SIDE_MARGIN_MM + 10)
    free = (field - reach * span) / 2 - _SIDE_MARGIN_MM
    middle = (wanted.min(axis=0) + wanted.max(axis=0)) / 2
    middle = middle + np.clip(rng.normal(0, 1, 2) * (9.0, 16.0), -0.8 * free, 0.8 * free)
    if field > _WIDE_FIELD_MM:
        middle[1] -= 45.0  # an ordinary body scan is centred on the body
    matrix = task.matrix if field < _WIDE_FIELD_MM else min(max(task.matrix, _FULL_MATRIX), task.matrix * 3 // 2)
    pixel, slice_mm = round(field / matrix, 6), task.scan.slice_mm
    slices = max(8, round((top - bottom) / slice_mm))
    first_mm = np.append(middle - pixel * (matrix - 1) / 2, bottom + slice_mm / 2)
    noise = rng.uniform(7, 28) * np.clip((2.5 / slice_mm) ** 0.35, 0.8, 1.7)
    sharpness = float(np.clip(rng.normal(0.45, 0.3), 0, 1))
    spacing = np.array([pixel, pixel, slice_mm])
    return Scan(
        (slices, matrix, matrix), spacing, first_mm, turn, noise * (0.7 + sharpness), sharpness, task.scan.padded
    )


def _edge(centres: FloatArray, i: int, step: int, share: float, beyond: float) -> float:
    """Height at which the field of view ends: between vertebra i and its neighbour, or beyond the last one."""
    neighbour = i + step
    if not 0 <= neighbour < len(centres):
        return float(centres[i, 2] + beyond)
    return float(centres[i, 2] + share * (centres[neighbour, 2] - centres[i, 2]))


def _rotation(about_x: float, about_y: float, about_z: float) -> FloatArray:
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in (about_x, about_y, about_z))
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(z @ y @ x)


def _seen(landmarks: Landmarks, grid: Grid, padded: bool) -> set[str]:
    """Levels whose body centre is inside the image (and its circle) by a margin, in one run without gaps."""
    points = landmarks.points_lps_mm
    inside = grid.contains(points, -_MARGIN_MM)
    if padded:
        extent = grid.extent_mm
        middle = grid.index_to_lps((np.array(grid.size_xyz) - 1) / 2)
        inside &= np.hypot(*(points - middle)[:, :2].T) < extent[0] / 2 - _MARGIN_MM
    runs = np.split(np.arange(len(points)), np.flatnonzero(~inside))
    longest = max(([i for i in run if inside[i]] for run in runs), key=len)
    return {landmarks.names[i] for i in longest}


def _write(task: Task, volume: Volume, landmarks: Landmarks) -> None:
    if task.layout == "spine-ct":
        write_spine_ct_case(task.out, task.patient, task.scan_id, volume, landmarks)
    else:
        write_labelled_case(task.out, AnnotatedScan(task.scan_id, task.patient, {"image": volume}, landmarks))


def describe(task: Task, shot: Shot) -> dict[str, Any]:
    """Row of ``phantom.json``: what the scan shows, JSON values only."""
    person, seen = shot.person, list(shot.landmarks)
    rows = [person.index(name) for name in seen]
    tilt = coronal_tilt_deg(np.diff(person.centres, axis=0))[min(rows) : max(rows)]
    return {
        "scan": task.scan_id,
        "patient": task.patient,
        "levels": seen,
        "variant": person.traits.variant,
        "cobb_deg": round(float(np.ptp(tilt)), 1) if len(tilt) else 0.0,
        "implants": [name for name in shot.implants if name in seen],
        "fractures": [name for name in seen if name in person.traits.fractures],
        "contrast": task.scan.contrast,
        "age": round(person.age, 1),
        "padded": task.scan.padded,
        "spacing_mm": [round(float(v), 6) for v in shot.grid.spacing_mm],
        "fov_mm": [round(float(v), 2) for v in shot.grid.extent_mm],
    }
