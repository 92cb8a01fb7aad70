"""Inputs of the benchmarks, made from phantom scans once and kept in the cache folder of the phantoms."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import sklearn
from numpy.typing import NDArray

from benchmarks.scales import Scale
from regforest.datasets import Case, open_dataset
from regforest.datasets.phantoms.cache import cached_folder
from regforest.datasets.phantoms.ct import EMBEDDED_SCANS, embedded_ct, write_ct_phantom
from regforest.features import BoxFeatures
from regforest.forest import Forest
from regforest.spatial import AnnotatedScan, Landmarks, Volume
from regforest.vertebrae import VertebraLocalizer, VertebraSettings
from regforest.vertebrae.dense_labels import body_radius_mm
from regforest.vertebrae.sampling import SamplingSettings, draw_training_points, working_image

__all__ = [
    "Rows", "classification_rows", "held_out_images", "peer_forest", "pool", "regression_rows", "same_trees",
    "vertebra_model", "volume_of",
]  # fmt: skip

_VERSION = 1  # of what is written: raise it when the same settings give other files
# the 20 commonest levels are classes 1 to 20, and 0 is the background
_LEVELS = ("C5", "C6", "C7", *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)))
_REGRESSION_REACH_MM = 50.0


class Rows(NamedTuple):
    """Training rows, and rows of other patients."""

    x: NDArray[np.float32]
    y: NDArray[Any]
    held_x: NDArray[np.float32]
    held_y: NDArray[Any]


def classification_rows(scale: Scale) -> Rows:
    """Box features and vertebra classes (20 and background) of voxels of phantoms."""
    return _rows(scale, "classes")


def regression_rows(scale: Scale) -> Rows:
    """Box features, and displacements in mm to the nearest and the second nearest body: 6 outputs."""
    return _rows(scale, "displacements")


def pool(scale: Scale, features: int | None = None) -> BoxFeatures:
    """The pool of box features, drawn as the vertebra pipeline does."""
    settings = VertebraSettings()
    return BoxFeatures.random(
        features or scale.features, seed=0, max_offset_mm=settings.max_offset_mm, size_range_mm=settings.box_size_mm
    )


def peer_forest(scale: Scale) -> Any:
    """scikit-learn's forest of deep trees, fitted to the classification rows."""
    return joblib.load(_forests(scale) / "sklearn.joblib")


def same_trees(scale: Scale) -> Forest:
    """The trees of `peer_forest` as our own forest; scikit-learn's is not loaded."""
    with np.load(_forests(scale) / "forest.npz") as arrays:
        return Forest.from_arrays(arrays)


def vertebra_model(scale: Scale) -> VertebraLocalizer:
    """The vertebra localizer with its default settings, fitted to the phantoms that are not held out."""
    settings = VertebraSettings() if scale.name == "full" else VertebraSettings.quick()

    def write(folder: Path) -> None:
        scans = (case.load() for case in _cases(scale)[0])
        VertebraLocalizer(settings).fit(scans, n_jobs=2).save(folder / "model.rfm")

    return VertebraLocalizer.load(_cached("bench-vertebrae", scale, write, settings=repr(settings)) / "model.rfm")


def volume_of(scale: Scale, voxels: int | None = None) -> tuple[NDArray[np.int16], float]:
    """The held-out scan that shows most of a spine, and its spacing in mm: the scale's, or one for so many voxels."""

    def write(folder: Path) -> None:
        scan = max((case.load() for case in _cases(scale)[1]), key=lambda scan: len(scan.landmarks))
        extent = float(np.prod(scan.image.grid.extent_mm))
        spacing = scale.spacing_mm if voxels is None else round(float(np.cbrt(extent / voxels)), 3)
        np.save(folder / "voxels.npy", working_image(scan.image, spacing).voxels)
        np.save(folder / "spacing.npy", spacing)

    folder = _cached("bench-volume", scale, write, voxels=voxels)
    return np.load(folder / "voxels.npy"), float(np.load(folder / "spacing.npy"))


def held_out_images(scale: Scale, count: int) -> list[Volume]:
    """Working images of held-out phantoms, on the grid of the vertebra model."""
    spacing = vertebra_model(scale).settings.spacing_mm
    return [working_image(case.load().image, spacing) for case in _cases(scale)[1][:count]]


