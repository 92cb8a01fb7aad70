"""MetaImage and NRRD through SimpleITK, whose world is LPS too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from regforest.errors import DataError, FileError
from regforest.io._atomic import staged
from regforest.spatial import Grid, Volume

_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4, "DOUBLE": 8}
_BYTES |= {"LONG_LONG": 8, "ULONG_LONG": 8}
_MAX_HEADER_BYTES = 65_536

# ITK talks to stderr about what the exceptions say already
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_itk(path: Path) -> Volume:
    """Read voxels and grid; integers stay as stored, floats become float32."""
    reader = _open(path)
    grid = _grid(path, reader)
    try:
        voxels = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    voxels = voxels.reshape(grid.shape_zyx)
    if not np.issubdtype(voxels.dtype, np.integer):
        with np.errstate(over="ignore"):  # beyond float32: reported as infinite by the caller
            voxels = voxels.astype(np.float32, copy=False)
    return Volume(np.ascontiguousarray(voxels), grid)


def read_itk_grid(path: Path) -> Grid:
    """Read the grid alone, from the header."""
    return _grid(path, _open(path))


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


def _open(path: Path) -> Any:
    if path.suffix.lower() in (".mhd", ".mha"):
        _check_meta_image(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return reader


def _grid(path: Path, reader: Any) -> Grid:
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


def _check_meta_image(path: Path) -> None:
    """Compare sizes on disk with the header: ITK fills what is missing with noise on stderr, or reads it as zeros."""
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    mark = head.find(b"ElementDataFile")
    if mark < 0:
        found = "none (truncated, or a different file)"
        raise FileError(path, "a MetaImage header with ElementDataFile", found, "copy it again from its source")
    end = head.find(b"\n", mark) + 1 or len(head)
    header = _fields(head[:end])
    data_file = header.get("ElementDataFile", "")
    compressed = header.get("CompressedData", "False").lower() == "true"
    if data_file.upper() == "LOCAL" and compressed:
        _compare_compressed_size(path, header, present=path.stat().st_size - end)
    if compressed or header.get("HeaderSize", "0") != "0":
        return
    if data_file.upper() == "LOCAL":
        _compare_size(path, path, header, present=path.stat().st_size - end)
    elif "%" not in data_file and data_file.upper() != "LIST":
        raw = path.parent / data_file
        if not raw.is_file():
            raise FileError(raw, f"the voxels that {path.name} points to", "nothing", "copy it beside its header")
        _compare_size(path, raw, header, present=raw.stat().st_size)


def _fields(head: bytes) -> dict[str, str]:
    # as file names are decoded, because one stands in it
    pairs = (line.partition("=") for line in os.fsdecode(head).splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _compare_compressed_size(path: Path, header: dict[str, str], present: int) -> None:
    needed = header.get("CompressedDataSize", "")
    if needed.isdecimal() and present < int(needed):
        expected = f"{needed} bytes of compressed voxels as its header says"
        raise FileError(path, expected, f"{present} bytes", "copy it again from its source")


def _compare_size(header_file: Path, data_file: Path, header: dict[str, str], present: int) -> None:
    width = _BYTES.get(header.get("ElementType", "").removeprefix("MET_"))
    try:
        sizes = [int(n) for n in header["DimSize"].split()]
        channels = int(header.get("ElementNumberOfChannels", "1"))
    except (KeyError, ValueError) as error:
        found = f"{header.get('DimSize', 'none')!r}"
        raise FileError(header_file, "whole numbers in DimSize", found, "repair the header") from error
    if width is None:
        return
    needed = int(np.prod(sizes, dtype=np.int64)) * channels * width
    if present != needed:
        factors = " x ".join(map(str, [*sizes, width]))
        expected = f"{needed} bytes of voxels as {header_file.name} says ({factors})"
        raise FileError(data_file, expected, f"{present} bytes", "copy header and voxels again from their source")


def _unreadable(path: Path, error: RuntimeError) -> FileError:
    found = f"a damaged, truncated or different file ({_last_line(error)})"
    return FileError(path, "an image that ITK can read", found, "copy it again from its source")


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1].strip()
