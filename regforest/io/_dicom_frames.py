"""What the tags say about each slice of a DICOM file: where it lies and what belongs together. No pixel is read."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regforest.errors import FileError
from regforest.io._dicom_files import DicomFile, begins_as_dicom
from regforest.io._dicom_tags import (
    Groups,
    StackTags,
    TagError,
    bits_of,
    orientation_of,
    position_of,
    stack_tags,
    thickness_of,
)

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Frame", "Skipped", "import_pydicom", "read_frames"]

_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "ProtocolName", "ImageType", "InstanceNumber", "AcquisitionNumber", "EchoTime", "RepetitionTime",
    "TemporalPositionIdentifier", "DiffusionBValue", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope",
    "RescaleIntercept", "ModalityLUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PatientID", "PatientName",
]  # fmt: skip
_NOT_IMAGES = ("SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "SR", "PR", "KO")
_SCANNERS = ("CT", "MR", "PT")
_SALT = os.urandom(16)  # of this process: nobody can look the tokens up


@dataclass(frozen=True)
class Frame:
    """One slice.

    Attributes
    ----------
    file, index
        Where its pixels are: the file, and the number of the frame in it.
    tags : StackTags
        What it shares with its neighbours.
    position_lps_mm : tuple of float
        Centre of its first pixel.
    orientation : tuple of float
        Unit LPS directions along a row and along a column.
    thickness_mm : float
        Distance of slices as declared, for a slice that stands alone.
    bits, is_signed, is_inverted
        Of the stored values: their number of bits, sign, and MONOCHROME1.
    slope, intercept : float
        From stored values to those that are meant.
    acquisition, instance : int
        Numbers that tell repeated images apart; they never order slices.
    sop_uid : str
        Of its file.
    patient : str
        Equal for slices of one person; says nothing about who it is.
    """

    file: DicomFile
    index: int
    tags: StackTags
    position_lps_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    thickness_mm: float
    bits: int
    is_signed: bool
    is_inverted: bool
    slope: float
    intercept: float
    acquisition: int
    instance: int
    sop_uid: str
    patient: str = ""


@dataclass(frozen=True)
class Skipped:
    """A file without usable slices.

    Attributes
    ----------
    file : DicomFile
        The file.
    reason : str
        Why, in words that fit many files.
    series_uid : str
        Series of which a slice is lost by that; empty where none is, because the file is not an image at all.
    """

    file: DicomFile
    reason: str
    series_uid: str = ""


def import_pydicom(path: object) -> Any:
    """Import pydicom, or raise a `FileError` for `path` that says how to install it."""
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        advice = "install it with: pip install 'regforest[dicom]'"
        raise FileError(str(path), "the package pydicom to read DICOM", "none", advice) from error
    return pydicom


def read_frames(file: DicomFile) -> list[Frame] | Skipped:
    """Read the slices of a file from its tags, or why there are none."""
    pydicom = import_pydicom(file.name)
    try:
        with warnings.catch_warnings(), file.open() as stream:
            warnings.simplefilter("ignore")  # about values that are checked here
            if not begins_as_dicom(stream):
                return Skipped(file, "not DICOM")
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_TAGS)
            return _frames(file, dataset)
    except PermissionError:
        return Skipped(file, "without the right to read it")
    except Exception as error:  # pydicom promises no kinds of errors for damaged files
        return Skipped(file, f"damaged ({type(error).__name__})")  # its text may repeat a value, a name even


def _frames(file: DicomFile, dataset: Dataset) -> list[Frame] | Skipped:
    kind = dataset.get("Modality") or "no modality"
    if not dataset.get("Rows") or not dataset.get("Columns") or kind in _NOT_IMAGES:
        what = getattr(dataset.get("SOPClassUID"), "name", "") or kind
        if what.endswith("Image Storage") and kind in _SCANNERS:
            return Skipped(file, "without Rows and Columns", str(dataset.get("SeriesInstanceUID", "")))
        return Skipped(file, f"no image but {what}")
    if dataset.get("SamplesPerPixel", 1) != 1:
        return Skipped(file, "a colour picture")
    count = int(dataset.get("NumberOfFrames") or 1)
    if count > 1 and len(dataset.get("PerFrameFunctionalGroupsSequence") or ()) != count:
        return Skipped(file, "several frames without a position of each")
    groups = [Groups(dataset, index) for index in range(count)]
    try:
        return [_frame(file, dataset, group) for group in groups]
    except TagError as error:
        # a slice of a scanner without a place is a fault; a screenshot or a photograph has none
        lost = str(dataset.get("SeriesInstanceUID", "")) if kind in _SCANNERS else ""
        return Skipped(file, str(error), lost)


def _frame(file: DicomFile, dataset: Dataset, groups: Groups) -> Frame:
    position = position_of(groups)  # the first to be missed, as what has no place is no slice
    rescale = "PixelValueTransformationSequence"
    return Frame(
        file,
        groups.index,
        stack_tags(dataset, groups),
        position,
        orientation_of(groups),
        thickness_of(groups),
        bits_of(dataset),
        bool(dataset.get("PixelRepresentation", 0)),
        dataset.get("PhotometricInterpretation") == "MONOCHROME1",
        groups.number("RescaleSlope", rescale, 1.0) or 1.0,
        groups.number("RescaleIntercept", rescale),
        int(groups.number("FrameAcquisitionNumber", "FrameContentSequence") or groups.number("AcquisitionNumber")),
        int(groups.number("InstanceNumber")),
        str(dataset.get("SOPInstanceUID", "")),
        _person(dataset),
    )


def _person(dataset: Dataset) -> str:
    """Make a token that is equal for one person's slices and tells nothing else."""
    parts: Sequence[Any] = [dataset.get(key) or "" for key in ("PatientID", "PatientName")]
    text = "\0".join(str(part).strip(" ^").casefold() for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16, key=_SALT).hexdigest()
