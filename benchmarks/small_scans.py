"""Small scans for measurements of runs, not of accuracy: coarse CT phantoms, and crops of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from regforest.datasets import open_dataset
from regforest.datasets.phantoms.cache import cached_folder
from regforest.datasets.phantoms.ct import write_ct_phantom
from regforest.io import write_volume
from regforest.spatial import Volume
from regforest.vertebrae import VertebraLocalizer, VertebraSettings
from regforest.vertebrae.sampling import SamplingSettings

__all__ = ["crops", "small_model", "small_phantoms"]

_MATRIX = 64
_SETTINGS = VertebraSettings(
    spacing_mm=6.0, features=60, trees=3, max_depth=10,
    sampling=SamplingSettings(per_vertebra=40, background_per_vertebra=30),
)  # fmt: skip


def small_phantoms(count: int) -> Path:
    """Return a data set of `count` coarse phantoms, made at the first call: about 1 MB and half a second each."""
    settings = {"n": count, "seed": 0, "matrix": _MATRIX}
    return cached_folder(
        "small-scans", settings,
        lambda folder: write_ct_phantom(folder, count, 0, layout="labelled-folder", matrix=_MATRIX),
    )  # fmt: skip


def crops(phantoms: Path, count: int, folder: Path) -> list[Path]:
    """Write `count` blocks out of the phantoms, each of half their edges, and return the files."""
    rng = np.random.default_rng(0)
    written = []
    for number, volume in zip(range(count), _endlessly(phantoms), strict=False):
        size = [max(2, n // 2) for n in volume.grid.shape_zyx]
        start = [int(rng.integers(n - half + 1)) for n, half in zip(volume.grid.shape_zyx, size, strict=True)]
        written.append(folder / f"crop{number:04}.nii.gz")
        write_volume(volume.cropped(start[::-1], (size[0], size[1], size[2])), written[-1])
    return written


def small_model(phantoms: Path, path: Path) -> Path:
    """Train a model of few trees and write it."""
    scans = (case.load() for case in open_dataset(phantoms, "auto").cases)
    VertebraLocalizer(_SETTINGS).fit(scans).save(path)
    return path


def _endlessly(phantoms: Path) -> Iterator[Volume]:
    volumes = [case.load().image for case in open_dataset(phantoms, "auto").cases]
    while True:
        yield from volumes
