"""Headers of MetaImage files (.mha, .mhd): where their voxels lie."""

from __future__ import annotations

import os
import re
from pathlib import Path

from regforest.errors import FileError
from regforest.io._voxel_files import Coding, VoxelFiles, beside

_MAX_HEADER_BYTES = 65_536
_BYTE_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
_DIMENSIONS = ("2", "3", "4")
_PATTERN = re.compile(r"[^%]*%0?[0-9]?d[^%]*")


def locate_meta_image(path: Path) -> VoxelFiles:
    """Read from the header where the voxels lie and how they are written.

    Raises
    ------
    FileError
        If the header is damaged, or voxels are missing, outside of its folder, or fewer than `CompressedDataSize`.
    """
    header, end = _header(path)
    if header.get("NDims") not in _DIMENSIONS:
        raise FileError(path, "NDims from 2 to 4", f"{header.get('NDims')!r}", "extract one volume")
    if not all(size.isdecimal() for size in header.get("DimSize", "none").split()):
        raise FileError(path, "whole numbers in DimSize", f"{header.get('DimSize')!r}", "repair the header")
    files = _data_files(path, header["ElementDataFile"], end)
    skipped = _skipped_bytes(path, header.get("HeaderSize", "0"))
    start = end if not files and skipped == 0 else skipped
    compressed, big_endian = _is_true(header, "CompressedData"), any(_is_true(header, key) for key in _BYTE_ORDER)
    if compressed:
        _compare_compressed_size(files[0] if files else path, header, start or 0)
    coding: Coding = "deflated" if compressed else "raw" if _is_true(header, "BinaryData") else "text"
    return VoxelFiles(path, tuple(files) or (path,), start, coding, big_endian)


def _is_true(header: dict[str, str], key: str) -> bool:
    return header.get(key, "").lower() in ("true", "1")


def _skipped_bytes(path: Path, size: str) -> int | None:
    """Bytes to pass over in each file; None for those that are to be counted from its end."""
    if size == "-1":
        return None
    if not size.isdecimal():
        raise FileError(path, "a HeaderSize of -1 or more", f"{size!r}", "repair the header")
    return int(size)


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
    files = [beside(path, name.strip()) for name in names if name.strip()]
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


def _compare_compressed_size(path: Path, header: dict[str, str], start: int) -> None:
    needed, present = header.get("CompressedDataSize", ""), path.stat().st_size - start
    if needed.isdecimal() and present < int(needed):
        expected = f"{needed} bytes of compressed voxels as its header says"
        raise FileError(path, expected, f"{present} bytes", "copy it again from its source")
