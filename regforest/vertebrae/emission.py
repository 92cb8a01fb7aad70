"""What a detector's region scores say about levels, learned with the neighbours as context.

A detector that scores bodies as cervical, thoracic or lumbar says little about one body and much about the chain:
where the scores turn, how many bodies follow, how the steps lengthen and bend. Extremely randomised trees read a
window of the chain around each detection and give the probability of each level, and of a false detection; from these
and what each detection's own scores say `identify` finds the chain that agrees best with all of them. The forest of
`VertebraLocalizer` scores levels itself and does not need this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import ExtraTreesClassifier

from regforest.errors import DataError
from regforest.spatial import LEVELS, PAPER_LEVELS
from regforest.vertebrae.chain_context import CONTEXT_WIDTH, RegionDetections, chain_context
from regforest.vertebrae.chain_prior import ARCS, default_chain_prior
from regforest.vertebrae.region_scores import spread_region_scores

__all__ = ["RegionEmission", "name_detections"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FALSE = len(LEVELS)
"""Class of a false detection."""

_TWO_STEPS_MM = 45.0  # a gap between T12 and L1 that holds another body
_FLOOR = 2e-3  # share given to all classes alike: trees never saw everything
_OWN_WEIGHT = 0.5  # of a detection's own scores beside the trees, which know them and their neighbours' already
_LEAST_FALSE = 1e-4  # what a detection's own scores always leave for its being false
_SEEN_MM = 15.0
# what is below L5 counts as L6 up to odds of three to one: annotations of bodies never name the sacrum
_S1_LOG = -1.1


class RegionEmission:
    """Levels from region scores in context.

    Parameters
    ----------
    trees : int
        Number of extremely randomised trees.
    seed : int
        Seed of the trees.
    """

    def __init__(self, trees: int = 200, seed: int = 0) -> None:
        self.trees, self.seed = trees, seed

    def fit(self, scans: Sequence[RegionDetections], chains: Sequence[Mapping[str, ArrayLike]]) -> RegionEmission:
        """Learn from detections and the true chain of each scan; returns self.

        Raises
        ------
        DataError
            If the numbers of scans and chains differ, or no scan has a detection.
        """
        if len(scans) != len(chains):
            raise DataError(f"each scan needs its true chain, got {len(scans)} scans and {len(chains)} chains")
        used = [(scan, chain) for scan, chain in zip(scans, chains, strict=True) if len(scan.points_lps_mm)]
        if not used:
            raise DataError("no scan has a detection to learn from")
        features = np.concatenate([chain_context(scan) for scan, _ in used])
        labels = np.concatenate([name_detections(scan.points_lps_mm, chain) for scan, chain in used])
        self.forest_ = ExtraTreesClassifier(
            self.trees, min_samples_leaf=2, max_features=0.4, random_state=self.seed
        ).fit(features, labels)
        return self

    def level_log_scores(self, scans: Sequence[RegionDetections]) -> list[Floats]:
        """Return for each scan the natural log-probabilities (N, 28) of the levels of its detections.

        What the probabilities of a row leave of 1 is that of a false detection.
        """
        features = [chain_context(scan) for scan in scans]
        rows = np.concatenate([*features, np.empty((0, CONTEXT_WIDTH))])
        probability = np.zeros((len(rows), FALSE + 1))
        if len(rows):
            probability[:, self.forest_.classes_] = self.forest_.predict_proba(rows)
        own = np.concatenate([*(_own_log(scan) for scan in scans), np.empty((0, FALSE + 1))])
        logs = _log_classes(probability) + _OWN_WEIGHT * own
        logs -= np.logaddexp.reduce(logs, axis=1, keepdims=True)
        return np.split(logs[:, :FALSE], np.cumsum([len(f) for f in features])[:-1]) if features else []


def name_detections(points_lps_mm: Floats, chain: Mapping[str, ArrayLike]) -> Ints:
    """Find which level each detection marks, by an annotated chain.

    The nearest detection within 15 mm of a body marks it. Beyond the ends of the annotation detections are named on
    while they lie where the next body is expected: a cut body at the border is detected and not annotated, S1 often
    detected and never annotated. Where an annotation has no name T13, a body left out between T12 and L1 is one.

    Returns
    -------
    ndarray of int, shape (N,)
        Index into `LEVELS`, or 28 for a false detection.
    """
    labels = np.full(len(points_lps_mm), FALSE)
    names = sorted((name for name in chain if name in LEVELS), key=LEVELS.index)
    for name in names:
        distance = np.linalg.norm(points_lps_mm - np.asarray(chain[name], dtype=np.float64), axis=1)
        if len(distance) and distance.min() <= _SEEN_MM:
            labels[distance.argmin()] = LEVELS.index(name)
    if "T12" in chain and "L1" in chain and "T13" not in chain:
        _name_thirteenth(points_lps_mm, labels, np.asarray(chain["T12"]), np.asarray(chain["L1"]))
    for down in (True, False) if names else ():
        _name_on(points_lps_mm, labels, names[-1 if down else 0], chain, down)
    return labels


def _name_thirteenth(points: Floats, labels: Ints, above: Floats, below: Floats) -> None:
    middle, step = (above + below) / 2, float(np.linalg.norm(below - above))
    distance = np.where(labels == FALSE, np.linalg.norm(points - middle, axis=1), np.inf)
    if step > _TWO_STEPS_MM and len(points) and distance.min() <= _SEEN_MM:
        labels[distance.argmin()] = LEVELS.index("T13")


def _name_on(points: Floats, labels: Ints, name: str, chain: Mapping[str, ArrayLike], down: bool) -> None:
    """Continue a chain from its last (or first) level as long as free detections lie at the mean step."""
    steps = default_chain_prior().step_mean_mm
    place, current = np.asarray(chain[name], dtype=np.float64), name
    while (following := _next_level(current, down)) is not None:
        arc = ARCS.index((current, following) if down else (following, current))
        place = place + (steps[arc] if down else -steps[arc])
        distance = np.where(labels == FALSE, np.linalg.norm(points - place, axis=1), np.inf)
        nearest = int(distance.argmin())
        if distance[nearest] > _SEEN_MM:
            return
        labels[nearest] = LEVELS.index(following)
        place, current = points[nearest], following


def _next_level(name: str, down: bool) -> str | None:
    if name in ("T13", "L6"):
        usual = {("T13", True): "L1", ("T13", False): "T12", ("L6", True): "S1", ("L6", False): "L5"}
        return usual[name, down]
    index = PAPER_LEVELS.index(name) + (1 if down else -1)
    return PAPER_LEVELS[index] if 0 <= index < PAPER_LEVELS.index("S2") else None


def _log_classes(probability: Floats) -> Floats:
    """Logarithms of class probabilities (N, 29), with levels that no annotation shows filled in."""
    mixed = (1 - _FLOOR) * probability + _FLOOR / (FALSE + 1)
    column = {name: k for k, name in enumerate(LEVELS)}
    # a T13 looks like its neighbours, and is rarer
    like_neighbours = 0.02 * (mixed[:, column["T12"]] + mixed[:, column["L1"]])
    mixed[:, column["T13"]] = np.maximum(mixed[:, column["T13"]], like_neighbours)
    mixed[:, column["S1"]] *= np.exp(_S1_LOG)
    mixed[:, column["S2"]] = _FLOOR / (FALSE + 1)
    return np.asarray(np.log(mixed / mixed.sum(axis=1, keepdims=True)))


def _own_log(scan: RegionDetections) -> Floats:
    """Return what each detection's own scores say of the classes (N, 29): natural logarithms."""
    levels = spread_region_scores(*scan.region_scores.T)
    for below in ("L6", "S1"):  # a lumbar score does not tell what lies below L5; the trees do
        levels[:, LEVELS.index(below)] = levels[:, LEVELS.index("L5")]
    false = np.log(np.maximum(1 - np.exp(levels).sum(axis=1, keepdims=True), _LEAST_FALSE))
    return np.hstack([levels, false])
