"""Where a header says that its voxels lie, whether they can lie there, and how to get at them without ITK.

A header is believed only as far as the bytes in its files go: no memory is taken on its word alone. ITK fills with
zeros what is missing, and passes over what is too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from regforest.errors import FileError
from regforest.io._names import require_file

__all__ = ["Coding", "VoxelFiles", "beside", "require_capacity"]

Coding = Literal["raw", "deflated", "text"]
"""How voxels are written: as they lie in memory, compressed by zlib or gzip, or as text."""

_MAX_DEFLATE_RATIO = 1032  # what zlib and gzip reach on zeros (zlib's technical details)
_TEXT_GAIN = 4  # a digit and a blank may stand for a number of eight bytes
_ZLIB_OR_GZIP = isal_zlib.MAX_WBITS | 32
_COPY = "copy header and voxels again from their source"


@dataclass(frozen=True)
class VoxelFiles:
    """Voxels on disk, as a header describes them.

    Attributes
    ----------
    header : Path
        The file that says so.
    files : tuple of Path
        What holds them, in order: the header's own file, one beside it, or one for each of several blocks.
    start : int or None
        Byte of each file at which they begin; None where they are its last ones.
    coding : {"raw", "deflated", "text"}
        How they are written.
    big_endian : bool
        Whether the most significant byte of raw or deflated numbers comes first.
    """

    header: Path
    files: tuple[Path, ...]
    start: int | None
    coding: Coding
    big_endian: bool = False

    def require(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Raise `FileError` unless the files can hold voxels of a shape and type: raw ones, to the byte."""
        needed = prod(shape) * dtype.itemsize
        if self.coding != "raw":
            gain = 1 if self.coding == "deflated" else _TEXT_GAIN
            present = gain * sum(file.stat().st_size for file in self.files)
            require_capacity(self.files[0], needed, present, self.coding == "deflated")
            return
        share = needed / len(self.files)
        for file in self.files:
            present = file.stat().st_size - (self.start or 0)
            if present < share or (present > share and self.start is not None):
                factors = " x ".join(map(str, (*shape, dtype.itemsize)))
                among = f", in {len(self.files)} files" if len(self.files) > 1 else ""
                expected = f"{share:.0f} bytes of voxels as {self.header.name} says ({factors}{among})"
                raise FileError(file, expected, f"{present} bytes", _COPY)

    def read(self, shape_zyx: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """Map raw voxels into memory, or inflate deflated ones.

        What is mapped and not used is not read, and what is written to it stays in memory.

        Returns
        -------
        ndarray, shape `shape_zyx`, or None
            None where ITK has to read them: in several files, of another byte order, as text.

        Raises
        ------
        FileError
            If deflated voxels are damaged, or more or fewer than the shape says.
        """
        if len(self.files) > 1 or self.start is None or self.coding == "text":
            return None
        if self.coding == "deflated":
            return self._inflated(shape_zyx, dtype.newbyteorder(">" if self.big_endian else "<"))
        if self.big_endian and dtype.itemsize > 1:
            return None
        try:
            return np.memmap(self.files[0], dtype, mode="c", offset=self.start, shape=shape_zyx)
        except OSError:  # larger than the memory, or on a file system without maps
            return None

    def _inflated(self, shape_zyx: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        needed = prod(shape_zyx) * dtype.itemsize
        expected = f"{needed} bytes of voxels, compressed, as {self.header.name} says"
        file = self.files[0]
        try:
            # one byte more than is needed tells voxels that are too many; no more memory is ever taken
            stream = isal_zlib.decompressobj(_ZLIB_OR_GZIP)
            voxels = stream.decompress(file.read_bytes()[self.start :], needed + 1)
        except isal_zlib.error as error:
            raise FileError(file, expected, f"damaged ones ({error})", "copy it again from its source") from error
        if len(voxels) != needed or not stream.eof:
            found = f"{len(voxels)} bytes" + ("" if stream.eof else " of a stream that does not end there")
            raise FileError(file, expected, found, _COPY)
        return np.frombuffer(bytearray(voxels), dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape_zyx)


def beside(header: Path, name: str) -> Path:
    """Return the file that a header names; raises `FileError` unless it lies in the header's folder or below."""
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        advice = "copy the voxels beside the header and name them so"
        raise FileError(header, "voxels in the folder of the header or below it", f"{name!r}", advice)
    file = header.parent / name
    require_file(file, f"the voxels that {header.name} points to")
    return file


def require_capacity(path: Path, needed: int, present: int, compressed: bool) -> None:
    """Raise `FileError` if `present` bytes cannot hold `needed` bytes of voxels, at the best compression."""
    if needed > present * (_MAX_DEFLATE_RATIO if compressed else 1):
        expected = f"{needed} bytes of voxels as its header says"
        found = f"{present} bytes" + (", too few even for the best compression" if compressed else "")
        raise FileError(path, expected, found, "copy it again from its source")
