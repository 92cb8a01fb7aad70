"""Pixels of a stack: decompressed, rescaled slice by slice, one number type for all."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.errors import FileError
from regforest.io._dicom_files import DicomFile
from regforest.io._dicom_frames import Frame, import_pydicom
from regforest.io._dicom_geometry import DicomStack
from regforest.io._dicom_tags import StackTags

__all__ = ["read_voxels"]

_INSTALL = "install the decoders with: pip install 'regforest[dicom]'"
_COPY = "copy the file again from its source"


def read_voxels(stack: DicomStack) -> NDArray[Any]:
    """Read the voxels of a stack.

    Returns
    -------
    ndarray, shape (z, y, x)
        int16 where the values fit, else int32; float32 where slopes or intercepts have fractions or slices are
        interpolated.

    Raises
    ------
    FileError
        If the pixels of a slice are missing, truncated or cannot be decompressed.
    """
    kind = _number_type(stack)
    height, width = stack.grid.shape_zyx[1:]
    slices = np.empty((len(stack.frames), height, width), kind)
    for rank, frame, pixels in _decoded(stack.frames):
        slices[rank] = _rescaled(pixels, frame, kind)
    if kind is np.int32 and slices.min() >= -(2**15) and slices.max() < 2**15:
        slices = slices.astype(np.int16)  # signed CT with an intercept could go beyond, and hardly ever does
    below = np.floor(stack.places).astype(int)
    weight = stack.places - below
    if not weight.any():
        return slices if len(below) == len(slices) else slices[below]
    above = np.minimum(below + 1, len(slices) - 1)
    share = weight.astype(np.float32)[:, None, None]
    return np.asarray(slices[below] * (1 - share) + slices[above] * share)


def _decoded(frames: Sequence[Frame]) -> Any:
    """Yield rank, frame and stored pixels, file by file, so that each file is opened once."""
    by_file: dict[str, list[tuple[int, Frame]]] = {}
    for rank, frame in enumerate(frames):
        by_file.setdefault(frame.file.name, []).append((rank, frame))
    for members in by_file.values():
        members.sort(key=lambda member: member[1].index)
        file, tags = members[0][1].file, members[0][1].tags
        pixels = _pixels(file, [frame.index for _, frame in members], tags)
        yield from ((rank, frame, image) for (rank, frame), image in zip(members, pixels, strict=True))


def _pixels(file: DicomFile, indices: list[int], tags: StackTags) -> list[NDArray[Any]]:
    pydicom = import_pydicom(file.name)
    try:
        with warnings.catch_warnings(), file.open() as stream:
            warnings.simplefilter("ignore")  # what matters of them is an error below
            dataset = pydicom.dcmread(stream, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = _plain_syntax(pydicom, dataset)
            pixels = [np.array(image) for image in pydicom.pixels.iter_pixels(dataset, indices=indices)]
    except Exception as error:  # each decoder has its own kinds of errors
        text = " ".join(str(error).split())
        advice = _INSTALL if "missing dependencies" in text or "plugin" in text else _COPY
        raise FileError(file.name, "pixels that can be decoded", f"{type(error).__name__}: {text}", advice) from error
    if len(pixels) != len(indices) or any(image.shape != tags.size_xy[::-1] for image in pixels):
        found = f"{len(pixels)} of {' and '.join(sorted({str(image.shape) for image in pixels}))}"
        raise FileError(file.name, f"{len(indices)} images of {tags.size_xy[::-1]} pixels", found, _COPY)
    if any(image.dtype.kind == "f" for image in pixels):
        raise FileError(file.name, "whole numbers as pixels", "floats (a parametric map)", "convert it to NIfTI")
    return pixels


def _plain_syntax(pydicom: Any, dataset: Any) -> Any:
    """Syntax of a file that does not name one, as old writers' without a preamble."""
    implicit = dataset.original_encoding[0]
    return pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian


def _number_type(stack: DicomStack) -> type[np.generic]:
    whole = all(frame.slope == 1 and frame.intercept == int(frame.intercept) for frame in stack.frames)
    if not whole or (stack.places != np.floor(stack.places)).any():
        return np.float32
    ends = [end + frame.intercept for frame in stack.frames for end in _range(frame)]
    if min(ends) >= -(2**15) and max(ends) < 2**15:
        return np.int16
    return np.int32 if min(ends) >= -(2**31) and max(ends) < 2**31 else np.float32


def _range(frame: Frame) -> tuple[int, int]:
    """Least and greatest value that can be stored."""
    half = 2 ** (frame.bits - 1)
    return (-half, half - 1) if frame.is_signed else (0, 2 * half - 1)


def _rescaled(pixels: NDArray[Any], frame: Frame, kind: type[np.generic]) -> NDArray[Any]:
    """Real values of a slice; MONOCHROME1 is turned so that bright is large, except in CT, whose numbers are HU."""
    wide = pixels.astype(np.float64)
    if frame.is_inverted and frame.tags.modality != "CT":
        wide = sum(_range(frame)) - wide
    with np.errstate(over="ignore"):
        values = (wide * frame.slope + frame.intercept).astype(kind)
    if not np.isfinite(values).all():
        expected = "finite values after rescaling"
        found = f"a slope of {frame.slope:g} and an intercept of {frame.intercept:g}"
        raise FileError(frame.file.name, expected, found, "correct the tags, or export the series again")
    return values
