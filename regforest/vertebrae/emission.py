"""What a detector's region scores say about levels, learned with the neighbours as context.

A detector that scores bodies as cervical, thoracic or lumbar says little about one body and much about the chain:
where the scores turn, how many bodies follow, how the steps lengthen and bend. Extremely randomised trees read a
window of the chain around each detection and give the probability of each level, and of a false detection;
`identify` then finds the chain that agrees best with all of them. The forest of `VertebraLocalizer` scores levels
itself and does not need this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import ExtraTreesClassifier

from regforest.errors import DataError
from regforest.spatial import LEVELS, PAPER_LEVELS
from regforest.vertebrae.chain_prior import ARCS, default_chain_prior
from regforest.vertebrae.identification import identify, spread_region_scores

__all__ = ["RegionDetections", "RegionEmission", "name_detections"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FALSE = len(LEVELS)
"""Class of a false detection."""

_REACH = 3  # neighbours on either side that make the context
_ABSENT = -99.0  # beyond the end of the chain; far from every value, so that one split tells
_TWO_STEPS_MM = 45.0  # a gap between T12 and L1 that holds another body
_FLOOR = 2e-3  # share given to all classes alike: trees never saw everything
_SEEN_MM = 15.0
_S1_LOG = -1.5  # annotations of bodies end at the last lumbar one: the doubt between L6 and S1 goes to L6


@dataclass(frozen=True, eq=False)
class RegionDetections:
    """Detections of one scan.

    Attributes
    ----------
    points_lps_mm : ndarray, shape (N, 3)
        Detected body centres.
    region_scores : ndarray, shape (N, 3)
        Cervical, thoracic and lumbar score of each, in [0, 1].
    """

    points_lps_mm: Floats
    region_scores: Floats

    def __post_init__(self) -> None:
        shape = (len(self.points_lps_mm), 3)
        if self.points_lps_mm.shape != shape or self.region_scores.shape != shape:
            raise DataError(
                f"detections need points and scores of shape (N, 3), "
                f"got {self.points_lps_mm.shape} and {self.region_scores.shape}"
            )
        if not (np.isfinite(self.points_lps_mm).all() and np.isfinite(self.region_scores).all()):
            raise DataError("detections need finite coordinates and scores")


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
        features = np.concatenate([_context(scan) for scan, _ in used])
        labels = np.concatenate([name_detections(scan.points_lps_mm, chain) for scan, chain in used])
        self.forest_ = ExtraTreesClassifier(
            self.trees, min_samples_leaf=2, max_features=0.4, random_state=self.seed
        ).fit(features, labels)
        return self

    def level_log_scores(self, scans: Sequence[RegionDetections]) -> list[Floats]:
        """Return for each scan the natural log-probabilities (N, 28) of the levels of its detections.

        What the probabilities of a row leave of 1 is that of a false detection.
        """
        features = [_context(scan) for scan in scans]
        rows = np.concatenate([*features, np.empty((0, _WIDTH))])
        probability = np.zeros((len(rows), FALSE + 1))
        if len(rows):
            probability[:, self.forest_.classes_] = self.forest_.predict_proba(rows)
        return np.split(_log_levels(probability), np.cumsum([len(f) for f in features])[:-1]) if features else []


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


def _log_levels(probability: Floats) -> Floats:
    """Log-probabilities (N, 28) from class probabilities (N, 29), with levels that no annotation shows filled in."""
    mixed = (1 - _FLOOR) * probability + _FLOOR / (FALSE + 1)
    column = {name: k for k, name in enumerate(LEVELS)}
    # a T13 looks like its neighbours, and is rarer
    like_neighbours = 0.02 * (mixed[:, column["T12"]] + mixed[:, column["L1"]])
    mixed[:, column["T13"]] = np.maximum(mixed[:, column["T13"]], like_neighbours)
    mixed[:, column["S1"]] *= np.exp(_S1_LOG)
    mixed[:, column["S2"]] = _FLOOR / (FALSE + 1)
    return np.asarray(np.log(mixed / mixed.sum(axis=1, keepdims=True))[:, :FALSE])


def _context(scan: RegionDetections) -> Floats:
    """Features (N, F) of each detection within the chain of those that a first naming takes for bodies."""
    points, scores = scan.points_lps_mm, scan.region_scores
    bodies = [name is not None for name in identify(points, spread_region_scores(*scores.T)).levels]
    order = np.argsort(-points[:, 2], kind="stable")
    main = [int(i) for i in order if bodies[i]]
    features = np.zeros((len(points), _WIDTH))
    if main:
        features[main] = _window(points[main], scores[main])
    for i in order:  # a detection that the first naming left out is seen in its place among the others
        if not bodies[i]:
            row = int(np.searchsorted(-points[main, 2], -points[i, 2]))
            joined = [*main[:row], int(i), *main[row:]]
            features[i] = _window(points[joined], scores[joined])[row]
    return features


def _window(points: Floats, scores: Floats) -> Floats:
    """Scores and steps around each body of a chain (sorted from cranial to caudal), and its place in the chain."""
    count, r = len(points), _REACH
    clipped = np.clip(scores, 1e-3, 1 - 1e-3)
    logit = np.log(clipped / (1 - clipped))
    near_scores = np.full((count + 2 * r, 3), _ABSENT)
    near_scores[r : r + count] = logit
    steps = np.diff(points, axis=0)
    length = np.linalg.norm(steps, axis=1) + 1e-6
    near_steps = np.full((count + 2 * r, 4), _ABSENT)
    near_steps[r : r + count - 1, 0] = length
    near_steps[r : r + count - 1, 1] = steps[:, 1] / length
    near_steps[r : r + count - 1, 2] = np.abs(steps[:, 0]) / length
    if count > 2:
        near_steps[r + 1 : r + count - 1, 3] = np.diff(steps[:, 1] / length)
    around = [near_scores[k : k + count] for k in range(2 * r + 1)]
    around += [near_steps[k : k + count] for k in range(2 * r)]
    return np.hstack([*around, _place(logit, length)])


def _place(logit: Floats, length: Floats) -> Floats:
    """Where each body stands from the chain's ends and from the turns of the scores, and how sharp the turn is."""
    count = len(logit)
    index = np.arange(count)
    lumbar, thoracic = (
        int(np.argmax(turn)) if turn.any() else count + 9
        for turn in (logit[:, 2] > logit[:, 1], logit[:, 1] > logit[:, 0])
    )
    turn = np.full((2, 2), _ABSENT)
    for row, k in enumerate((lumbar, lumbar - 1)):
        if 0 <= k < count:
            turn[row] = logit[k, 1:]
    everywhere = [np.median(length) if len(length) else _ABSENT, *turn.ravel()]
    own = [np.minimum(index, 12), np.minimum(count - 1 - index, 12), index - lumbar, index - thoracic]
    return np.stack([*own, *(np.full(count, value) for value in everywhere)], axis=1)


_WIDTH = 3 * (2 * _REACH + 1) + 4 * 2 * _REACH + 9
