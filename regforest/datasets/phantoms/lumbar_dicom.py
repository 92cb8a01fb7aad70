"""Phantoms in the layout of the Lumbar Spine MRI Dataset: a DICOM tree with the faults of the real one.

Every patient has a localizer in three planes, sagittal T2 and T1, axial blocks through three discs, and a screenshot.
Planted on purpose: file names that say nothing about the order and are the same in all series, a slice that is there
twice (T2), a slice that is missing, one of another size and one of another orientation (T1). Every second patient
lies feet first, and the sagittal T2 is compressed and calls itself Enhanced without functional groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from regforest.datasets.phantoms.mr import mr_phantom_scan
from regforest.errors import UsageError
from regforest.io import write_json
from regforest.io.dicom import import_pydicom
from regforest.spatial import Grid, Volume

__all__ = ["FAULTS", "write_lumbar_phantom"]

FAULTS = {
    "T2_TSE_SAG": ["a slice twice"],
    "T1_TSE_SAG": ["a slice missing", "a slice of 310 rows", "an axial slice"],
    "every second patient": ["feet first", "T2_TSE_SAG: single-frame RLE that calls itself Enhanced"],
    "everywhere": ["file names in no order, the same in all series", "localizer", "screenshot"],
}
"""What is planted, for people; written into ``phantom.json``."""

_MR, _ENHANCED_MR, _PICTURE = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4", "4.1", "7"))
_AXIAL_DISCS = ("L3/L4", "L4/L5", "L5/S1")
_AXIAL_SHAPE, _AXIAL_MM = (4, 320, 320), (0.6875, 0.6875, 4.4)
_ECHO_REPETITION_MS = {"T2": (103.0, 4000.0), "T1": (11.0, 620.0)}
_SHORT_ROWS = 310


@dataclass(frozen=True)
class _Series:
    folder: Path
    number: int
    name: str
    uid: str
    study_uid: str
    sop_class: str
    feet_first: bool


def write_lumbar_phantom(
    out: Path, n: int, seed: int, *, jobs: int = 1, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write DICOM studies of made-up patients; the same seed gives the same files.

    Parameters
    ----------
    out : Path
        Folder, made when missing: ``01_MRI_Data/<4 digits>/<study>/<series>/*.ima``, and ``phantom.json`` with the
        truth (disc centres in LPS mm) and the planted faults.
    n : int
        Number of patients.
    seed : int
        Of the random numbers.
    jobs : int
        Processes.
    progress : callable, optional
        Called with the number of patients done and their total.

    Raises
    ------
    UsageError
        If `n` is less than 1.
    FileError
        If pydicom is not installed.
    """
    if n < 1:
        raise UsageError(f"cannot write {n} patients: expected at least 1")
    import_pydicom(out)
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    truths: dict[str, Any] = {}
    for truth in parallel(delayed(_write_patient)(out / "01_MRI_Data", seed, patient) for patient in range(n)):
        truths |= truth
        if progress is not None:
            progress(len(truths), n)
    content = {"seed": seed, "frame": "LPS mm", "faults": FAULTS, "scans": dict(sorted(truths.items()))}
    write_json(out / "phantom.json", content)


def _write_patient(root: Path, seed: int, patient: int) -> dict[str, Any]:
    name = f"{patient + 1:04d}"
    folder = root / name / f"L-SPINE_LSS_201601{patient % 28 + 1:02d}_101500_{seed:06d}"
    (t2, discs), (t1, _) = (mr_phantom_scan(seed, patient, 0, contrast) for contrast in ("t2", "t1"))
    odd = patient % 2 == 1

    def series(number: int, kind: str, sop_class: str = _MR) -> _Series:
        key = f"{seed}.{patient + 1}"
        place = folder / f"{kind}_{number:04d}"
        return _Series(place, number, kind, f"1.2.826.0.1.{key}.{number}", f"1.2.826.0.1.{key}", sop_class, odd)

    sagittal = {"T2": _slices_first(t2.image), "T1": _slices_first(t1.image)}
    axial = {kind: [volume.resampled(block) for block in _blocks(discs)] for kind, volume in sagittal.items()}
    _write_localizer(series(1, "LOCALIZER"), sagittal["T2"])
    _write_t2_sagittal(series(2, "T2_TSE_SAG_320", _ENHANCED_MR if odd else _MR), sagittal["T2"])
    _write_t1_sagittal(series(3, "T1_TSE_SAG_320"), sagittal["T1"], axial["T1"][0])
    for number, (kind, blocks) in enumerate(axial.items(), start=4):
        images = [image for block in blocks for image in _images(block)]
        _write_series(series(number, f"{kind}_TSE_TRA_320"), images, kind)
    _write_screenshot(series(99, "POSDISP_4_T2_TSE_TRA_320", _PICTURE), axial["T2"][0].voxels[0])
    return {name: {"discs": discs}}


@dataclass(frozen=True)
class _Image:
    """One slice: pixels, and the grid that holds it alone."""

    pixels: NDArray[Any]
    grid: Grid


def _slices_first(volume: Volume) -> Volume:
    """Turn a volume with x through its slices into one with z through them."""
    matrix = volume.grid.matrix[:, [1, 2, 0, 3]]
    voxels = np.ascontiguousarray(volume.voxels.transpose(2, 0, 1))
    return Volume(voxels, Grid(voxels.shape, matrix))


