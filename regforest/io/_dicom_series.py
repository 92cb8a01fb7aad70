"""The headers of one series of single-frame images, in order along their normal: what DICOM results refer to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from regforest.errors import FileError
from regforest.spatial import Grid

_STEP_TOLERANCE = 0.05  # of a step between slices
# what a result has to repeat of patient and study, and what its geometry follows from; the rest is not even read
_READ = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID",
    "Modality", "FrameOfReferenceUID", "PositionReferenceIndicator", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "SharedFunctionalGroupsSequence",
)  # fmt: skip
_NEEDED = (
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
)


def read_source_series(folder: Path) -> list[Dataset]:
    """Read the headers of a folder's only series, sorted along the normal of its images.

    Raises
    ------
    FileError
        If there is no image with a place in space, more than one series, or multi-frame images.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        raise FileError(folder, "the folder of the source DICOM series", found, "name the folder with its images")
    images = [header for path in sorted(folder.rglob("*")) if (header := _header(path)) is not None]
    if not images:
        raise FileError(
            folder, "DICOM images with a place in space", "none", "name the folder with the source series"
        )
    series = Counter(str(header.SeriesInstanceUID) for header in images)
    if len(series) > 1:
        found = ", ".join(f"{uid} ({count} images)" for uid, count in series.items())
        raise FileError(folder, "one series", found, "copy the images of one series to a folder of their own")
    orientation = _directions(images[0])
    if any(np.abs(_directions(header) - orientation).max() > 1e-3 for header in images):
        raise FileError(folder, "images of one orientation", "several", "leave out the localizer")
    normal = np.cross(*orientation)
    return sorted(images, key=lambda header: float(normal @ _position(header)))


def series_grid(series: Sequence[Dataset], folder: Path) -> Grid:
    """Grid of the voxels of a sorted series: x along rows, y along columns, z from image to image.

    Raises
    ------
    FileError
        If two images lie at one place, or the steps between them differ.
    """
    first = series[0]
    row, column = _directions(first)
    between_rows, between_columns = (float(x) for x in first.PixelSpacing)
    positions = np.array([_position(header) for header in series])
    if len(series) == 1:
        step = np.cross(row, column) * float(first.get("SliceThickness") or 1.0)
    else:
        steps = np.diff(positions, axis=0)
        step = steps.mean(axis=0)
        if np.linalg.norm(steps - step, axis=1).max() > _STEP_TOLERANCE * np.linalg.norm(step):
            lengths = np.linalg.norm(steps, axis=1)
            found = f"steps of {lengths.min():.2f} to {lengths.max():.2f} mm"
            raise FileError(
                folder, "one step between neighbouring images", found, "remove doubles, add what is missing"
            )
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([row * between_columns, column * between_rows, step, positions[0]])
    return Grid((len(series), int(first.Rows), int(first.Columns)), matrix)


def _header(path: Path) -> Dataset | None:
    """Read a header; None for other files and for objects without a place in space."""
    if not path.is_file():
        return None
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_READ))
    except InvalidDicomError:
        return None
    except OSError as error:
        raise FileError(path, "a readable file", error.strerror or str(error), "check its rights") from error
    if "SharedFunctionalGroupsSequence" in header:
        raise FileError(path, "single-frame images", "a multi-frame one", "convert the series to single-frame images")
    return header if all(key in header for key in _NEEDED) else None


def _position(header: Dataset) -> NDArray[np.float64]:
    return np.array(header.ImagePositionPatient, dtype=np.float64)


def _directions(header: Dataset) -> NDArray[np.float64]:
    """Directions of increasing column and row index, shape (2, 3)."""
    return np.array(header.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
