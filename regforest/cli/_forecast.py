"""How long a command will take and how much memory, said before it begins.

A straight line through what ``python -m tools.measure_forecast`` printed: seconds of all cores, halved, since the
machine with 2 cores had other work to do. It tells seconds from minutes from hours; the bars of progress say it
better once the first cases are done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from regforest.cli._batch import detail, say

if TYPE_CHECKING:
    from regforest.cli._inputs import Input
    from regforest.datasets import Case

__all__ = ["Forecast", "say_forecast", "will_label", "will_make", "will_train"]

_WORTH_SAYING_S = 10.0
_SAMPLE = 16  # headers that are looked at
_MEASURED_JOBS, _DIVIDED = 2, 0.8  # threads of the measurement, and the share of its time that more would divide


class _Cost(NamedTuple):
    """Of a run; of each case; of each litre of the patient, and million voxels in files, that one case shows."""

    run: float
    case: float
    litre: float
    mega_voxel: float


_SECONDS = {
    "label": _Cost(2, 0.17, 0.02, 0.001),
    "discs": _Cost(3, 7, 0, 0.1),
    "train vertebrae": _Cost(14, 1.3, 0, 0.02),
    "train discs": _Cost(3, 2.5, 0, 0.35),
    "phantom ct": _Cost(3, 0.9, 0, 0),
    "phantom mr": _Cost(3, 1, 0, 0),
    "phantom lumbar-mri": _Cost(3, 2, 0, 0),
}
_MEGABYTES = {
    "label": _Cost(420, 0, 4, 2),
    "discs": _Cost(900, 0, 0, 22),
    "train vertebrae": _Cost(400, 9, 0, 2),
    "train discs": _Cost(600, 60, 0, 50),
    "phantom ct": _Cost(340, 12, 0, 0),  # of a process; a scan at a time
    "phantom mr": _Cost(640, 0, 0, 0),
    "phantom lumbar-mri": _Cost(640, 0, 0, 0),
}


@dataclass(frozen=True)
class Forecast:
    """What a command will take.

    Attributes
    ----------
    cases : int
        How many it works on.
    seconds, memory_mb : float
    jobs : int
        Threads.
    """

    cases: int
    seconds: float
    memory_mb: float
    jobs: int


def will_label(cases: Sequence[Input], command: str, jobs: int) -> Forecast:
    """Forecast ``label`` or ``discs`` from the headers of a few images."""
    return _forecast([case.files for case in cases], command, jobs)


def will_train(cases: Sequence[Case], what: str, jobs: int) -> Forecast:
    """Forecast ``train vertebrae`` or ``train discs`` from the headers of a few scans."""
    return _forecast([case.image_files for case in cases], f"train {what}", jobs)


def will_make(what: str, count: int, jobs: int, size: float = 1.0) -> Forecast:
    """Forecast ``phantom``: ``ct``, ``mr`` or ``lumbar-mri``; a scan has `size` times as many voxels as usual."""
    time, memory = _SECONDS[f"phantom {what}"], _MEGABYTES[f"phantom {what}"]
    work_s = time.run + count * time.case * size
    return Forecast(count, _divided(work_s, jobs), jobs * (memory.run + memory.case * size), jobs)


def say_forecast(forecast: Forecast) -> None:
    """Write the forecast to the log if it is worth waiting for."""
    text = (
        f"forecast: {forecast.cases} cases on {forecast.jobs} threads take about {_duration(forecast.seconds)} "
        f"and {forecast.memory_mb / 1000:.1f} GB of memory"
    )
    (say if forecast.seconds >= _WORTH_SAYING_S else detail)(text)


def _forecast(cases: Sequence[Mapping[str, Path]], command: str, jobs: int) -> Forecast:
    count, time, memory = len(cases), _SECONDS[command], _MEGABYTES[command]
    sizes = _sizes(cases)
    litres, mega_voxels = (sum(values) / len(sizes) for values in zip(*sizes, strict=True))
    work_s = time.run + count * (time.case + time.litre * litres + time.mega_voxel * mega_voxels)
    litres, mega_voxels = (max(values) for values in zip(*sizes, strict=True))
    memory_mb = memory.run + memory.case * count + memory.litre * litres + memory.mega_voxel * mega_voxels
    return Forecast(count, _divided(work_s, jobs), memory_mb, jobs)


def _divided(work_s: float, jobs: int) -> float:
    return work_s * (1 - _DIVIDED + _DIVIDED * _MEASURED_JOBS / jobs)


def _sizes(cases: Sequence[Mapping[str, Path]]) -> list[tuple[float, float]]:
    """Litres and millions of voxels of a few cases, evenly chosen; what cannot be read fails later, by name."""
    from regforest.errors import RegForestError
    from regforest.io import read_grid

    sizes = []
    for files in cases[:: max(1, len(cases) // _SAMPLE)]:
        try:
            grids = [read_grid(path) for path in files.values()]
        except (RegForestError, OSError):
            continue
        voxels = sum(math.prod(grid.shape_zyx) for grid in grids)
        litres = float(math.prod(grids[0].size_xyz * grids[0].spacing_mm)) / 1e6
        sizes.append((litres, voxels / 1e6))
    return sizes or [(0.0, 0.0)]


def _duration(seconds: float) -> str:
    """Round to what a person waits in.

    Examples
    --------
    >>> [_duration(seconds) for seconds in (12, 200, 9000)]
    ['12 s', '3 min', '2.5 h']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
