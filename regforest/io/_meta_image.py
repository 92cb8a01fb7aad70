"""MetaImage files on disk: whether they hold what their header says, and their voxels, mapped or inflated."""

from __future__ import annotations

import math
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.errors import FileError
from regforest.io._names import require_file, require_inside

_TYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "<i2", "USHORT": "<u2", "INT": "<i4", "UINT": "<u4", "LONG_LONG": "<i8",
    "ULONG_LONG": "<u8", "FLOAT": "<f4", "DOUBLE": "<f8",
}  # fmt: skip
# header values, in lower case, of voxels that lie in the file as they do in memory
_OPEN = {
    "BinaryData": "true", "BinaryDataByteOrderMSB": "false", "ElementByteOrderMSB": "false",
    "CompressedData": "false", "HeaderSize": "0", "ElementNumberOfChannels": "1",
}  # fmt: skip
_MAX_HEADER_BYTES = 65_536
_BYTE_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_DIMENSIONS = ("2", "3", "4")
_PATTERN = re.compile(r"[^%]*%0?[0-9]?d[^%]*")


def check_meta_image(path: Path) -> tuple[int, bool]:
    """Compare sizes on disk with the header: ITK fills what is missing with noise on stderr, or reads it as zeros.

    Returns
    -------
    present : int
        Bytes that there are for the voxels.
    compressed : bool
        Whether they have to be inflated.

    Raises
    ------
    FileError
        If the header is damaged, or its voxels are missing, of another size or outside of its folder.
    """
    header, end = _header(path)
    if header.get("NDims") not in _DIMENSIONS:
        raise FileError(path, "NDims from 2 to 4", f"{header.get('NDims')!r}", "extract one volume")
    compressed = header.get("CompressedData", "False").lower() == "true"
    files = _data_files(path, header["ElementDataFile"], end)
    present = sum(file.stat().st_size for file in files) if files else path.stat().st_size - end
    if compressed:
        _compare_compressed_size(files[0] if files else path, header, present)
    elif header.get("HeaderSize", "0") == "0" and len(files) < 2:
        _compare_size(path, files[0] if files else path, header, present)
    return present, compressed


def map_meta_image(path: Path, shape_zyx: tuple[int, int, int]) -> NDArray[Any] | None:
    """Map the voxels into memory: what is not used is not read, what is written stays in memory.

    Returns
    -------
    ndarray, shape `shape_zyx`, or None
        None where ITK has to read them: compressed, in slices, of another byte order, type or size.
    """
    header, end = _header(path)
    kind = _TYPES.get(header.get("ElementType", "").removeprefix("MET_"))
    if kind is None or any(header.get(key, value).lower() != value for key, value in _OPEN.items()):
        return None
    data_file = header.get("ElementDataFile", "")
    file, start = (path, end) if data_file.upper() == "LOCAL" else (path.parent / data_file, 0)
    # reading a map beyond the end of its file would end the process
    if not os.path.isfile(file) or file.stat().st_size - start != np.prod(shape_zyx) * np.dtype(kind).itemsize:
        return None
    try:
        return np.memmap(file, kind, mode="c", offset=start, shape=shape_zyx)
    except OSError:  # larger than the memory, or on a file system without maps
        return None


