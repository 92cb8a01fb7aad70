"""Prediction over a whole volume, against computing features first and asking another forest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import calls, data
from benchmarks.peers import gather_features, intel_forest, onnx_predictor
from benchmarks.rows import Goal, Row, comparison, missing
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work
from regforest.features import BoxFeatures, CompiledBoxes, IntegralVolume

__all__ = ["ours", "run"]

Floats = NDArray[np.float32]
Predict = Callable[[Floats], Any]

_SLAB_BYTES = 24e6  # quickest for the peer among 12 to 100 MB
_DENSE = Goal(4, 6)
_GATHERED = Goal(20, 30)


def ours(scale: Scale) -> Work:
    """Prepare our side: from voxels to probabilities, summed-volume table included."""
    case, forest = Case(*data.volume_of(scale), data.pool(scale)), data.same_trees(scale)
    return lambda: calls.full(forest, case.boxes, case.voxels, case.spacing_mm)


class Case(NamedTuple):
    """What both sides start from."""

    voxels: NDArray[np.int16]
    spacing_mm: float
    boxes: BoxFeatures


def run(session: Session) -> Iterator[Row]:
    """All features by our dense path, or gathered, followed by another library's forest."""
    scale = session.scale
    work, case, forest = ours(scale), Case(*data.volume_of(scale), data.pool(scale)), data.peer_forest(scale)
    what = f"whole volume, {scale.trees} trees, {scale.features} features, {case.voxels.size / 1e6:.2f} M voxels"
    yield _equality(case, work(), _in_threads(forest, 2))
    predict = _in_threads(forest, 1).predict_proba
    pairs = session.pairs("volume: dense + scikit-learn", work, lambda: _two_slabs_at_a_time(case, predict))
    yield comparison(
        what, "our dense features + scikit-learn, 2 slabs at a time", pairs, goal=_DENSE,
        peak_memory_mb=session.peak(ours),
        note="the quickest way for the peer that was found: one thread a slab, feature columns as they come",
    )  # fmt: skip
    predict_rows = _on_rows(_in_threads(forest, 2).predict_proba)
    pairs = session.pairs("volume: dense + scikit-learn by rows", work, lambda: _slab_by_slab(case, predict_rows))
    yield comparison(
        what, "our dense features + scikit-learn, n_jobs=2", pairs, goal=_DENSE,
        note="features of a slab in 2 threads, turned to C-contiguous rows, predict_proba in 2 threads",
    )  # fmt: skip
    yield from _gathered(session, what, work, case, predict)
    yield from _other_libraries(session, what, work, case, forest)


def _gathered(session: Session, what: str, work: Work, case: Case, predict: Predict) -> Iterator[Row]:
    planes = calls.planes_of(case.voxels, session.scale.gather_planes)
    share = len(case.voxels) / len(planes)
    note = (
        f"the peer is timed on {len(planes)} of {len(case.voxels)} planes, two at a time, and scaled by their "
        "number; its summed-volume table is made beforehand"
    )
    boxes = case.boxes.compile(case.spacing_mm)
    integral = boxes.integrate([case.voxels])
    for name, features in (("numpy gather", _numpy_gather), ("our gather", _our_gather)):
        pairs = session.pairs(
            f"volume: {name}", work, partial(_plane_by_plane, boxes, integral, planes, features, predict), slow=True
        )
        yield comparison(what, f"{name} + scikit-learn", pairs, share, goal=_GATHERED, note=note)


def _other_libraries(session: Session, what: str, work: Work, case: Case, forest: Any) -> Iterator[Row]:
    session.say("volume: converting for onnxruntime")
    onnx = onnx_predictor(forest)
    name = "our dense features + onnxruntime"
    if onnx is None:
        yield missing(what, name)
    else:
        yield comparison(what, name, session.pairs("volume: onnxruntime", work, lambda: _slab_by_slab(case, onnx)))
    intel = fitted_intel(session.scale)
    name = "our dense features + sklearnex"
    if intel is None:
        yield missing(what, name)
    else:
        pairs = session.pairs("volume: sklearnex", work, lambda: _slab_by_slab(case, intel.predict_proba))
        yield comparison(what, name, pairs, note="trees of its own, grown with the same settings")


def fitted_intel(scale: Scale) -> Any:
    """Forest of scikit-learn-intelex with the settings of `data.peer_forest`, or None."""
    kind = intel_forest("RandomForestClassifier")
    if kind is None:
        return None
    rows = data.classification_rows(scale)
    return kind(scale.trees, max_depth=scale.depth, n_jobs=2, random_state=0).fit(rows.x, rows.y)


def _equality(case: Case, found: Floats, forest: Any) -> Row:
    largest = 0.0
    for start, stop, features in _slabs(case):
        given = found[:, start:stop].reshape(len(found), -1).T
        largest = max(largest, float(np.abs(given - forest.predict_proba(features().T)).max()))
    return Row(
        "probabilities equal to scikit-learn's", peer_name="scikit-learn", value=largest, unit="largest difference",
        goal=Goal(1e-6, at_most=True), note="at every voxel and for every class of the whole volume",
    )  # fmt: skip


def _in_threads(forest: Any, count: int) -> Any:
    other = copy(forest)
    other.n_jobs = count
    return other


def _on_rows(predict: Predict) -> Predict:
    return lambda features: predict(np.ascontiguousarray(features))


def _two_slabs_at_a_time(case: Case, predict: Predict) -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda slab: predict(slab[2]().T), _slabs(case)))


def _slab_by_slab(case: Case, predict: Predict) -> None:
    """Features of two halves of a slab in two threads, then both to a forest that has its own threads."""
    slabs = list(_slabs(case))
    with ThreadPoolExecutor(2) as threads:
        for first in range(0, len(slabs), 2):
            halves = list(threads.map(lambda slab: slab[2](), slabs[first : first + 2]))
            predict(np.concatenate(halves, axis=1).T)


def _slabs(case: Case) -> Iterator[tuple[int, int, Callable[[], Floats]]]:
    """First and last plane of each slab, and a call for its features (F, voxels)."""
    boxes = case.boxes.compile(case.spacing_mm)
    integral = boxes.integrate([case.voxels])
    step = max(1, round(_SLAB_BYTES / (case.voxels[0].size * 4 * len(case.boxes))))
    for start in range(0, len(case.voxels), step):
        stop = min(start + step, len(case.voxels))
        yield start, stop, partial(calls.dense_slab, boxes, integral, start, stop)


def _plane_by_plane(
    boxes: CompiledBoxes,
    integral: IntegralVolume,
    planes: Sequence[int],
    features: Callable[[CompiledBoxes, IntegralVolume, NDArray[np.int64]], Floats],
    predict: Predict,
) -> None:
    rows, columns = map(np.arange, integral.shape_zyx[1:])
    plane = np.stack(np.meshgrid([0], rows, columns, indexing="ij"), axis=-1).reshape(-1, 3)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda z: predict(features(boxes, integral, plane + [z, 0, 0])), planes))


def _numpy_gather(boxes: CompiledBoxes, integral: IntegralVolume, index: NDArray[np.int64]) -> Floats:
    table = boxes.box_table(integral)
    return gather_features(table.table, table.corners.astype(np.int64), table.scales, integral.flat_index(index))


def _our_gather(boxes: CompiledBoxes, integral: IntegralVolume, index: NDArray[np.int64]) -> Floats:
    return boxes.evaluate(integral, index)
