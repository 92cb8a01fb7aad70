"""Training, binning included, at equal accuracy on other patients."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import data
from benchmarks.data import Rows
from benchmarks.peers import intel_forest, is_accelerated
from benchmarks.rows import Goal, Row, comparison, missing
from benchmarks.scales import Scale
from benchmarks.session import Session
from benchmarks.timing import Work
from regforest.forest import ForestClassifier, ForestRegressor

__all__ = ["our_classifier", "our_regressor", "run_classification", "run_regression"]

_SKLEARN, _INTEL, _REGRESSION = Goal(12, 20), Goal(1.5, 2.5), Goal(5, 10)
_EQUAL = 0.003  # of accuracy, or of R2


def our_classifier(scale: Scale) -> Work:
    """Prepare our side of the classification."""
    return _Trainer(ForestClassifier, data.classification_rows(scale), _classifier_settings(scale))


def our_regressor(scale: Scale) -> Work:
    """Prepare our side of the regression."""
    return _Trainer(ForestRegressor, data.regression_rows(scale), _regressor_settings(scale))


def run_classification(session: Session) -> Iterator[Row]:
    """Vertebra classes from box features."""
    from sklearn.ensemble import RandomForestClassifier

    scale, rows = session.scale, data.classification_rows(session.scale)
    settings = _classifier_settings(scale)
    classes = len(set(rows.y.tolist()))
    what = f"training, {len(rows.x)} x {scale.features}, {classes} classes, {scale.trees} trees, depth {scale.depth}"
    peak = session.peak(our_classifier)
    peer = _Trainer(RandomForestClassifier, rows, settings)
    yield _row(session, what, "scikit-learn", our_classifier(scale), peer, goal=_SKLEARN, peak_memory_mb=peak)
    for name, kind in _intel_classifiers():
        if kind is None:
            yield missing(what, name, _INTEL)
            continue
        yield _row(session, what, name, our_classifier(scale), _Trainer(kind, rows, settings), goal=_INTEL)


def run_regression(session: Session) -> Iterator[Row]:
    """Displacements to the two nearest bodies from box features."""
    from sklearn.ensemble import RandomForestRegressor

    scale, rows = session.scale, data.regression_rows(session.scale)
    settings = _regressor_settings(scale)
    what = f"regression, {len(rows.x)} x {scale.regression_features}, 6 outputs, {scale.trees} trees"
    peak = session.peak(our_regressor)
    peer = _Trainer(RandomForestRegressor, rows, settings)
    yield _row(session, what, "scikit-learn", our_regressor(scale), peer, goal=_REGRESSION, peak_memory_mb=peak)
    kind = intel_forest("RandomForestRegressor")
    if kind is None:
        yield missing(what, "sklearnex")
    elif is_accelerated(kind(1, max_depth=1).fit(rows.x[:100], rows.y[:100])):
        yield _row(session, what, "sklearnex", our_regressor(scale), _Trainer(kind, rows, settings))
    else:
        note = "passes a forest of several outputs on to scikit-learn: nothing to compare with"
        yield Row(what, peer_name="sklearnex", note=note)


class _Trainer:
    """Fits an estimator anew at each call, with another seed each time, and keeps what its forests score."""

    def __init__(self, kind: Callable[..., Any], rows: Rows, settings: dict[str, Any]) -> None:
        self.kind, self.rows, self.settings = kind, rows, settings
        self.seeds = itertools.count()
        self.models: list[Any] = []

    def __call__(self) -> None:
        model = self.kind(**self.settings, n_jobs=2, random_state=next(self.seeds))
        self.models.append(model.fit(self.rows.x, self.rows.y))

    def score(self) -> float:
        """Mean accuracy, or R2, of the forests on the held-out rows."""
        return statistics.fmean(float(model.score(self.rows.held_x, self.rows.held_y)) for model in self.models)


def _row(session: Session, what: str, name: str, ours: Any, peer: Any, **more: Any) -> Row:
    pairs = session.pairs(f"{what}: {name}", ours, peer, slow=True)
    accuracy = {"ours": ours.score(), "peer": peer.score()}
    behind = accuracy["peer"] - accuracy["ours"]
    measure = "accuracy" if hasattr(peer.models[0], "classes_") else "R2"
    note = f"{measure} on other patients {accuracy['ours']:.4f}, theirs {accuracy['peer']:.4f}; a new seed each time"
    if name.startswith("sklearnex") and not is_accelerated(peer.models[0]):
        note += "; IT HAS FALLEN BACK to scikit-learn"
    return comparison(what, name, pairs, accuracy=accuracy, holds=behind <= _EQUAL, note=note, **more)


def _classifier_settings(scale: Scale) -> dict[str, Any]:
    return {"n_estimators": scale.trees, "max_depth": scale.depth, "max_features": "sqrt"}


def _regressor_settings(scale: Scale) -> dict[str, Any]:
    return {"n_estimators": scale.trees, "max_depth": scale.depth, "min_samples_leaf": 5, "max_features": 1 / 3}


def _intel_classifiers() -> Iterator[tuple[str, Any]]:
    """The Intel-accelerated forest as it comes (histograms of 256 bins), and with exact splits."""
    kind = intel_forest("RandomForestClassifier")
    yield "sklearnex, histograms", kind
    yield "sklearnex, exact splits", kind and partial(_exact, kind)


def _exact(kind: Any, **settings: Any) -> Any:
    """The same forest with the other algorithm of its library; its own parameters do not offer the choice."""
    model = kind(**settings)
    model._onedal_factory = partial(type(model)._onedal_factory, algorithm="dense")
    return model
