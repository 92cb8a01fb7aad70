"""The chain of structures: statistics of the steps, and the best way through the candidates."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["StepModel", "best_chain", "with_neighbours"]

FloatArray = NDArray[np.float64]

_SHRINKAGE = 0.3


@dataclass(frozen=True, eq=False)
class StepModel:
    """Gaussian of the step from each structure to the next.

    Attributes
    ----------
    names : tuple of str
        Structures from cranial to caudal.
    mean_mm : ndarray, shape (S - 1, 3)
        Mean steps along the image's canonical axes.
    covariance_mm2 : ndarray, shape (S - 1, 3, 3)
        Their covariances, shrunken towards the mean covariance of all steps.
    """

    names: tuple[str, ...]
    mean_mm: FloatArray
    covariance_mm2: FloatArray

    @classmethod
    def fit(cls, names: Sequence[str], chains: Sequence[Mapping[str, FloatArray]]) -> StepModel:
        """Learn from training chains (name -> point in mm); a pair that none of them shows gets the mean step."""
        steps = [
            np.array([c[b] - c[a] for c in chains if a in c and b in c]).reshape(-1, 3)
            for a, b in itertools.pairwise(names)
        ]
        everything = np.concatenate([np.zeros((0, 3)), *steps])
        overall = everything.mean(axis=0) if len(everything) else np.zeros(3)
        means = [step.mean(axis=0) if len(step) else overall for step in steps]
        deviations = np.concatenate([np.zeros((0, 3)), *(s - m for s, m in zip(steps, means, strict=True))])
        pooled = deviations.T @ deviations / max(len(deviations) - 1, 1)
        covariances = []
        for step, mean in zip(steps, means, strict=True):
            own = (step - mean).T @ (step - mean) / max(len(step) - 1, 1)
            share = _SHRINKAGE if len(step) > 2 else 1.0
            covariances.append((1 - share) * own + share * pooled)
        return cls(tuple(names), np.array(means).reshape(-1, 3), np.array(covariances).reshape(-1, 3, 3))

    def part(self, first: int, last: int) -> StepModel:
        """Return the steps from structure `first` to structure `last`."""
        return StepModel(
            self.names[first : last + 1], self.mean_mm[first:last], self.covariance_mm2[first:last]
        )  # fmt: skip

    def chain_through(self, structure: int, point_mm: FloatArray) -> FloatArray:
        """All structures at mean steps from one that lies at a point; shape (S, 3)."""
        places = np.concatenate([np.zeros((1, 3)), np.cumsum(self.mean_mm, axis=0)])
        return np.asarray(places - places[structure] + point_mm)

    def log_score(self, pair: int, before_mm: FloatArray, after_mm: FloatArray, floor_mm: float) -> FloatArray:
        """Minus half the squared Mahalanobis length of all steps (A, 3) x (B, 3) -> (A, B); never capped.

        `floor_mm` (squared) is added to the variance in each direction.
        """
        away = after_mm[None] - before_mm[:, None] - self.mean_mm[pair]
        inverse = np.linalg.inv(self.covariance_mm2[pair] + floor_mm**2 * np.eye(3))
        return np.asarray(-0.5 * np.einsum("abi,ij,abj->ab", away, inverse, away))


def best_chain(
    candidates_mm: Sequence[FloatArray],
    log_scores: Sequence[FloatArray],
    steps: StepModel,
    *,
    floor_mm: float,
    absent_log_score: float,
) -> tuple[list[int | None], float]:
    """Choose one candidate per structure, exactly, by dynamic programming.

    Structures may be missing at the two ends of the chain (the image ends there), never in between.

    Parameters
    ----------
    candidates_mm : sequence of ndarray, shape (M_s, 3)
        Candidate centres of each structure; may be empty.
    log_scores : sequence of ndarray, shape (M_s,)
        Their log-scores.
    steps : StepModel
        Statistics of the steps.
    floor_mm : float
        Added (squared) to the variances of the steps.
    absent_log_score : float
        Log-score of each missing structure.

    Returns
    -------
    chosen : list of int or None
        Candidate of each structure, None where it is missing.
    total : float
        Log-score of the whole chain.
    """
    count = len(candidates_mm)
    best: list[FloatArray] = []
    came_from: list[NDArray[np.int64]] = []
    for s in range(count):
        total = np.full(len(candidates_mm[s]), s * absent_log_score)
        origin = np.full(len(total), -1)
        if s and len(best[-1]) and len(total):
            through = best[-1][:, None] + steps.log_score(s - 1, candidates_mm[s - 1], candidates_mm[s], floor_mm)
            better = through.max(axis=0) > total
            origin = np.where(better, through.argmax(axis=0), -1)
            total = np.where(better, through.max(axis=0), total)
        best.append(total + log_scores[s])
        came_from.append(origin)
    ends = [(float(best[s].max()) + (count - 1 - s) * absent_log_score, s) for s in range(count) if len(best[s])]
    chosen: list[int | None] = [None] * count
    empty = count * absent_log_score
    if not ends or max(ends)[0] < empty:
        return chosen, empty
    total_score, s = max(ends, key=lambda end: end[0])
    candidate = int(best[s].argmax())
    while candidate >= 0:
        chosen[s] = candidate
        candidate = int(came_from[s][candidate])
        s -= 1
    return chosen, total_score


def with_neighbours(candidates_mm: Sequence[FloatArray], steps_mm: FloatArray) -> list[FloatArray]:
    """Add to each structure's candidates the places that its neighbours' candidates point to."""
    added = []
    for s, own in enumerate(candidates_mm):
        parts = [own]
        if s > 0:
            parts.append(candidates_mm[s - 1] + steps_mm[s - 1])
        if s + 1 < len(candidates_mm):
            parts.append(candidates_mm[s + 1] - steps_mm[s])
        added.append(np.concatenate(parts))
    return added
