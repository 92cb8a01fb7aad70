"""Whether a file is still the one it was, without reading all of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["fingerprint"]

_WHOLE_BYTES = 2**18  # annotations and headers are hashed as a whole up to this size
_BLOCK_BYTES = 4096
_BLOCKS = 64
_VOXELS_OF = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}


def fingerprint(files: Iterable[Path]) -> str:
    """Return a hash of the sizes and content of files, in the order given; of large ones, of blocks all over them.

    Voxels that lie in a file of their own beside a header count with it. Where the files lie and when they were
    written does not matter, so a copy is the same.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     a, b = Path(folder) / "a", Path(folder) / "b"
    ...     _ = a.write_text("same"), b.write_text("same")
    ...     fingerprint([a]) == fingerprint([b]) != fingerprint([a, b])
    True
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(_sampled(file))
        for suffix in _VOXELS_OF.get(file.suffix.lower(), ()):
            if os.path.isfile(file.with_suffix(suffix)):
                digest.update(_sampled(file.with_suffix(suffix)))
    return digest.hexdigest()[:32]


def _sampled(file: Path) -> bytes:
    if not os.path.isfile(file):  # a pipe, say, would be waited for
        return b"unreadable"
    try:
        with file.open("rb") as stream:
            size = file.stat().st_size
            if size <= _WHOLE_BYTES:
                return f"{size}\0".encode() + stream.read()
            parts = []
            for block in range(_BLOCKS):
                stream.seek(block * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
                parts.append(stream.read(_BLOCK_BYTES))
            return f"{size}\0".encode() + b"".join(parts)
    except OSError:  # a case that cannot be read fails on its own later
        return b"unreadable"
