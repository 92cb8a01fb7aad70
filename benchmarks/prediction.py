"""Prediction of feature rows, against scikit-learn and what others make of its forests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks import data
from benchmarks.peers import onnx_predictor
from benchmarks.rows import Row, comparison, missing
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work
from benchmarks.volume import fitted_intel
from regforest.forest import Forest

__all__ = ["ours", "run"]


def ours(scale: Scale) -> Work:
    """Prepare our side."""
    rows = data.classification_rows(scale).held_x
    return _predict(data.same_trees(scale), rows)


def run(session: Session) -> Iterator[Row]:
    """Class probabilities of an N x F float32 matrix."""
    scale = session.scale
    rows, forest = data.classification_rows(scale).held_x, data.peer_forest(scale)
    work = ours(scale)
    what = f"rows, {len(rows)} x {scale.features}, {scale.trees} trees"
    forest.n_jobs = 2
    pairs = session.pairs("rows: scikit-learn", work, partial(forest.predict_proba, rows))
    yield comparison(what, "scikit-learn", pairs, peak_memory_mb=session.peak(ours))
    session.say("rows: converting for onnxruntime")
    onnx = onnx_predictor(forest)
    if onnx is None:
        yield missing(what, "onnxruntime")
    else:
        yield comparison(what, "onnxruntime", session.pairs("rows: onnxruntime", work, partial(onnx, rows)))
    intel = fitted_intel(scale)
    if intel is None:
        yield missing(what, "sklearnex")
        return
    intel.n_jobs = 2
    pairs = session.pairs("rows: sklearnex", work, partial(intel.predict_proba, rows))
    yield comparison(what, "sklearnex", pairs, note="trees of its own, grown with the same settings")


def _predict(forest: Forest, rows: object) -> Work:
    return partial(forest.predict, rows, n_jobs=2)
