"""MetaImage and NRRD through SimpleITK, whose world is LPS too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from regforest.errors import DataError, FileError
from regforest.io._atomic import staged
from regforest.io._meta_image import locate_meta_image
from regforest.io._nrrd import check_space, locate_nrrd
from regforest.io._voxel_files import VoxelFiles
from regforest.spatial import Grid, Volume

_META_IMAGE = (".mhd", ".mha")
_NUMBER = re.compile(r"(\d+)-bit (signed integer|unsigned integer|float)")
_WHO = re.compile(r"^ITK ERROR: \w+\(0x[0-9a-f]+\): ")  # class and address of the object
_KINDS = {"signed integer": "i", "unsigned integer": "u", "float": "f"}

# ITK talks to stderr about what the exceptions say already
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_itk(path: Path) -> Volume:
    """Read voxels and grid; integers stay as stored, floats become float32.

    Voxels that lie open in a file are mapped into memory.
    """
    reader, stored = _open(path)
    grid = _grid(path, reader)
    voxels = stored.read(grid.shape_zyx, _number_type(path, reader))
    if voxels is None:
        try:
            voxels = sitk.GetArrayFromImage(reader.Execute()).reshape(grid.shape_zyx)
        except RuntimeError as error:
            raise _unreadable(path, error) from error
    if not np.issubdtype(voxels.dtype, np.integer):
        with np.errstate(over="ignore"):  # beyond float32: reported as infinite by the caller
            voxels = voxels.astype(np.float32, copy=False)
    return Volume(np.ascontiguousarray(voxels), grid)


def read_itk_grid(path: Path) -> Grid:
    """Read the grid alone, from the header."""
    return _grid(path, _open(path)[0])


def write_itk(volume: Volume, path: Path) -> None:
    """Write a grid with perpendicular axes; others cannot be told to ITK."""
    if not volume.grid.is_orthogonal:
        raise FileError(path, "a grid with perpendicular axes", "a sheared one", "write NIfTI, or resample first")
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels))
    image.SetSpacing(volume.grid.spacing_mm.tolist())
    image.SetOrigin(volume.grid.origin_mm.tolist())
    image.SetDirection(volume.grid.direction.ravel().tolist())
    with staged(path) as target:
        try:
            sitk.WriteImage(image, str(target), useCompression=path.suffix.lower() == ".nrrd")
        except RuntimeError as error:
            raise FileError(path, "an image that ITK can write", _last_line(error)) from error


def _open(path: Path) -> tuple[Any, VoxelFiles]:
    stored = locate_meta_image(path) if path.suffix.lower() in _META_IMAGE else locate_nrrd(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    channels = reader.GetNumberOfComponents()
    shape = (*reader.GetSize(), *([channels] if channels > 1 else []))
    stored.require(shape, _number_type(path, reader))  # ITK takes the memory before it reads the first voxel
    return reader, stored


def _number_type(path: Path, reader: Any) -> np.dtype[Any]:
    text = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    found = _NUMBER.search(text)
    if found is None:
        raise FileError(path, "integers or floats as voxels", text, "convert it to a grey image")
    return np.dtype(f"{_KINDS[found[2]]}{int(found[1]) // 8}")


def _grid(path: Path, reader: Any) -> Grid:
    if path.suffix.lower() not in _META_IMAGE:
        check_space(path, sitk.Version_VersionString())
    count, size = reader.GetNumberOfComponents(), reader.GetSize()
    if count != 1:
        raise FileError(path, "one value per voxel", f"{count} components", "convert it to a grey image")
    if len(size) < 2 or any(n != 1 for n in size[3:]):
        raise FileError(path, "one 3-D image", f"an image of size {size} (x, y, z, ...)", "extract one volume")
    dimension = min(len(size), 3)
    direction = np.eye(3)
    axes = np.asarray(reader.GetDirection()).reshape(len(size), len(size))
    direction[:dimension, :dimension] = axes[:dimension, :dimension]
    size_xyz = (*size[:3], 1)[:3]
    spacing = (*reader.GetSpacing()[:3], 1.0)[:3]
    origin = (*reader.GetOrigin()[:3], 0.0)[:3]
    try:
        return Grid.from_parts(size_xyz[::-1], spacing, origin, direction)
    except DataError as error:
        raise FileError(path, "a header with a usable geometry", str(error), "repair its header") from error


def _unreadable(path: Path, error: RuntimeError) -> FileError:
    found = f"a damaged, truncated or different file ({_last_line(error)})"
    return FileError(path, "an image that ITK can read", found, "copy it again from its source")


def _last_line(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines()]
    told = [line for line in lines if not line.startswith("Reason: ")]  # of the operating system, about another call
    return _WHO.sub("", (told or lines)[-1])
