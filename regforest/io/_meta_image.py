"""MetaImage files on disk: whether they hold what their header says, and their voxels, mapped or inflated."""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.errors import FileError

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


def check_meta_image(path: Path) -> None:
    """Compare sizes on disk with the header: ITK fills what is missing with noise on stderr, or reads it as zeros."""
    header, end = _header(path)
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
    if not file.is_file() or file.stat().st_size - start != np.prod(shape_zyx) * np.dtype(kind).itemsize:
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
    if header.get("CompressedData", "").lower() != "true" or kind is None or not file.is_file():
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
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    mark = head.find(b"ElementDataFile")
    if mark < 0:
        found = "none (truncated, or a different file)"
        raise FileError(path, "a MetaImage header with ElementDataFile", found, "copy it again from its source")
    end = head.find(b"\n", mark) + 1 or len(head)
    # as file names are decoded, because one stands in it
    pairs = (line.partition("=") for line in os.fsdecode(head[:end]).splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}, end


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
        return
    width = np.dtype(kind).itemsize
    needed = int(np.prod(sizes, dtype=np.int64)) * channels * width
    if present != needed:
        factors = " x ".join(map(str, [*sizes, width]))
        expected = f"{needed} bytes of voxels as {header_file.name} says ({factors})"
        raise FileError(data_file, expected, f"{present} bytes", "copy header and voxels again from their source")
