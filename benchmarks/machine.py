"""What a table of times is worthless without: the machine, and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from pathlib import Path

import numpy as np

from benchmarks.timing import seconds_of

__all__ = ["describe_machine", "describe_versions"]

_PACKAGES = (
    "numpy", "numba", "scipy", "scikit-learn", "joblib", "SimpleITK", "scikit-learn-intelex", "onnxruntime",
    "skl2onnx",
)  # fmt: skip


def describe_machine() -> dict[str, str]:
    """Processor, memory and system; nothing that names the machine."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "memcpy, one core": f"{_memcpy_gb_per_s():.1f} GB/s read and written",
        "system": f"{platform.system()} {platform.machine()}",
    }


def describe_versions() -> dict[str, str]:
    """Python and the packages that the times depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    fields = [line.partition(":") for line in file.read_text().splitlines()]
    values = {name.strip(): value.strip() for name, _, value in fields}
    model = values.get("model name", platform.machine())
    wide = "with AVX-512" if "avx512f" in values.get("flags", "") else "without AVX-512"
    return f"{model} ({wide})"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, AttributeError):
        return "unknown"


def _memcpy_gb_per_s() -> float:
    source = np.ones(32_000_000)
    target = np.empty_like(source)
    np.copyto(target, source)
    seconds = statistics.median(seconds_of(lambda: np.copyto(target, source)) for _ in range(5))
    return 2 * source.nbytes / seconds / 1e9
