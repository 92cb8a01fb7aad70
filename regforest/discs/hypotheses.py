"""A chain of one scan: refined in the structures' own views, and compared with the chains one level up and down."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import joblib
import numpy as np
from numpy.typing import NDArray

from regforest.discs.chain import StepModel, best_chain, with_neighbours
from regforest.discs.evidence import ShiftModel
from regforest.discs.forests import FineForest
from regforest.discs.own_views import NOMINAL_STEP_MM, extended_chain, fine_view, read_probes
from regforest.discs.search import FineModel
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord
from regforest.discs.views import Scene, chain_frames
from regforest.discs.voting import VoteMap

__all__ = ["Chain", "ChainJudge", "in_threads", "unit_steps"]

FloatArray = NDArray[np.float64]
Chain = dict[int, FloatArray]
T = TypeVar("T")

_FINE_MODES = 3
_NO_AGREEMENT = 0.02  # a place that no patch votes for counts like one that this share of the patches agrees on
_PRESENT = -1e9  # log-score of leaving a structure out
_MAX_SHIFT = 2  # levels that the coarse chain may be off
_ANCHOR_REACH_MM = 15.0  # an anchor is a point on the structure, not its centre; the neighbours are twice as far


@dataclass(frozen=True, eq=False)
class _Hypothesis:
    """A refined chain and what speaks for it."""

    chain: Chain
    agreement: dict[int, float]
    misfit: dict[int, float]
    chain_log_score: float


@dataclass(frozen=True, eq=False)
class ChainJudge:
    """Refines and compares the chains of one scan; a chain maps numbers of neighbouring structures to LPS points.

    Attributes
    ----------
    scene : Scene
        The scan.
    steps : StepModel
        Statistics of the steps.
    unit_steps_mm : ndarray, shape (S - 1,)
        Mean length of each step at scale 1.
    fine : FineModel or FineForest
        Finds a centre in its structure's own view.
    shift : ShiftModel
        Tells whether the names are right.
    settings : DiscSettings
        All numbers of the method.
    seed : int
        Seed of the patches that are drawn.
    anchor : mapping of int to ndarray, shape (3,)
        Points on structures that the user named, LPS millimetres.
    n_jobs : int
        Threads; structures are refined side by side.
    """

    scene: Scene
    steps: StepModel
    unit_steps_mm: FloatArray
    fine: FineModel | FineForest
    shift: ShiftModel
    settings: DiscSettings
    seed: int
    anchor: Mapping[int, FloatArray]
    n_jobs: int = 1

    def judged(self, chain: Chain) -> tuple[Chain, dict[int, float], dict[int, float]]:
        """Refine the chain and its neighbours one level up and down, and take the one with most evidence.

        Where a neighbour is better, its own next neighbour is tried too.

        Returns
        -------
        chain : dict of int to ndarray
            Refined centres, LPS millimetres.
        shift_probability : dict of int to float
            Probability that it is right (0) or lies one level too high (+1) or too low (-1).
        agreement : dict of int to float
            Share of the patches that agree on each centre.
        """
        if self.anchor:
            moved, agreement = self.refined(chain)
            return moved, {-1: 0.0, 0: 1.0, 1: 0.0}, agreement
        tried: dict[int, _Hypothesis] = {}
        best, starts = 0, {0: chain}
        while starts and abs(best) <= _MAX_SHIFT:
            tried |= {shift: self._hypothesis(start, tried.get(best)) for shift, start in starts.items()}
            evidence = self._evidence(tried)
            best = max(evidence, key=lambda shift: evidence[shift])
            starts = {
                best + step: self.shifted(tried[best].chain, step) for step in (-1, 1) if best + step not in tried
            }
        total = sum(np.exp(value - evidence[best]) for value in evidence.values())
        around = {shift - best: float(np.exp(value - evidence[best]) / total) for shift, value in evidence.items()}
        probability = {shift: around.get(shift, 0.0) for shift in (-1, 0, 1)}
        return tried[best].chain, probability, tried[best].agreement

    def refined(self, chain: Chain) -> tuple[Chain, dict[int, float]]:
        """Find the best chain through the votes in every structure's own view, and how many patches agree on it.

        The votes reach about one level, so a structure that starts far off, as the last one of a shifted chain
        does, may find its neighbour. The steps between the structures draw it away; then it votes again from there.
        """
        votes = self._votes(chain, chain)
        chain, astray = self._through(votes)
        if astray:
            votes |= self._votes(chain, astray)
            chain, _ = self._through(votes)
        axes = self.scene.axes
        agreement = {s: float(votes[s].density((point @ axes)[None])[0]) for s, point in chain.items()}
        return chain, {s: density / self.settings.fine_patches for s, density in agreement.items()}

    def _hypothesis(self, start: Chain, origin: _Hypothesis | None) -> _Hypothesis:
        """Refine a chain; one that falls back on the chain it was shifted from is judged as it started."""
        moved, agreement = self.refined(start)
        if origin is not None and _distance_mm(moved, origin.chain) < _distance_mm(moved, start):
            moved = start
        return _Hypothesis(moved, agreement, self.misfit(moved), self.chain_log_score(moved))

    def _evidence(self, tried: Mapping[int, _Hypothesis]) -> dict[int, float]:
        """Log-evidence of neighbouring hypotheses, relative to the appearance of the uppermost one."""
        appearance, evidence = 0.0, {}
        for shift in sorted(tried):
            if shift - 1 in tried:
                appearance -= self.shift.log_odds(tried[shift - 1].misfit, tried[shift].misfit)
            evidence[shift] = appearance + tried[shift].chain_log_score
        return evidence

    def misfit(self, chain: Chain) -> dict[int, float]:
        """How little each place of the chain and the next beyond its ends, in its own view, looks as in training."""
        numbers, scale, settings = sorted(chain), self.scale(chain), self.settings
        points = extended_chain(np.array([chain[s] for s in numbers]), 1)
        places = dict(zip([numbers[0], *(s + 1 for s in numbers), numbers[-1] + 2], points, strict=True))
        frames = self.frames(places)

        def read(place: int) -> NDArray[np.float32]:
            return read_probes(fine_view(self.scene, places[place], frames[place], scale, settings), settings)

        return self.shift.misfit(in_threads(read, places, self.n_jobs))

    def chain_log_score(self, chain: Chain) -> float:
        """Log-score of the steps and of the place of the chain in the field of view."""
        along = {s: point @ self.scene.axes for s, point in chain.items()}
        heights = {s: float(p[2] - self.scene.field_centre_mm[2]) for s, p in along.items()}
        total = self.shift.field_log_score(heights, self.scene.field_extent_mm)
        for s in chain:
            if s + 1 in chain:
                step = self.steps.log_score(s, along[s][None], along[s + 1][None], self.settings.fine_floor_mm)
                total += float(step[0, 0])
        return total

    def shifted(self, chain: Chain, shift: int) -> Chain:
        """Name every place by the structure one higher or lower; the learned step leads beyond the end."""
        numbers = sorted(chain)
        if shift == 0 or len(numbers) < 2:
            return chain
        points = [chain[s] for s in numbers]
        if shift > 0:
            moved = [*points[1:], points[-1] + self.scene.axes @ self.steps.mean_mm[numbers[-2]]]
        else:
            moved = [points[0] - self.scene.axes @ self.steps.mean_mm[numbers[0]], *points[:-1]]
        return dict(zip(numbers, moved, strict=True))

    def frames(self, chain: Chain) -> dict[int, FloatArray]:
        """Return the axes of each structure's own view: turned along the chain."""
        frames = chain_frames({str(s): chain[s] for s in sorted(chain)}, self.scene.axes)
        return {int(s): axes for s, axes in frames.items()}

    def scale(self, chain: Chain) -> float:
        """Size of this spine relative to `NOMINAL_STEP_MM`."""
        pairs = [s for s in chain if s + 1 in chain]
        if not pairs:
            return 1.0
        lengths = [float(np.linalg.norm(chain[s + 1] - chain[s])) for s in pairs]
        return float(np.sum(lengths) / np.sum(self.unit_steps_mm[pairs]))

    def _votes(self, chain: Chain, numbers: Iterable[int]) -> dict[int, VoteMap]:
        """Votes for some structures of the chain, along the canonical axes."""
        frames, scale, settings = self.frames(chain), self.scale(chain), self.settings

        def vote(s: int) -> VoteMap:
            view = fine_view(self.scene, chain[s], frames[s], scale, settings)
            votes = self.fine.votes(view, s, settings, np.random.default_rng([self.seed, 4, s]))
            return VoteMap(view.to_lps(votes.votes_mm) @ self.scene.axes, votes.weights, votes.kernel_mm * scale)

        return in_threads(vote, numbers, self.n_jobs)

    def _through(self, votes: Mapping[int, VoteMap]) -> tuple[Chain, list[int]]:
        """Find the best chain through the modes, and the structures that it draws away from their best mode."""
        numbers, settings = sorted(votes), self.settings
        steps = self.steps.part(numbers[0], numbers[-1])
        modes = [votes[s].modes(_FINE_MODES)[0] for s in numbers]
        candidates = with_neighbours(modes, steps.mean_mm)
        for s, point in self.anchor.items():
            if s in votes:
                place, own = point @ self.scene.axes, candidates[numbers.index(s)]
                near = np.linalg.norm(own - place, axis=1) <= _ANCHOR_REACH_MM
                candidates[numbers.index(s)] = own[near] if near.any() else place[None]
        scores = [
            np.log(votes[s].density(own) / settings.fine_patches + _NO_AGREEMENT)
            for s, own in zip(numbers, candidates, strict=True)
        ]
        chosen, _ = best_chain(candidates, scores, steps, floor_mm=settings.fine_floor_mm, absent_log_score=_PRESENT)
        places = {s: candidates[i][c] for i, (s, c) in enumerate(zip(numbers, chosen, strict=True)) if c is not None}
        astray = [s for i, s in enumerate(numbers) if s in places and chosen[i] != 0]
        return {s: self.scene.axes @ place for s, place in places.items()}, astray


def _distance_mm(chain: Chain, other: Chain) -> float:
    """Median distance of the structures that both hold."""
    return float(np.median([np.linalg.norm(chain[s] - other[s]) for s in chain if s in other]))


def in_threads(function: Callable[[int], T], numbers: Iterable[int], n_jobs: int) -> dict[int, T]:
    """Apply a function to each number; the result does not depend on the number of threads."""
    keys = list(numbers)
    results = joblib.Parallel(n_jobs=n_jobs, prefer="threads")(joblib.delayed(function)(key) for key in keys)
    return dict(zip(keys, results, strict=True))


def unit_steps(records: Sequence[TrainingRecord], names: Sequence[str]) -> FloatArray:
    """Mean length of each step in units of the records' scales, millimetres."""
    lengths: list[list[float]] = [[] for _ in names[1:]]
    for record in records:
        for pair, (a, b) in enumerate(itertools.pairwise(names)):
            if a in record.chain_mm and b in record.chain_mm:
                step = float(np.linalg.norm(record.chain_mm[b] - record.chain_mm[a]))
                lengths[pair].append(step / record.scale)
    return np.array([np.mean(steps) if steps else NOMINAL_STEP_MM for steps in lengths])
