"""CT phantom data sets: spines like those of the Annotated Spine CT Database, for those who do not have it.

`write_ct_phantom` writes a data set in a real layout; `embedded_ct` is the small one that the experiments use by
default, made once and cached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import joblib
import numpy as np

from regforest.datasets.patients import write_patients
from regforest.datasets.phantoms.cache import cached_folder
from regforest.datasets.phantoms.ct_case import Task, make_scan
from regforest.datasets.phantoms.ct_plan import WIDE_SHARE, plan_patients
from regforest.errors import UsageError
from regforest.io import write_json

__all__ = ["DEFAULT_MATRIX", "EMBEDDED_SCANS", "embedded_ct", "plan_tasks", "write_ct_phantom"]

Progress = Callable[[int, int], None]

EMBEDDED_SCANS = 48
"""Scans of the embedded data set."""

DEFAULT_MATRIX = 128
"""Voxels along x and y unless told; 512 is full size."""

_VERSION = 4  # of what is written: raise it when the same seed gives other files
_FIRST_ID = 9000001


def embedded_ct(jobs: int = 1, progress: Progress | None = None) -> Path:
    """Return the folder of the embedded data set (spine-ct layout), made and cached at the first call.

    Parameters
    ----------
    jobs : int
        Threads that make it; the result does not depend on it.
    progress : callable, optional
        Called as ``progress(done, total)`` after each scan.
    """
    settings = {"version": _VERSION, "n": EMBEDDED_SCANS, "seed": 0, "matrix": DEFAULT_MATRIX, "layout": "spine-ct"}

    def write(folder: Path) -> None:
        write_ct_phantom(folder, EMBEDDED_SCANS, 0, matrix=DEFAULT_MATRIX, jobs=jobs, progress=progress)

    return cached_folder("ct-phantom", settings, write)


def write_ct_phantom(
    out: Path,
    n: int,
    seed: int,
    *,
    layout: str = "spine-ct",
    ids: Sequence[str] | None = None,
    matrix: int = DEFAULT_MATRIX,
    wide_share: float = WIDE_SHARE,
    varied: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write a data set of `n` scans, and ``phantom.json`` that says what each shows.

    Parameters
    ----------
    out : Path
        Folder, made if need be.
    n : int
        Number of scans; their patients follow, in the ratio of the real data set.
    seed : int
        One seed, one data set, whatever the number of jobs.
    layout : {"spine-ct", "labelled-folder"}
        ``patientNNNN/<id>/<id>.{mhd,raw,lml}``, or ``<id>/{image.nii.gz,landmarks.json}`` with ``patients.csv``.
    ids : sequence of str, optional
        Scan ids (digits), at least `n`; the first `n` are used. By default 9000001 and so on.
    matrix : int
        Voxels along x and y; 512 is full size. Wide fields of view take half as many again, up to 512.
    wide_share : float
        Share of scans with the whole body in the field of view; the others are cropped to the spine.
    varied : bool
        Whether patients differ more from one another in density, endplates, discs, posture and pose than those of the
        experiments: for a model that is to meet real patients.
    jobs : int
        Threads.
    progress : callable, optional
        Called as ``progress(done, total)`` after each scan.

    Raises
    ------
    UsageError
        If the layout is unknown, `n` is not positive or the ids are too few, not different or not digits
        (spine-ct).
    """
    if layout not in ("spine-ct", "labelled-folder"):
        raise UsageError(f"unknown layout {layout!r} for a CT phantom: expected 'spine-ct' or 'labelled-folder'")
    if n < 1 or matrix < 16:
        raise UsageError(f"expected at least one scan of at least 16 x 16 voxels, got n={n}, matrix={matrix}")
    names = [str(_FIRST_ID + i) for i in range(n)] if ids is None else [str(name) for name in ids]
    if len(set(names[:n])) < n:
        raise UsageError(f"expected at least {n} different scan ids, got {len(set(names[:n]))}")
    if layout == "spine-ct" and not all(name.isdigit() for name in names[:n]):
        raise UsageError("expected scan ids of digits only, as in the Annotated Spine CT Database; correct the list")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tasks = plan_tasks(out, n, seed, layout, names, matrix, wide_share, varied)
    rows = []
    # threads: kernels and filters run without the interpreter's lock, and nothing is compiled twice
    workers = joblib.Parallel(n_jobs=jobs, return_as="generator", prefer="threads", batch_size=1)
    for row in workers(joblib.delayed(make_scan)(task) for task in tasks):
        rows.append(row)
        if progress is not None:
            progress(len(rows), n)
    rows.sort(key=lambda row: str(row["scan"]))
    content = {"seed": seed, "version": _VERSION, "layout": layout, "matrix": matrix, "scans": rows}
    write_json(out / "phantom.json", content)
    if layout == "labelled-folder":
        write_patients(out / "patients.csv", {row["scan"]: row["patient"] for row in rows})


def plan_tasks(
    out: Path,
    n: int,
    seed: int,
    layout: str,
    names: Sequence[str],
    matrix: int,
    wide_share: float = WIDE_SHARE,
    varied: bool = False,
) -> list[Task]:
    """Plan all scans of a data set (arguments as in `write_ct_phantom`): one task for each name."""
    plan_seed, *patient_seeds = np.random.SeedSequence(seed).spawn(1 + n)
    patients = plan_patients(n, np.random.default_rng(plan_seed), wide_share)
    tasks: list[Task] = []
    for number, (patient, patient_seed) in enumerate(zip(patients, patient_seeds, strict=False), start=1):
        spine_seed, organ_seed, *scan_seeds = patient_seed.spawn(2 + len(patient.scans))
        for scan, scan_seed in zip(patient.scans, scan_seeds, strict=True):
            seeds = (spine_seed, organ_seed, *scan_seed.spawn(3))
            folder = f"patient{number:04d}"
            tasks.append(Task(out, layout, matrix, folder, names[len(tasks)], patient, scan, seeds, varied))
    return tasks
