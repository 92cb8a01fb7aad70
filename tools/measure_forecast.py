"""Time and memory of the commands that the command line forecasts, beside the forecast.

``python -m tools.measure_forecast`` prints the table that the constants of ``regforest.cli._forecast`` come from. It
works on phantoms in a temporary folder, on a machine that should have nothing else to do, for some ten minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from regforest.cli._forecast import Forecast, will_label, will_make, will_train
from regforest.cli._inputs import cases_of, images_of
from regforest.cli._parser import available_cpus
from regforest.datasets import open_dataset
from regforest.datasets.phantoms.ct import DEFAULT_MATRIX

_JOBS = available_cpus()


def main() -> None:
    """Make phantoms, train on some of them, label the others; print a row for each command."""
    print(f"{'command':<34}{'CPU s':>9}{'s':>7}{'forecast':>9}{'MB':>8}{'forecast':>9}")
    with tempfile.TemporaryDirectory() as folder:
        _vertebrae(Path(folder))
        _discs(Path(folder))


def _vertebrae(root: Path) -> None:
    for name, count, matrix in (("small", 24, 128), ("large", 4, 512)):
        command = ("phantom", "ct", "-n", count, "--matrix", matrix, "-o", root / name)
        _row(f"phantom ct, {count} {name}", will_make("ct", count, _JOBS, (matrix / DEFAULT_MATRIX) ** 2), *command)
    for count in (12, 24):
        cases = open_dataset(root / "small").cases[:count]
        command = ("train", "vertebrae", "--data", root / "small", "--limit", count, "-o", root / f"{count}.rfm")
        _row(f"train vertebrae, {count} scans", will_train(cases, "vertebrae", _JOBS), *command)
    for name in ("small", "large"):
        images = sorted((root / name).rglob("*.mhd"))[:12]
        command = ("label", *images, "-o", root / f"of_{name}", "--model", root / "12.rfm")
        _row(f"label, {len(images)} {name}", will_label(images_of(images), "label", _JOBS), *command)


def _discs(root: Path) -> None:
    for contrast in ("dixon", "t2"):
        data, model = root / contrast, root / f"{contrast}.rfm"
        command = ("phantom", "mr", "-n", 8, "--contrast", contrast, "-o", data)
        _row(f"phantom mr, 8 {contrast}", will_make("mr", 8, _JOBS), *command)
        cases = open_dataset(data).cases
        command = ("train", "discs", "--data", data, "-o", model)
        _row(f"train discs, 8 {contrast}", will_train(cases, "discs", _JOBS), *command)
        images = sorted(data.rglob("*_???.nii*")) or sorted(data.glob("*/image.nii.gz"))
        command = ("discs", *images, "-o", root / f"of_{contrast}", "--model", model)
        _row(f"discs, 8 {contrast}", will_label(cases_of(images), "discs", _JOBS), *command)


def _row(name: str, forecast: Forecast, *arguments: object) -> None:
    cpu_s, seconds, memory_mb = _run(*arguments)
    took = f"{cpu_s:>9.0f}{seconds:>7.0f}{forecast.seconds:>9.0f}"
    print(f"{name:<34}{took}{memory_mb:>8.0f}{forecast.memory_mb:>9.0f}", flush=True)


def _run(*arguments: object) -> tuple[float, float, float]:
    """Run a command to its end; return seconds of all cores, seconds, and the most memory it held, in MB."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "regforest", *map(str, arguments), "-q"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - start, used.ru_maxrss / 1000


if __name__ == "__main__":
    main()
