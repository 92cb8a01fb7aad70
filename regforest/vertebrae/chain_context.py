"""Detections with region scores, and what the chain around each of them shows: the features of `emission`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest.errors import DataError
from regforest.vertebrae.identification import identify
from regforest.vertebrae.region_scores import spread_region_scores

__all__ = ["CONTEXT_WIDTH", "RegionDetections", "chain_context"]

Floats = NDArray[np.float64]

_REACH = 3  # neighbours on either side that make the context
_ABSENT = -99.0  # beyond the end of the chain; far from every value, so that one split tells


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


def chain_context(scan: RegionDetections) -> Floats:
    """Features (N, CONTEXT_WIDTH) of each detection among those that a first naming takes for bodies."""
    points, scores = scan.points_lps_mm, scan.region_scores
    bodies = [name is not None for name in identify(points, spread_region_scores(*scores.T)).levels]
    order = np.argsort(-points[:, 2], kind="stable")
    main = [int(i) for i in order if bodies[i]]
    features = np.zeros((len(points), CONTEXT_WIDTH))
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
    whole = np.tile([*_turns(logit, length), *_ends(logit, steps, length)], (count, 1))
    return np.hstack([*around, _place(logit), whole])


def _turn(logit: Floats, region: int) -> int | None:
    """Row of the first body that looks more like a region (1: thoracic, 2: lumbar) than like the one above it."""
    turned = logit[:, region] > logit[:, region - 1]
    return int(np.argmax(turned)) if turned.any() else None


def _place(logit: Floats) -> Floats:
    """Where each body stands from the chain's ends and from the turns of the scores."""
    count = len(logit)
    index = np.arange(count)
    thoracic, lumbar = (count + 9 if (row := _turn(logit, region)) is None else row for region in (1, 2))
    ends = [np.minimum(index, 12), np.minimum(count - 1 - index, 12)]
    return np.stack([*ends, index - lumbar, index - thoracic], axis=1)


def _turns(logit: Floats, length: Floats) -> list[float]:
    """How long the steps are, how sharply the scores turn lumbar, and how many bodies lie between turns and ends."""
    count, thoracic, lumbar = len(logit), _turn(logit, 1), _turn(logit, 2)
    usual = float(np.median(length)) if len(length) else _ABSENT
    beside = [_at(logit[:, k], row) for row in (lumbar, None if lumbar is None else lumbar - 1) for k in (1, 2)]
    below = [_ABSENT if row is None else count - row for row in (lumbar, thoracic)]
    between = _ABSENT if lumbar is None or thoracic is None else lumbar - thoracic
    return [usual, *beside, *below, between, count]


def _ends(logit: Floats, steps: Floats, length: Floats) -> list[float]:
    """Describe the first and last bodies and how the chain runs there, so that all know of a sacrum in view."""
    count = len(steps)
    angle = np.arctan2(steps[:, 1], np.maximum(-steps[:, 2], 1e-3))  # to the back, from straight down
    share = length / np.median(length) if count else length
    bend = float(angle[-1] - angle[-2]) if count > 1 else _ABSENT
    last = [logit[-1, 1], logit[-1, 2], _at(logit[:, 2], len(logit) - 2)]
    last += [_at(angle, count - 1 - k) for k in range(3)] + [_at(share, count - 1 - k) for k in range(2)] + [bend]
    return [*map(float, last), float(logit[0, 0]), float(logit[0, 1]), _at(angle, 0)]


def _at(values: Floats, row: int | None) -> float:
    return float(values[row]) if row is not None and 0 <= row < len(values) else _ABSENT


CONTEXT_WIDTH = 3 * (2 * _REACH + 1) + 4 * 2 * _REACH + 4 + 9 + 12
"""Number of features of a detection."""
