"""Peak memory of one side of a benchmark, measured in a process of its own: this module's own command."""

from __future__ import annotations

import importlib
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scales import SCALES, Scale

__all__ = ["peak_memory_mb", "peak_so_far_mb"]

Prepare = Callable[..., Callable[[], Any]]


def peak_memory_mb(prepare: Prepare, scale: Scale, *arguments: str) -> float:
    """Peak resident memory of a fresh process that prepares a case and runs it once, interpreter and inputs included.

    `prepare` is a function of a module: called with the scale and the arguments it returns what is to be run.
    """
    case = f"{prepare.__module__}:{prepare.__qualname__}"
    command = [sys.executable, "-m", __name__, case, scale.name, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def peak_so_far_mb() -> float:
    """Peak resident memory of this process.

    On Linux from its own memory map: ``ru_maxrss`` outlives exec, so that the child of a large process would be
    charged with its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _main(case: str, scale: str, *arguments: str) -> None:
    module, name = case.split(":")
    run = getattr(importlib.import_module(module), name)(SCALES[scale], *arguments)
    run()
    print(peak_so_far_mb())


if __name__ == "__main__":
    _main(*sys.argv[1:])
