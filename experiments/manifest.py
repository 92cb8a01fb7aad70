"""What a result was made from: versions, settings, data, splits, time and memory."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import resource
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import regforest
from regforest.datasets import Case

__all__ = ["Stages", "differences", "fingerprint", "folder_fingerprint", "versions"]

_LIBRARIES = ("numpy", "scipy", "numba", "scikit-learn", "joblib", "nibabel", "SimpleITK", "matplotlib", "tqdm")
_HEAD_BYTES = 4096  # holds the header of every image format that is read here
_WHOLE_BYTES = 65536  # annotations are small: hashed as a whole up to this size


class Stages:
    """Seconds and memory of the stages of a run; seconds of folds that run side by side add up."""

    def __init__(self) -> None:
        self.record: dict[str, dict[str, float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure what happens inside and add it to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                entry = self.record.setdefault(stage, {"seconds": 0.0, "peak_memory_mb": 0.0})
                entry["seconds"] = round(entry["seconds"] + time.perf_counter() - start, 3)
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


def fingerprint(cases: Sequence[Case]) -> str:
    """Return a hash of the names, patients, file sizes, image headers and annotations of all cases.

    Where the files lie and when they were written does not matter, so a copy of a data set is the same data set.
    """
    digest = hashlib.sha256()
    for case in cases:
        digest.update(f"{case.name}\0{case.patient}\0".encode())
        for channel, path in sorted(case.image_files.items()):
            digest.update(f"{channel}\0".encode() + _head(path, _HEAD_BYTES))
        if case.annotation_file is not None:
            digest.update(_head(case.annotation_file, _WHOLE_BYTES))
    return digest.hexdigest()[:32]


def folder_fingerprint(files: Iterable[Path]) -> str:
    """Return a hash of the names and content of small files."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.name}\0".encode() + _head(path, _WHOLE_BYTES))
    return digest.hexdigest()[:32]


def differences(stored: Any, asked: Any, name: str = "") -> list[str]:
    """Say in words where two JSON values differ, key by key."""
    if isinstance(stored, Mapping) and isinstance(asked, Mapping):
        keys = sorted({*stored, *asked})
        return [
            line
            for key in keys
            for line in differences(stored.get(key), asked.get(key), f"{name}.{key}" if name else key)
        ]
    if stored == asked:
        return []
    return [f"{name}: {_short(stored)} there, {_short(asked)} now"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _head(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return f"{path.stat().st_size}\0".encode() + stream.read(count)
    except OSError:  # a case that cannot be read fails on its own later
        return b"unreadable"
