"""A header is believed only as far as the bytes in its file go: no memory is taken on its word alone."""

from __future__ import annotations

from pathlib import Path

from regforest.errors import FileError

_MAX_DEFLATE_RATIO = 1032  # what zlib and gzip reach on zeros (zlib's technical details)


def require_capacity(path: Path, needed: int, present: int, compressed: bool) -> None:
    """Raise `FileError` if `present` bytes cannot hold `needed` bytes of voxels, at the best compression."""
    if needed > present * (_MAX_DEFLATE_RATIO if compressed else 1):
        expected = f"{needed} bytes of voxels as its header says"
        found = f"{present} bytes" + (", too few even for the best compression" if compressed else "")
        raise FileError(path, expected, found, "copy it again from its source")
