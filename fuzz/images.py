"""Images with changed header bytes and cut off anywhere: ``python -m fuzz.images [--only .mha] [--every]``.

Each is read under a limit of memory and time. It has to give a `RegForestError` or a whole volume, and to leave its
folder as it was. Without ``--every`` each byte gets a few other values, and every third place is cut at.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import logging
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from regforest.errors import RegForestError
from regforest.io import IMAGE_SUFFIXES, read_grid, read_label_names, read_volume, write_volume
from regforest.spatial import Grid, Volume

_MEMORY_MB = 512  # beside what the libraries have taken
_SECONDS = 20
_FEW = (0x00, 0x7F, 0xFF, ord("9"), ord("%"), ord("\n"))
_HEADER_BYTES = {".nii": 352, ".nii.gz": 352, ".mha": 400, ".mhd": 400, ".nrrd": 400}


def main() -> int:
    """Print how many damaged files were read; an exception that is none of ours, or a crash, ends the process."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.images", description=__doc__)
    parser.add_argument("--only", choices=IMAGE_SUFFIXES, help="this format alone")
    parser.add_argument("--every", action="store_true", help="all values of all bytes, cut at every place")
    arguments = parser.parse_args()
    logging.disable()
    # dozing in C code is not interrupted by an exception: a reader that hangs ends the process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for suffix in [arguments.only] if arguments.only else IMAGE_SUFFIXES:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{suffix:8} {_read_all(Path(folder), suffix, arguments.every)} files", flush=True)
    return 0


def _read_all(folder: Path, suffix: str, every: bool) -> str:
    image = folder / f"a{suffix}"
    voxels = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
    write_volume(Volume(voxels, Grid.from_parts(voxels.shape, (1, 2, 3))), image)
    whole = image.read_bytes()
    _read(image)
    _limit_memory()
    names, read, refused = sorted(os.listdir(folder)), 0, 0
    for content in _damaged(whole, suffix, every):
        image.write_bytes(content)
        signal.alarm(_SECONDS)
        try:
            _read(image)
            read += 1
        except RegForestError:
            refused += 1
        except BaseException:
            print(f"{suffix}: {content[:500]!r}", file=sys.stderr)
            raise
        signal.alarm(0)
        if sorted(os.listdir(folder)) != names:
            raise AssertionError(f"{suffix}: reading wrote files: {sorted(os.listdir(folder))}")
    return f"{read + refused:7}, of which {refused} refused, {read} whole,"


def _read(image: Path) -> None:
    with contextlib.suppress(RegForestError):
        read_grid(image)
    with contextlib.suppress(RegForestError):
        read_label_names(image)
    volume = read_volume(image)
    if volume.voxels.shape != volume.grid.shape_zyx or not np.isfinite(volume.voxels).all():
        raise AssertionError(f"not a whole volume: {volume.voxels.shape} on {volume.grid.shape_zyx}")


def _damaged(whole: bytes, suffix: str, every: bool) -> Iterator[bytes]:
    packed = suffix == ".nii.gz"
    content = gzip.decompress(whole) if packed else whole
    for place in range(min(_HEADER_BYTES[suffix], len(content))):
        for value in range(256) if every else (*_FEW, content[place] ^ 1):
            if value != content[place]:
                changed = content[:place] + bytes([value]) + content[place + 1 :]
                yield gzip.compress(changed, 1) if packed else changed
    for place in range(0, len(whole), 1 if every else 3):
        yield whole[:place]
    if packed:
        yield from (whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :] for i in range(len(whole)))


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
