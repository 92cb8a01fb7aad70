"""Peak memory of a prediction over a large volume, each kind of output in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import calls, data
from benchmarks.peak import peak_memory_mb
from benchmarks.rows import Goal, Row
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work

__all__ = ["ours", "run"]

_GOAL = Goal(1000, 600, at_most=True)
_OUTPUTS = {"argmax": "most probable class", "chosen": "one probability", "full": "full distribution"}


def ours(scale: Scale, output: str) -> Work:
    """Prepare the vertebra model and a large volume; `output` is the name of a function in `calls`."""
    model = data.vertebra_model(scale).levels
    voxels, spacing = data.volume_of(scale, scale.memory_voxels)
    return partial(getattr(calls, output), model.forest, model.boxes, voxels, spacing)


def idle(scale: Scale) -> Work:
    """Prepare what `ours` prepares, and do nothing: what interpreter, libraries and inputs take."""
    ours(scale, "full")
    return lambda: None


def run(session: Session) -> Iterator[Row]:
    """One row for each kind of output."""
    scale, model = session.scale, data.vertebra_model(session.scale).levels
    voxels, spacing = data.volume_of(scale, scale.memory_voxels)
    shape = " x ".join(map(str, voxels.shape))
    start = peak_memory_mb(idle, scale)
    for output, words in _OUTPUTS.items():
        session.say(f"memory: {words}")
        peak = round(peak_memory_mb(ours, scale, output), 1)
        yield Row(
            f"peak memory, {words}, {shape} voxels of {spacing} mm", value=peak, unit="MB", goal=_GOAL,
            peak_memory_mb=peak,
            note=f"{len(model.boxes)} features, {model.forest.n_trees} trees, {model.forest.n_outputs} classes; "
            f"interpreter, libraries, model and image alone: {start:.0f} MB; "
            f"the float32 numbers of a full distribution: {voxels.size * 4e-6 * model.forest.n_outputs:.0f} MB",
        )  # fmt: skip
