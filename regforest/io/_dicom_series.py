"""The source of DICOM results: the headers of one series of single-frame images, in order, and their grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from regforest.errors import FileError
from regforest.io.dicom import DicomStack, Frame, choose_stack, list_series, open_dicom
from regforest.spatial import Grid

# what a result has to repeat of patient and study, and what its geometry follows from; the rest is not even read
_READ = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID",
    "Modality", "FrameOfReferenceUID", "PositionReferenceIndicator", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "SharedFunctionalGroupsSequence",
]  # fmt: skip


def read_source_series(path: Path, series_uid: str | None = None) -> tuple[list[Dataset], Grid]:
    """Read the headers of a folder's or zip's only series, localizers aside, or of the one that is named.

    Raises
    ------
    FileError
        As `regforest.io.dicom.read_dicom`; also if there are several series and none is named, slices are missing,
        unevenly spaced or multi-frame, or there is no frame of reference.
    """
    with open_dicom(path) as contents:
        stack, _ = choose_stack(contents, series_uid)
        if series_uid is None and len({scan.tags.series_uid for scan in contents.scans}) > 1:
            raise FileError(path, "one series", list_series(contents.scans), "name one by its series UID")
        _require_even(path, stack)
        return [_header(frame) for frame in stack.frames], stack.grid


def _require_even(path: Path, stack: DicomStack) -> None:
    if not np.array_equal(stack.places, np.arange(len(stack.frames))):
        raise FileError(path, "one step between neighbouring images", "; ".join(stack.notes), "add what is missing")


def _header(frame: Frame) -> Dataset:
    with frame.file.open() as stream:
        header = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_READ)
    if frame.index or "SharedFunctionalGroupsSequence" in header:
        advice = "convert the series to single-frame images"
        raise FileError(frame.file.name, "single-frame images", "a multi-frame one", advice)
    if not header.get("FrameOfReferenceUID"):
        advice = "results could not say where they lie; export the series again"
        raise FileError(frame.file.name, "FrameOfReferenceUID (0020,0052)", "none", advice)
    return header
