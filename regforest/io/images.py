"""Images in and out: NIfTI with any matrix, MetaImage and NRRD; DICOM in. World frame inside: LPS millimetres."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from regforest.errors import DataError, FileError
from regforest.io import dicom
from regforest.io._itk import read_itk, read_itk_grid, write_itk
from regforest.io._names import require_file, split_name
from regforest.io._nifti import (
    read_nifti,
    read_nifti_grid,
    read_nifti_label_names,
    write_nifti,
    write_nifti_labels,
)
from regforest.spatial import Grid, Volume

__all__ = [
    "IMAGE_SUFFIXES",
    "image_stem",
    "read_grid",
    "read_label_names",
    "read_volume",
    "write_label_image",
    "write_volume",
]

IMAGE_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd")
"""Suffixes of the image files that can be read and written, in lower case."""

_NIFTI = (".nii", ".nii.gz")
_log = logging.getLogger(__name__)


def read_volume(path: str | Path, series_uid: str | None = None) -> Volume:
    """Read a 3-D image.

    NIfTI may have any invertible matrix, sheared ones included: the sform is preferred, then the qform, then the
    voxel sizes alone. MetaImage (.mha, .mhd with its raw file) and NRRD are read by ITK. A 2-D image becomes one
    slice; a 4-D one with a single volume loses the fourth axis. A folder, a ``.zip`` or a DICOM file is read by
    `regforest.io.dicom.read_dicom`, and what that has to say is logged.

    Voxels that lie uncompressed in a ``.nii``, ``.mha`` or ``.raw`` file are mapped into memory: only what is used
    is read. Writing to them never changes the file, and the file may be replaced or deleted meanwhile, but no other
    program may rewrite it in place.

    Parameters
    ----------
    path : str or Path
        A ``.nii``, ``.nii.gz``, ``.mha``, ``.mhd`` or ``.nrrd`` file; for DICOM a folder, zip or file.
    series_uid : str, optional
        Which DICOM series, where there are several.

    Returns
    -------
    Volume
        Voxels (z, y, x) in the axis order of the file, on a grid in LPS millimetres. Integers keep their type
        (int16 stays int16) unless the file scales them; everything else is float32.

    Raises
    ------
    FileError
        If the file is missing, empty, damaged, truncated, of an unknown kind, holds several volumes or several
        values per voxel, or voxels that are not finite.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_volume(Volume(np.zeros((4, 3, 2), np.int16), Grid.from_parts((4, 3, 2))), f"{folder}/a.nii.gz")
    ...     read_volume(f"{folder}/a.nii.gz").voxels.shape
    (4, 3, 2)
    """
    if _is_dicom(path, series_uid):
        scan = dicom.read_dicom(path, series_uid)
        _log_notes(path, scan.notes)
        return scan.volume
    file, suffix = _checked(path)
    volume = read_nifti(file) if suffix in _NIFTI else read_itk(file)
    if volume.voxels.dtype.kind == "f":
        bad = volume.voxels.size - np.count_nonzero(np.isfinite(volume.voxels))
        if bad:
            found = f"{bad} of {volume.voxels.size} that are not (NaN or infinite)"
            raise FileError(file, "finite voxels", found, "replace them in the image by what they stand for")
    return volume


def read_grid(path: str | Path, series_uid: str | None = None) -> Grid:
    """Read only where the voxels of an image lie, from its header; same parameters and errors as `read_volume`."""
    if _is_dicom(path, series_uid):
        stack, reasons = dicom.choose_stack(dicom.list_dicom(path), series_uid)
        _log_notes(path, reasons)
        return stack.grid
    file, suffix = _checked(path)
    return read_nifti_grid(file) if suffix in _NIFTI else read_itk_grid(file)


def read_label_names(path: str | Path) -> dict[int, str]:
    """Read the level names that `write_label_image` left in a NIfTI header: value -> name, empty if none."""
    file, suffix = _checked(path)
    return read_nifti_label_names(file) if suffix in _NIFTI else {}


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write a 3-D image; the format follows from the suffix, the file appears whole or not at all.

    NIfTI carries the matrix as sform and, where the axes are perpendicular, also as qform. bool is written as
    uint8, 64-bit integers as 32-bit ones, floats as float32.

    Parameters
    ----------
    volume : Volume
        What to write.
    path : str or Path
        Ends in ``.nii``, ``.nii.gz``, ``.mha``, ``.mhd`` (with a ``.raw`` beside it) or ``.nrrd``.

    Raises
    ------
    FileError
        If the suffix is unknown, the place cannot be written to, values do not fit, or the grid is sheared and the
        format not NIfTI.
    """
    file, suffix = Path(path), _suffix(path)
    prepared = _storable(volume, file)
    if suffix in _NIFTI:
        write_nifti(prepared, file)
    else:
        write_itk(prepared, file)


