"""What a result was made from: versions, settings, data, splits, time and memory."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import regforest
from regforest.datasets import Case
from regforest.io import fingerprint

__all__ = ["Stages", "data_fingerprint", "folder_fingerprint", "versions"]

_LIBRARIES = ("numpy", "scipy", "numba", "scikit-learn", "joblib", "nibabel", "SimpleITK", "matplotlib", "tqdm")


class Stages:
    """Seconds and memory of the stages of a run; seconds of work that goes on side by side add up."""

    def __init__(self) -> None:
        self.record: dict[str, dict[str, float]] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure what happens inside and add it to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Add what was measured elsewhere."""
        entry = self.record.setdefault(stage, {"seconds": 0.0, "peak_memory_mb": 0.0})
        entry["seconds"] = round(entry["seconds"] + seconds, 3)
        entry["peak_memory_mb"] = peak_memory_mb()


def peak_memory_mb() -> float:
    """Return the highest resident memory of this process so far, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of the libraries that decide its numbers."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {
        "regforest": regforest.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **libraries,
    }


def data_fingerprint(cases: Sequence[Case]) -> str:
    """Return a hash of the names, patients, images and annotations of all cases; see `regforest.io.fingerprint`."""
    digest = hashlib.sha256()
    for case in cases:
        channels = sorted(case.image_files.items())
        annotation = [] if case.annotation_file is None else [case.annotation_file]
        names = "\0".join([case.name, case.patient, *(channel for channel, _ in channels)])
        digest.update(f"{names}\0{fingerprint([*(path for _, path in channels), *annotation])}\0".encode())
    return digest.hexdigest()[:32]


def folder_fingerprint(files: Iterable[Path]) -> str:
    """Return a hash of the names and content of files."""
    paths = sorted(files)
    return hashlib.sha256("\0".join([*(path.name for path in paths), fingerprint(paths)]).encode()).hexdigest()[:32]