def _images(volume: Volume) -> list[_Image]:
    shape = (1, *volume.grid.shape_zyx[1:])
    return [_Image(pixels, volume.grid.cropped((0, 0, k), shape)) for k, pixels in enumerate(volume.voxels)]


def _blocks(discs: dict[str, Any]) -> list[Grid]:
    """Grids of a few slices each, through the discs and across the spine there."""
    names = list(discs)
    grids = []
    for name in _AXIAL_DISCS:
        rank = names.index(name)
        ends = [np.array(discs[names[k]]["centre"]) for k in (rank - 1, min(rank + 1, len(names) - 1))]
        along = (ends[0] - ends[1]) / np.linalg.norm(ends[0] - ends[1])
        left = np.array([1.0, 0, 0]) - along[0] * along
        left /= np.linalg.norm(left)
        axes = np.column_stack([left, np.cross(along, left), along])
        half = (np.array(_AXIAL_SHAPE[::-1]) - 1) / 2 * _AXIAL_MM
        grids.append(Grid.from_parts(_AXIAL_SHAPE, _AXIAL_MM, discs[name]["centre"] - axes @ half, axes))
    return grids


def _write_localizer(series: _Series, volume: Volume) -> None:
    """Write the middle slice in each of the three planes."""
    straight = volume.isotropic(2.0)
    z, y, x = straight.grid.shape_zyx
    planes = []
    for axes, middle in (((0, 1, 2), z), ((1, 0, 2), y), ((2, 0, 1), x)):  # array axes: slices, rows, columns
        matrix = straight.grid.matrix[:, [2 - axes[2], 2 - axes[1], 2 - axes[0], 3]]
        turned = straight.voxels.transpose(axes)
        planes.append(_images(Volume(turned, Grid(turned.shape, matrix)))[middle // 2])
    _write_series(series, planes, "T2")


def _write_t2_sagittal(series: _Series, volume: Volume) -> None:
    images = _images(volume)
    _write_series(series, images, "T2")
    copy = series.folder / f"IMG{len(images):04d}.ima"
    copy.write_bytes((series.folder / "IMG0000.ima").read_bytes())


def _write_t1_sagittal(series: _Series, volume: Volume, axial: Volume) -> None:
    images = _images(volume)
    shorter = images[0].grid.cropped((0, 0, 0), (1, _SHORT_ROWS, volume.grid.shape_zyx[2]))
    other_size = _Image(images[0].pixels[:_SHORT_ROWS], shorter)
    del images[len(images) // 2]
    _write_series(series, [*images[1:], other_size, _images(axial)[0]], "T1")


def _write_series(series: _Series, images: list[_Image], kind: str) -> None:
    """Write slices under names, and with instance numbers, that do not follow their places."""
    order = np.random.default_rng(series.number).permutation(len(images))
    for number, k in enumerate(order.tolist()):
        dataset = _dataset(series, number, images[k].pixels)
        echo, repetition = _ECHO_REPETITION_MS[kind]
        dataset.EchoTime, dataset.RepetitionTime = f"{echo:g}", f"{repetition:g}"
        _place(dataset, images[k].grid)
        _save(dataset, series, number)


def _write_screenshot(series: _Series, pixels: NDArray[Any]) -> None:
    dataset = _dataset(series, 0, pixels)
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    _save(dataset, series, 0)


def _place(dataset: Any, grid: Grid) -> None:
    columns = grid.direction
    dataset.ImagePositionPatient = [f"{x:.8g}" for x in grid.origin_mm]
    dataset.ImageOrientationPatient = [f"{x:.10g}" for x in columns[:, :2].T.ravel()]
    dataset.PixelSpacing = [f"{grid.spacing_mm[axis]:.8g}" for axis in (1, 0)]
    dataset.SpacingBetweenSlices = f"{grid.spacing_mm[2]:.8g}"
    dataset.SliceThickness = "4"


def _dataset(series: _Series, number: int, pixels: NDArray[Any]) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = series.sop_class, f"{series.uid}.{number + 1}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = series.study_uid, series.uid
    dataset.FrameOfReferenceUID = f"{series.uid}.0"  # differs between series of one study, as in the real data
    dataset.Modality, dataset.SeriesDescription, dataset.SeriesNumber = "MR", series.name, series.number
    dataset.PatientName, dataset.PatientID = "ANONYMOUS^PHANTOM", "ANONYMOUS"  # the same for all, as in the real data
    dataset.PatientPosition = "FFS" if series.feet_first else "HFS"
    dataset.ImageType, dataset.InstanceNumber = ["ORIGINAL", "PRIMARY", "M"], number + 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = np.clip(np.rint(pixels), 0, 4095).astype("<u2").tobytes()
    return dataset


def _save(dataset: Any, series: _Series, number: int) -> None:
    from pydicom.uid import RLELossless

    if series.sop_class == _ENHANCED_MR:
        dataset.compress(RLELossless, generate_instance_uid=False)
    series.folder.mkdir(parents=True, exist_ok=True)
    dataset.save_as(series.folder / f"IMG{number:04d}.ima", enforce_file_format=True)
