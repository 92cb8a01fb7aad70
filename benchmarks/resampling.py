"""Resampling and reading of images, against SimpleITK and scipy."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from benchmarks.rows import Row, comparison
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work
from regforest.io import read_volume, write_volume
from regforest.spatial import Grid, Volume

__all__ = ["ours", "run", "run_reading"]

_SPACING_MM = (0.7, 0.7, 1.5)


def ours(scale: Scale, spacing_mm: str) -> Work:
    """Prepare our side: to an isotropic grid."""
    volume = _scan(scale)
    target = volume.grid.isotropic(float(spacing_mm))
    return partial(volume.resampled, target, n_jobs=2)


def run(session: Session) -> Iterator[Row]:
    """A thorax CT to 1 mm and to 3 mm."""
    scale, volume = session.scale, _scan(session.scale)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
    shape = "x".join(map(str, volume.grid.size_xyz))
    for spacing in ("1", "3"):
        what = f"resampling, int16 {shape} to {spacing} mm"
        work, target = ours(scale, spacing), volume.grid.isotropic(float(spacing))
        peak = session.peak(ours, spacing)
        for name, peer in _peers(volume, target):
            pairs = session.pairs(f"{what}: {name}", work, peer, slow=name.startswith("scipy"))
            note = "ours uses 2 threads, SimpleITK 2, scipy 1; ours is anti-aliased where it shrinks"
            yield comparison(what, name, pairs, peak_memory_mb=peak, note=note)


def run_reading(session: Session) -> Iterator[Row]:
    """Reading of an uncompressed mhd/raw file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scan.mhd"
        write_volume(_scan(session.scale), file)
        mega = (Path(folder) / "scan.raw").stat().st_size / 1e6
        # a memory map costs nothing until it is read: both sides add up the voxels
        pairs = session.pairs("reading mhd", lambda: read_volume(file).voxels.sum(), lambda: _sitk_read(file).sum())
        yield comparison(
            f"reading mhd/raw of {mega:.0f} MB, every voxel looked at", "SimpleITK.ReadImage", pairs, threads=1,
            note="the file is in the system's cache",
        )  # fmt: skip


def _peers(volume: Volume, target: Grid) -> Iterator[tuple[str, Work]]:
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing(volume.grid.spacing_mm.tolist())
    image.SetOrigin(volume.grid.origin_mm.tolist())
    frame: tuple[Any, ...] = (
        target.size_xyz, sitk.Transform(), sitk.sitkLinear, target.origin_mm.tolist(), target.spacing_mm.tolist(),
        image.GetDirection(), 0.0, sitk.sitkFloat32,
    )  # fmt: skip
    yield "SimpleITK.Resample", lambda: sitk.GetArrayFromImage(sitk.Resample(image, *frame))
    if target.spacing_mm[0] > volume.grid.spacing_mm.max():
        yield (
            "SimpleITK, smoothed first",
            lambda: sitk.GetArrayFromImage(sitk.Resample(_smooth(image, target), *frame)),
        )
    steps = target.spacing_mm / volume.grid.spacing_mm
    start = volume.grid.lps_to_index(target.origin_mm)
    yield "scipy.ndimage.affine_transform", partial(
        ndimage.affine_transform, volume.voxels, steps[::-1], start[::-1], target.shape_zyx, order=1, mode="nearest",
        output=np.float32,
    )  # fmt: skip


def _smooth(image: Any, target: Grid) -> Any:
    sigma = [0.4 * float(np.sqrt(t**2 - s**2)) for t, s in zip(target.spacing_mm, image.GetSpacing(), strict=True)]
    return sitk.SmoothingRecursiveGaussian(image, sigma)


def _sitk_read(file: Path) -> Any:
    return sitk.GetArrayViewFromImage(sitk.ReadImage(str(file))).copy()


@functools.cache
def _scan(scale: Scale) -> Volume:
    voxels = np.random.default_rng(0).integers(-1024, 3072, scale.resampling_shape, np.int16)
    return Volume(voxels, Grid.from_parts(voxels.shape, _SPACING_MM))