def _cached(name: str, scale: Scale, write: Callable[[Path], None], **more: Any) -> Path:
    return cached_folder(name, {"bench": _VERSION, "scale": scale.to_json(), **more}, write)


def _forests(scale: Scale) -> Path:
    def write(folder: Path) -> None:
        from sklearn.ensemble import RandomForestClassifier

        rows = classification_rows(scale)
        forest = RandomForestClassifier(scale.trees, max_depth=scale.depth, n_jobs=2, random_state=0)
        forest.fit(rows.x, rows.y)
        joblib.dump(forest, folder / "sklearn.joblib")
        np.savez(folder / "forest.npz", **Forest.from_sklearn(forest).to_arrays())

    return _cached("bench-forest", scale, write, sklearn=sklearn.__version__)


@functools.cache
def _cases(scale: Scale) -> tuple[list[Case], list[Case]]:
    """Training and held-out cases; a patient's scans stay together."""
    if (scale.scans, scale.matrix) == (EMBEDDED_SCANS, 128):
        folder = embedded_ct(jobs=2)
    else:
        folder = _cached(
            "bench-phantom", scale, lambda out: write_ct_phantom(out, scale.scans, 0, matrix=scale.matrix)
        )
    cases = open_dataset(folder, "spine-ct").cases
    last = cases[3 * len(cases) // 4].patient
    return [case for case in cases if case.patient < last], [case for case in cases if case.patient >= last]


def _rows(scale: Scale, target: str) -> Rows:
    def write(folder: Path) -> None:
        for side, cases in zip(("train", "held"), _cases(scale), strict=True):
            parts = [_scan_rows(case.load(), scale, target, number) for number, case in enumerate(cases)]
            wanted = _wanted(scale, target, side)
            x, y = (np.concatenate(part) for part in zip(*parts, strict=True))
            chosen = np.random.default_rng(0).permutation(len(x))[:wanted]
            np.save(folder / f"{side}_x.npy", x[chosen])
            np.save(folder / f"{side}_y.npy", y[chosen])

    folder = _cached("bench-rows", scale, write, target=target)
    return Rows(*(np.load(folder / f"{name}.npy") for name in ("train_x", "train_y", "held_x", "held_y")))


def _wanted(scale: Scale, target: str, side: str) -> int:
    rows = scale.rows if target == "classes" else scale.regression_rows
    return rows if side == "train" else scale.held_out_rows


def _scan_rows(scan: AnnotatedScan, scale: Scale, target: str, seed: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
    image = working_image(scan.image, scale.spacing_mm)
    sampling = SamplingSettings(per_vertebra=300, background_per_vertebra=160)
    points = draw_training_points(scan, image.grid, sampling, np.random.default_rng(seed))
    where = image.grid.index_to_lps(points.index_zyx[:, ::-1])
    if target == "classes":
        (keep, y), boxes = _classes(where, scan.landmarks), pool(scale)
    else:
        (keep, y), boxes = _displacements(where, scan.landmarks), pool(scale, scale.regression_features)
    return boxes.evaluate([image.voxels], image.grid.spacing_mm, points.index_zyx[keep]), y


def _classes(where: NDArray[np.float64], spine: Landmarks) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Voxels and their classes: the body whose centre is within its radius; bodies of rare levels are left out."""
    away = np.linalg.norm(spine.points_lps_mm[None] - where[:, None], axis=2)
    nearest = away.argmin(axis=1)
    number = np.array([_LEVELS.index(name) + 1 if name in _LEVELS else -1 for name in spine], np.int32)
    radius = np.array([body_radius_mm(name) for name in spine])
    y = np.where(away.min(axis=1) < radius[nearest], number[nearest], 0).astype(np.int32)
    keep = np.flatnonzero(y >= 0)
    return keep, y[keep]


def _displacements(where: NDArray[np.float64], spine: Landmarks) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    away = spine.points_lps_mm[None] - where[:, None]
    order = np.argsort((away**2).sum(axis=2), axis=1)[:, :2]
    nearest = np.take_along_axis(away, order[..., None], axis=1)
    keep = np.flatnonzero((nearest[:, 0] ** 2).sum(axis=1) < _REGRESSION_REACH_MM**2)
    return keep, nearest[keep].reshape(len(keep), -1).astype(np.float32)
