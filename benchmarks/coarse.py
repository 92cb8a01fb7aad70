"""Coarse-to-fine prediction against prediction of every voxel: how much quicker, and how much the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import calls, data
from benchmarks.rows import Goal, Row, comparison
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work
from regforest.features import BoxFeatures
from regforest.forest import Forest
from regforest.io import read_volume
from regforest.vertebrae.candidates import CandidateSettings
from regforest.vertebrae.dense_labels import BACKGROUND
from regforest.vertebrae.sampling import working_image

__all__ = ["ours", "run"]

_GOAL = Goal(2.5, 4)
_LEAST_EQUAL = 0.999
_BODY = CandidateSettings().mass_at_even_odds  # so much p(any vertebra) is as good as a body

Images = Sequence[NDArray[np.int16]]


class Model(NamedTuple):
    """A forest that tells vertebrae from background."""

    name: str
    forest: Forest
    boxes: BoxFeatures
    background: int
    spacing_mm: float

    def coarse_to_fine(self, voxels: NDArray[np.int16]) -> Any:
        return calls.coarse_to_fine(self.forest, self.boxes, voxels, self.spacing_mm, self.background)

    def every_voxel(self, voxels: NDArray[np.int16]) -> Any:
        return calls.full(self.forest, self.boxes, voxels, self.spacing_mm)


def ours(scale: Scale) -> Work:
    """Prepare our side: the vertebra model over held-out phantoms."""
    model, images = _soft(scale), _phantoms(scale)
    return lambda: _each(model.coarse_to_fine, images)


def run(session: Session) -> Iterator[Row]:
    """Phantoms and real images, with the vertebra model and with a forest of hard labels."""
    scale = session.scale
    models = (_soft(scale), _hard(scale))
    for model in models:
        peak = session.peak(ours) if model is models[0] else None
        phantoms = _phantoms(scale)
        yield _row(session, f"{len(phantoms)} held-out phantoms", model, phantoms, peak)
    real = _real_images(scale)
    for model in models if real else ():
        yield _row(session, f"{len(real)} real CT", model, real)
    if not real:
        note = "REGFOREST_REALDATA names no folder with ct/*/image.nii.gz: not measured"
        yield Row("coarse to fine, real CT", peer_name="every voxel", goal=_GOAL, note=note)


def _row(session: Session, images: str, model: Model, voxels: Images, peak: float | None = None) -> Row:
    what = f"coarse to fine, {images}, {model.name}"
    shares = _agreement(model, voxels)
    pairs = session.pairs(
        what, lambda: _each(model.coarse_to_fine, voxels), lambda: _each(model.every_voxel, voxels), slow=True
    )
    decisive = "argmax" if shares["argmax_voxels"] else "body"
    note = (
        f"equal labels where argmax is a vertebra: {shares['argmax_equal']:.3%} of {shares['argmax_voxels']} voxels; "
        f"where p(any vertebra) >= {_BODY:g}: {shares['body_equal']:.3%} of {shares['body_voxels']}; "
        f"the former counts where there are any; {sum(v.size for v in voxels)} voxels in all"
    )
    return comparison(
        what, "every voxel", pairs, goal=_GOAL, holds=shares[f"{decisive}_equal"] >= _LEAST_EQUAL,
        peak_memory_mb=peak, accuracy=shares, note=note,
    )  # fmt: skip


def _agreement(model: Model, images: Images) -> dict[str, float]:
    """Share of the full prediction's foreground that keeps its label, and how many voxels that foreground has."""
    counts = np.zeros((2, 2), np.int64)  # argmax or body; equal or all
    for voxels in images:
        every, fine = model.every_voxel(voxels), model.coarse_to_fine(voxels)
        for row, label in zip(counts, (_argmax, _body), strict=True):
            expected, found = label(every, model.background), label(fine, model.background)
            foreground = expected != model.background
            row += (found == expected)[foreground].sum(), foreground.sum()
    shares = counts[:, 0] / np.maximum(counts[:, 1], 1)
    return {
        "argmax_equal": float(shares[0]), "argmax_voxels": int(counts[0, 1]),
        "body_equal": float(shares[1]), "body_voxels": int(counts[1, 1]),
    }  # fmt: skip


def _argmax(probability: NDArray[np.float32], background: int) -> Any:
    return probability.argmax(axis=0)


def _body(probability: NDArray[np.float32], background: int) -> Any:
    """The best vertebra where there is enough of any: forests of soft labels hardly ever put one above background."""
    vertebrae = probability.copy()
    vertebrae[background] = -1
    return np.where(1 - probability[background] >= _BODY, vertebrae.argmax(axis=0), background)


def _soft(scale: Scale) -> Model:
    model = data.vertebra_model(scale)
    name = f"vertebra model of {model.levels.forest.n_trees} trees, {len(model.levels.boxes)} features"
    return Model(name, model.levels.forest, model.levels.boxes, BACKGROUND, model.settings.spacing_mm)


def _hard(scale: Scale) -> Model:
    forest = data.same_trees(scale)
    name = f"hard labels, {forest.n_trees} trees, {scale.features} features"
    return Model(name, forest, data.pool(scale), 0, scale.spacing_mm)


def _each(predict: Any, images: Images) -> None:
    for voxels in images:
        predict(voxels)


def _phantoms(scale: Scale) -> Images:
    return [image.voxels for image in data.held_out_images(scale, scale.scans_coarse)]


def _real_images(scale: Scale) -> Images:
    folder = os.environ.get("REGFOREST_REALDATA", "")
    files = sorted(Path(folder).glob("ct/*/image.nii.gz")) if folder else []
    spacing = data.vertebra_model(scale).settings.spacing_mm
    return [working_image(read_volume(file), spacing).voxels for file in files]
