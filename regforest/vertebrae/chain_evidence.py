"""What is known of each candidate by itself: its scores, the user's anchors, and whether it is false or double."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError
from regforest.spatial import LEVELS, level
from regforest.vertebrae.chain_prior import ChainPrior

__all__ = ["checked_candidates", "node_log_weights", "with_anchors"]

Floats = NDArray[np.float64]

_DOUBLE_MM = 12.0  # candidates closer than this may be marks of one body
_DOUBLE_MM3 = 2000.0  # volume in which the second mark of a body may lie
_FLOOR = 1e-4  # share of false detections that no score rules out
_ANCHOR_MM = 20.0
_FORCED = 1e4  # log-weight of an anchored candidate's level: more than all evidence together


def checked_candidates(points_lps_mm: ArrayLike, level_log_scores: ArrayLike) -> tuple[Floats, Floats]:
    """Return points (N, 3) and scores (N, 28) as arrays of float64; `DataError` where they make no sense.

    Either may be empty without its second axis.
    """
    points = np.array(points_lps_mm, dtype=np.float64)
    scores = np.array(level_log_scores, dtype=np.float64)
    if points.size == 0:
        points, scores = points.reshape(0, 3), scores.reshape(0, len(LEVELS)) if scores.size == 0 else scores
    if points.ndim != 2 or points.shape[1] != 3 or scores.shape != (len(points), len(LEVELS)):
        raise DataError(
            f"identification needs points of shape (N, 3) and scores of shape (N, {len(LEVELS)}), "
            f"got {points.shape} and {scores.shape}"
        )
    if not np.isfinite(points).all():
        raise DataError("identification needs finite coordinates, got NaN or infinity")
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise DataError("level scores are natural logarithms: NaN and +infinity have no meaning here")
    return points, scores


def with_anchors(
    points: Floats, scores: Floats, anchor: Mapping[str, ArrayLike]
) -> tuple[Floats, Floats, dict[int, int]]:
    """Give each anchor the nearest candidate within 20 mm, or make it a candidate of its own.

    Parameters
    ----------
    points, scores : ndarray, shapes (N, 3) and (N, 28)
        Candidates, LPS mm, and their log-scores.
    anchor : mapping of str to array_like, shape (3,)
        Levels whose position is known, LPS mm.

    Returns
    -------
    points, scores : ndarray, shapes (M, 3) and (M, 28)
        With added candidates at the end, which score alike for all levels.
    forced : dict of int to int
        Candidate -> index of its level.

    Raises
    ------
    DataError
        If a coordinate is missing or not finite, or two anchors fall on one candidate.
    LevelError
        If an anchor is not a known level.
    """
    forced: dict[int, int] = {}
    for name, point in anchor.items():
        column, place = LEVELS.index(level(name).name), np.asarray(point, dtype=np.float64)
        if place.shape != (3,) or not np.isfinite(place).all():
            raise DataError(f"anchor {name}: expected three finite coordinates, got {place.tolist()}")
        distance = np.linalg.norm(points - place, axis=1)
        if not len(points) or distance.min() > _ANCHOR_MM:
            points = np.vstack([points, place])
            scores = np.vstack([scores, np.full(len(LEVELS), -np.log(len(LEVELS)))])
            distance = np.append(distance, 0.0)
        if int(distance.argmin()) in forced:
            raise DataError(f"anchors {name} and {LEVELS[forced[int(distance.argmin())]]} fall on one candidate")
        forced[int(distance.argmin())] = column
    return points, scores, forced


def node_log_weights(points: Floats, scores: Floats, forced: Mapping[int, int], prior: ChainPrior) -> Floats:
    """Log-weight (N, 28) of each candidate having each level, relative to its being false or a double.

    What the scores of a candidate leave of 1 is the evidence for its being false. It may be a double where another
    candidate is within 12 mm. `forced` candidates (-> level index) have that level alone.

    Parameters
    ----------
    points, scores : ndarray, shapes (N, 3) and (N, 28)
        Candidates, LPS mm, and their log-scores, as `with_anchors` returns them.
    forced : mapping of int to int
        Candidate -> index of the level that the user gave it.
    prior : ChainPrior
        Supplies the density of false candidates, the share of doubles and the exponent of the scores.

    Returns
    -------
    ndarray, shape (N, 28)
        Natural logarithms; ``-inf`` rules a level out.
    """
    peak = np.maximum(scores.max(axis=1, initial=-np.inf), -700)
    log_sum = peak + np.log(np.maximum(np.exp(scores - peak[:, None]).sum(axis=1), 1e-300))
    scaled = scores - np.maximum(log_sum, np.log1p(-_FLOOR))[:, None] + np.log1p(-_FLOOR)
    rest = np.log(np.maximum(1 - np.exp(scaled).sum(axis=1), _FLOOR))
    false = prior.score_weight * rest + np.log(prior.false_per_mm3)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    has_double = (apart < _DOUBLE_MM).sum(axis=1) > 1
    double = prior.score_weight * scaled.max(axis=1, initial=-np.inf) + np.log(prior.double_probability / _DOUBLE_MM3)
    unnamed = np.where(has_double, np.logaddexp(false, double), false)
    node_log = prior.score_weight * scaled - unnamed[:, None]
    for candidate, column in forced.items():
        node_log[candidate] = -np.inf
        node_log[candidate, column] = _FORCED
    return np.asarray(node_log)
