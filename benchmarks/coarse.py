"""Coarse-to-fine prediction against prediction of every voxel: how much quicker, and how much the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import calls, data
from benchmarks.rows import Goal, Row, comparison
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work
from regforest.io import read_volume
from regforest.spatial import Volume
from regforest.vertebrae import VertebraLocalizer
from regforest.vertebrae.sampling import working_image

__all__ = ["ours", "run"]

_GOAL = Goal(2.5, 4)
_LEAST_EQUAL = 0.999


def ours(scale: Scale) -> Work:
    """Prepare our side: the vertebra model over held-out phantoms."""
    model, images = data.vertebra_model(scale), data.held_out_images(scale, scale.scans_coarse)
    return partial(_each, model.classify, images)


def run(session: Session) -> Iterator[Row]:
    """One row for each image that has anything to find, and for all phantoms together."""
    model = data.vertebra_model(session.scale)
    images = data.held_out_images(session.scale, session.scale.scans_coarse)
    yield _row(session, f"coarse to fine, {len(images)} held-out phantoms", model, images, session.peak(ours))
    real = _real_images(model)
    if not real:
        note = "REGFOREST_REALDATA names no folder with ct/*/image.nii.gz: not measured"
        yield Row("coarse to fine, real CT", peer_name="every voxel", goal=_GOAL, note=note)
    for name, image in real:
        yield _row(session, f"coarse to fine, real CT {name}", model, [image])
    if len(real) > 1:
        yield _row(session, f"coarse to fine, all {len(real)} real CT", model, [image for _, image in real])


def _row(
    session: Session, what: str, model: VertebraLocalizer, images: list[Volume], peak: float | None = None
) -> Row:
    equal, found = _agreement(model, images)
    pairs = session.pairs(what, partial(_each, partial(_fine, model), images), partial(_every_voxel, model, images))
    voxels = sum(image.voxels.size for image in images)
    share = equal / found if found else 1.0
    return comparison(
        what, "every voxel", pairs, goal=_GOAL, holds=share >= _LEAST_EQUAL, peak_memory_mb=peak,
        accuracy={"equal_foreground_labels": share, "foreground_voxels": found, "voxels": voxels},
        note=f"{share:.3%} of {found} foreground labels equal ({_LEAST_EQUAL:.1%} are asked for); {voxels} voxels",
    )  # fmt: skip


def _agreement(model: VertebraLocalizer, images: list[Volume]) -> tuple[int, int]:
    """Foreground voxels of the full prediction that keep their label, and all of them."""
    equal, found = 0, 0
    for image in images:
        full, fine = _full(model, image).argmax(axis=0), _fine(model, image).argmax(axis=0)
        foreground = full != model.forest.n_outputs - 1
        equal += int((full == fine)[foreground].sum())
        found += int(foreground.sum())
    return equal, found


def _fine(model: VertebraLocalizer, image: Volume) -> np.ndarray:
    return model.classify(image, n_jobs=2)


def _full(model: VertebraLocalizer, image: Volume) -> np.ndarray:
    return calls.full(model.forest, model.boxes, image.voxels, float(image.grid.spacing_mm[0]))


def _every_voxel(model: VertebraLocalizer, images: list[Volume]) -> None:
    _each(partial(_full, model), images)


def _each(classify: partial[np.ndarray], images: list[Volume]) -> None:
    for image in images:
        classify(image)


def _real_images(model: VertebraLocalizer) -> list[tuple[str, Volume]]:
    folder = os.environ.get("REGFOREST_REALDATA", "")
    files = sorted(Path(folder).glob("ct/*/image.nii.gz")) if folder else []
    return [(file.parent.name, working_image(read_volume(file), model.settings.spacing_mm)) for file in files]
