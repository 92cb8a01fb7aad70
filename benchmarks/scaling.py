"""How the cost of prediction and of training grows with the size of the problem."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import calls, data
from benchmarks.rows import Row
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work, seconds_of
from regforest.forest import ForestClassifier

__all__ = ["PLOT", "draw", "run"]

PLOT = Path(__file__).with_name("scaling.png")
_STEPS = (0.25, 0.5, 1.0, 2.0)


class Series(NamedTuple):
    """One quantity that grows, the others staying at their middle."""

    task: str
    quantity: str
    sizes: Sequence[float]
    prepare: Callable[[float], Work]


def run(session: Session) -> Iterator[Row]:
    """One row for each size; `value` is the size, `unit` what grows, `ours` the seconds."""
    for series in _all_series(session.scale):
        for size in series.sizes:
            session.say(f"scaling: {series.task}, {size:g} {series.quantity}")
            work = series.prepare(size)
            work()
            seconds = statistics.median(seconds_of(work) for _ in range(session.few))
            yield Row(f"scaling: {series.task}", ours=seconds, value=float(size), unit=series.quantity)


def draw(rows: Sequence[dict[str, object]], file: Path = PLOT) -> None:
    """Plot seconds over size, one panel for each quantity, on logarithmic axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: dict[tuple[object, object], list[dict[str, object]]] = {}
    for row in rows:
        panels.setdefault((row["what"], row["unit"]), []).append(row)
    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, (len(panels) + 1) // 2, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for axis, ((what, unit), points) in zip(axes, panels.items(), strict=False):
        x, y = [point["value"] for point in points], [point["ours"] for point in points]
        axis.loglog(x, y, "o-")
        axis.loglog(x, np.array(x) * (y[0] / x[0]), ":", color="0.6")  # type: ignore[operator]
        axis.set(title=str(what).removeprefix("scaling: "), xlabel=str(unit), ylabel="seconds")
        axis.minorticks_off()
        axis.set_xticks(x, [f"{size:g}" for size in x])  # type: ignore[misc]
    figure.savefig(file, dpi=70, metadata={"Software": None})


def _all_series(scale: Scale) -> Iterator[Series]:
    trees, depth, features = scale.trees, scale.depth, scale.features
    rows = scale.rows
    voxels = [round(scale.rows * 10 * step, -2) for step in _STEPS]
    yield Series("prediction", "voxels", voxels, lambda n: _prediction(scale, voxels=int(n)))
    counts = [max(1, round(trees * step)) for step in _STEPS]
    yield Series("prediction", "trees", counts, lambda n: _prediction(scale, trees=int(n)))
    depths = sorted({max(1, round(depth * step)) for step in (0.25, 0.5, 0.75, 1.0)})
    yield Series("prediction", "levels of depth", depths, lambda n: _prediction(scale, depth=int(n)))
    pools = sorted({max(4, round(features * step)) for step in (0.1, 0.25, 0.5, 1.0)})
    yield Series("prediction", "features", pools, lambda n: _prediction(scale, features=int(n)))
    yield Series("prediction", "classes", (2, 6, 11, 21), lambda n: _prediction(scale, classes=int(n)))
    sizes = [round(rows * step) for step in (0.125, 0.25, 0.5, 1.0)]
    yield Series("training", "rows", sizes, lambda n: _training(scale, rows=int(n)))
    yield Series("training", "features", pools, lambda n: _training(scale, features=int(n)))
    yield Series("training", "classes", (2, 6, 11, 21), lambda n: _training(scale, classes=int(n)))


def _prediction(
    scale: Scale,
    voxels: int | None = None,
    trees: int | None = None,
    depth: int | None = None,
    features: int | None = None,
    classes: int = 21,
) -> Work:
    count = features or scale.features
    x, y = _rows(scale, scale.rows, count, classes)
    forest = ForestClassifier(trees or scale.trees, max_depth=depth or scale.depth, n_jobs=2, random_state=0).fit(
        x, y
    )
    image, spacing = data.volume_of(scale, voxels or scale.rows * 5)
    boxes = data.pool(scale).subset(np.arange(count))
    return partial(calls.full, forest.forest_, boxes, image, spacing)


def _training(scale: Scale, rows: int | None = None, features: int | None = None, classes: int = 21) -> Work:
    x, y = _rows(scale, rows or scale.rows, features or scale.features, classes)
    return lambda: ForestClassifier(scale.trees, max_depth=scale.depth, n_jobs=2, random_state=0).fit(x, y)


def _rows(scale: Scale, count: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Part of the classification rows; fewer classes by running neighbouring levels together."""
    rows = data.classification_rows(scale)
    y = np.where(rows.y == 0, 0, 1 + (rows.y - 1) * (classes - 1) // 20)
    return np.ascontiguousarray(rows.x[:count, :features]), y[:count]