def inflate_meta_image(path: Path, shape_zyx: tuple[int, int, int]) -> NDArray[Any] | None:
    """Read compressed voxels of one file; ITK would fill with zeros what they are too short for.

    Returns
    -------
    ndarray, shape `shape_zyx`, or None
        None where ITK has to read them: not compressed, in slices, or of an unknown type.

    Raises
    ------
    FileError
        If the voxels are damaged, or more or fewer than the header says.
    """
    header, end = _header(path)
    kind = _TYPES.get(header.get("ElementType", "").removeprefix("MET_"))
    data_file = header.get("ElementDataFile", "")
    file, start = (path, end) if data_file.upper() == "LOCAL" else (path.parent / data_file, 0)
    if header.get("CompressedData", "").lower() != "true" or kind is None or not os.path.isfile(file):
        return None
    most_significant_first = any(header.get(key, "").lower() == "true" for key in _BYTE_ORDER)
    dtype = np.dtype(kind).newbyteorder(">" if most_significant_first else "<")
    needed = math.prod(shape_zyx) * dtype.itemsize
    expected = f"{needed} bytes of voxels, compressed, as {path.name} says"
    try:
        # one byte more than is needed tells voxels that are too many; no more memory is ever taken
        stream = zlib.decompressobj(_ZLIB_OR_GZIP)
        voxels = stream.decompress(file.read_bytes()[start:], needed + 1)
    except zlib.error as error:
        raise FileError(file, expected, f"damaged ones ({error})", "copy it again from its source") from error
    if len(voxels) != needed or not stream.eof:
        found = f"{len(voxels)} bytes" + ("" if stream.eof else " of a stream that does not end there")
        raise FileError(file, expected, found, "copy header and voxels again from their source")
    return np.frombuffer(bytearray(voxels), dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape_zyx)


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Fields of the header, and where it ends."""
    header: dict[str, str] = {}
    end = 0
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    for line in head.splitlines(keepends=True):
        end += len(line)
        # as file names are decoded, because one stands in it
        key, _, value = (part.strip() for part in os.fsdecode(line).partition("="))
        if key in header:
            raise FileError(path, f"{key} once in the header", "two of them", "repair the header")
        header[key] = value
        if key == "ElementDataFile":
            return header, end
    found = "none (truncated, or a different file)"
    raise FileError(path, "a MetaImage header with ElementDataFile", found, "copy it again from its source")


def _data_files(path: Path, value: str, end: int) -> list[Path]:
    """Files with the voxels, none where they follow the header; all exist, in the folder of the header or below."""
    if value.upper() == "LOCAL":
        return []
    if value.upper().startswith("LIST"):
        names = os.fsdecode(path.read_bytes()[end:]).splitlines()
    elif "%" in value:
        names = _numbered(path, value)
    else:
        names = [value]
    names = [name.strip() for name in names if name.strip()]
    files = [path.parent / name for name in names]
    for name, file in zip(names, files, strict=True):
        require_inside(path, name)
        require_file(file, f"the voxels that {path.name} points to")
    if not files:
        raise FileError(path, "a file with voxels", "none", "repair the header")
    return files


def _numbered(path: Path, value: str) -> list[str]:
    """Names of slices, from a pattern such as ``slice%03d.raw 1 40 1``; ITK hands the pattern to C as it stands."""
    pattern, *numbers = value.split()
    if not _PATTERN.fullmatch(pattern) or len(numbers) > 3 or not all(n.isdecimal() and len(n) < 7 for n in numbers):
        raise FileError(path, "a pattern such as slice%03d.raw 1 40 1", f"{value!r}", "write one number as %d")
    first, last, step = (*map(int, numbers), *(1, 1, 1)[len(numbers) :])
    return [pattern % number for number in range(first, last + 1, max(step, 1))]


def _compare_compressed_size(path: Path, header: dict[str, str], present: int) -> None:
    needed = header.get("CompressedDataSize", "")
    if needed.isdecimal() and present < int(needed):
        expected = f"{needed} bytes of compressed voxels as its header says"
        raise FileError(path, expected, f"{present} bytes", "copy it again from its source")


def _compare_size(header_file: Path, data_file: Path, header: dict[str, str], present: int) -> None:
    kind = _TYPES.get(header.get("ElementType", "").removeprefix("MET_"))
    try:
        sizes = [int(n) for n in header["DimSize"].split()]
        channels = int(header.get("ElementNumberOfChannels", "1"))
    except (KeyError, ValueError) as error:
        found = f"{header.get('DimSize', 'none')!r}"
        raise FileError(header_file, "whole numbers in DimSize", found, "repair the header") from error
    if kind is None:
        raise FileError(
            header_file, "a type of numbers", f"{header.get('ElementType', 'none')!r}", "repair the header"
        )
    width = np.dtype(kind).itemsize
    needed = math.prod(sizes) * channels * width
    if present != needed:
        factors = " x ".join(map(str, [*sizes, width]))
        expected = f"{needed} bytes of voxels as {header_file.name} says ({factors})"
        raise FileError(data_file, expected, f"{present} bytes", "copy header and voxels again from their source")