def write_label_image(
    labels: Volume, names: Mapping[int, str], path: str | Path, like: str | Path | None = None
) -> None:
    """Write a segmentation on the exact grid of the image it belongs to.

    Parameters
    ----------
    labels : Volume
        Integer voxels (z, y, x), 0 for background.
    names : mapping of int to str
        Value -> level name; kept in the header of NIfTI files (`read_label_names`).
    path : str or Path
        As in `write_volume`.
    like : str or Path, optional
        The image. Where both are NIfTI, matrices, codes and units are copied from it as they stand.

    Raises
    ------
    DataError
        If the labels are not integers, or their grid is not that of `like`.
    FileError
        As in `write_volume` and `read_volume`.
    """
    file, suffix = Path(path), _suffix(path)
    if labels.voxels.dtype.kind not in "iub":
        raise DataError(f"{file}: labels must be integers, got {labels.voxels.dtype}")
    prepared = _storable(labels, file)
    if like is not None and not read_grid(like).is_close(labels.grid):
        raise DataError(f"{file}: the labels do not lie on the grid of {like}; resample them onto it first")
    if suffix in _NIFTI:
        source = Path(like) if like is not None and _suffix(like) in _NIFTI else None
        write_nifti_labels(prepared, names, file, source)
    else:
        write_itk(prepared, file)


def image_stem(path: str | Path) -> str:
    """Name of an image file without its suffix: ``"a"`` for ``"dir/a.nii.gz"``."""
    return split_name(path, IMAGE_SUFFIXES)[0]


def _is_dicom(path: str | Path, series_uid: str | None) -> bool:
    known = split_name(path, IMAGE_SUFFIXES)[1]
    return series_uid is not None or (not known and dicom.may_be_dicom(Path(path)))


def _log_notes(path: str | Path, notes: Iterable[str]) -> None:
    for note in notes:
        _log.warning("%s: %s", path, note)


def _suffix(path: str | Path) -> str:
    suffix = split_name(path, IMAGE_SUFFIXES)[1]
    if not suffix:
        found = f"{''.join(Path(path).suffixes[-2:]) or 'no suffix'}"
        raise FileError(path, f"an image file ({', '.join(IMAGE_SUFFIXES)})", found, "convert the image")
    return suffix


def _checked(path: str | Path) -> tuple[Path, str]:
    file = Path(path)
    require_file(file, "an image file")
    return file, _suffix(file)


def _storable(volume: Volume, path: Path) -> Volume:
    kind = volume.voxels.dtype
    if kind.kind == "b":
        target: type = np.uint8
    elif kind.kind == "f":
        target = np.float32
    elif kind.kind in "iu" and kind.itemsize == 8:
        target = np.int32
    elif kind.kind in "iu":
        return volume
    else:
        raise FileError(path, "integers or floats to write", f"voxels of type {kind}", "convert them first")
    if target is np.int32 and not -(2**31) <= volume.voxels.min() <= volume.voxels.max() < 2**31:
        raise FileError(path, "integers of at most 32 bits", "larger ones", "convert them to floats first")
    return Volume(volume.voxels.astype(target, copy=False), volume.grid)
