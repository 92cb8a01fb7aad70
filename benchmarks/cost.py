"""What labelling costs, fitted on measured scans, and what many scans will take: ``python -m benchmarks.cost``.

Each image is read, labelled and written in one thread, in turn. Seconds are those of the processor, so that what else
the machine does counts little; memory is the bound that is computed beforehand, beside interpreter and model.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from regforest._memory import resident_mb
from regforest.datasets import open_dataset
from regforest.io import read_grid, read_volume, write_json, write_landmarks
from regforest.spatial import Volume
from regforest.vertebrae import VertebraLocalizer

__all__ = ["Scan", "fitted", "measured"]

_SCANS = (224, 10_000, 1_000_000)
_CORES = (2, 16, 128, 1024)
_UNITS = (
    (1 / 30, "s", 3600.0),
    (2.0, "min", 60.0),
    (72.0, "h", 1.0),
    (float("inf"), "days", 1 / 24),
)  # up to these hours


@dataclass(frozen=True)
class Scan:
    """What one image cost.

    Attributes
    ----------
    voxels_m : float
        Millions of voxels of the file.
    work_m : float
        Millions of voxels of the working image.
    seconds : float
        Of the processor.
    memory_mb : float
        Bound computed beforehand; `tests/vertebrae/test_memory.py` compares it with what is taken.
    read_mb, written_mb : float
        Bytes of the image file, and of the results.
    """

    voxels_m: float
    work_m: float
    seconds: float
    memory_mb: float
    read_mb: float
    written_mb: float


def measured(localizer: VertebraLocalizer, image: Path, folder: Path) -> Scan:
    """Label an image as ``regforest label`` does."""
    start = time.process_time()
    volume = read_volume(image)
    found = localizer.localize(volume)
    write_landmarks(found.landmarks, folder / "a.lml", volume.grid)
    write_landmarks(found.landmarks, folder / "a.mrk.json", volume.grid)
    write_json(folder / "a.json", found.to_json(str(image)))
    seconds = time.process_time() - start
    grid = read_grid(image)
    work = grid.canonical().isotropic(localizer.settings.spacing_mm)
    return Scan(
        voxels_m=volume.voxels.size / 1e6,
        work_m=float(np.prod(work.shape_zyx)) / 1e6,
        seconds=seconds,
        memory_mb=localizer.memory_need(grid, volume.voxels.dtype.itemsize).most_mb,
        read_mb=_stored_mb(image, volume),
        written_mb=sum(file.stat().st_size for file in folder.iterdir()) / 1e6,
    )


def fitted(scans: Sequence[Scan], quantity: str) -> NDArray[np.float64]:
    """Fit ``a + b * voxels_m + c * work_m`` (a, b, c not negative) to a quantity by least squares."""
    from scipy.optimize import nnls

    rows = np.array([[1.0, scan.voxels_m, scan.work_m] for scan in scans])
    return np.asarray(nnls(rows, np.array([getattr(scan, quantity) for scan in scans]))[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, fit, and print Markdown."""
    options = _parser().parse_args(arguments)
    localizer = VertebraLocalizer.load(options.model)
    cases = open_dataset(options.data, "auto").cases[: options.limit]
    images = [next(iter(case.image_files.values())) for case in cases]
    with tempfile.TemporaryDirectory() as name:
        measured(localizer, images[0], Path(name))  # compiles
        scans = [measured(localizer, image, Path(name)) for image in images]
    print(_text(scans, Path(options.model).stat().st_size / 1e6, resident_mb()))
    return 0


def _text(scans: Sequence[Scan], model_mb: float, resident: float) -> str:
    machine = describe_machine()
    lines = [
        f"{len(scans)} scans of {_range(scans, 'voxels_m')} million voxels, {machine['processor']}.", "",
        "| of a scan | fixed | for a million voxels of the file | of the working image | measured |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    names = {
        "seconds": "processor seconds", "memory_mb": "memory, MB", "read_mb": "read, MB", "written_mb": "written, MB"
    }  # fmt: skip
    for quantity, words in names.items():
        cells = " | ".join(f"{value:.3g}" for value in fitted(scans, quantity))
        lines.append(f"| {words} | {cells} | {_range(scans, quantity)} |")
    columns = " | ".join(f"{cores} cores" for cores in _CORES)
    lines += [
        "",
        f"Once for each process: {resident:.0f} MB for interpreter, libraries, model; {model_mb:.1f} MB to read.",
        "",
        f"| scans of the mean size | {columns} | read, GB |",
        "|---|" + "---|" * (len(_CORES) + 1),
    ]  # fmt: skip
    seconds, read = (float(np.mean([getattr(scan, name) for scan in scans])) for name in ("seconds", "read_mb"))
    for count in _SCANS:
        cells = " | ".join(_duration(count * seconds / cores / 3600) for cores in _CORES)
        lines.append(f"| {count:,} | {cells} | {count * read / 1e3:,.0f} |".replace(",", " "))
    return "\n".join(lines)


def _range(scans: Sequence[Scan], quantity: str) -> str:
    values = [getattr(scan, quantity) for scan in scans]
    return f"{min(values):.2g} to {max(values):.2g}"


def _duration(hours: float) -> str:
    _, unit, factor = next(row for row in _UNITS if hours < row[0])
    value = hours * factor
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def _stored_mb(image: Path, volume: Volume) -> float:
    size = image.stat().st_size
    return (volume.voxels.nbytes if image.suffix == ".mhd" else size) / 1e6


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--model", required=True, metavar="FILE", help="of regforest train vertebrae")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data set of scans of several sizes")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N scans only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
