"""Exact inference over all ways to name a set of candidates along one chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.vertebrae import _chain_graph_kernels as graph_kernels
from regforest.vertebrae import _chain_path_kernels as path_kernels
from regforest.vertebrae.chain_prior import ChainPrior
from regforest.vertebrae.chain_tables import StepTables

__all__ = ["ChainGraph", "Naming"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# squared Mahalanobis distances beyond which a step is not looked at; one over missing bodies is uncertain as it is
_LINKED_GATE = 64.0
_LOOSE_GATE = 25.0


@dataclass(frozen=True)
class Naming:
    """One way to name the candidates: a level index for each, or -1 for a false detection."""

    levels: tuple[int, ...]
    log_weight: float


@dataclass(eq=False)
class ChainGraph:
    """All paths through candidates and levels, with their weights.

    A path names some candidates with levels that descend along the spine; the others are false detections. Its
    log-weight is the sum of the candidates' `node_log` (scores relative to being false), of the steps' log-densities
    given the step before, and of the weights of beginning and ending; the path that names none weighs 1.

    Parameters
    ----------
    points_lps_mm : ndarray, shape (N, 3)
        Candidates from cranial to caudal.
    node_log : ndarray, shape (N, 28)
        Log-weight of each candidate having each level, relative to being false; ``-inf`` rules it out.
    begin_log, end_log : ndarray, shape (28,)
        Log-weight of a path's first and last level.
    tables : StepTables
        The prior, unrolled.
    prior : ChainPrior
        Supplies the weight and the tails of the steps.
    """

    points_lps_mm: Floats
    node_log: Floats
    begin_log: Floats
    end_log: Floats
    tables: StepTables
    prior: ChainPrior
    edges: Ints = field(init=False)
    first_edge: Ints = field(init=False)
    first_loose: Ints = field(init=False)
    offsets: Ints = field(init=False)
    step: Floats = field(init=False)
    transition: Floats = field(init=False)

    def __post_init__(self) -> None:
        t, size = self.tables, self.node_log.size
        self.first_edge, self.first_loose = np.empty(size + 1, np.int64), np.empty(size, np.int64)
        allowed, gates = self.node_log > -np.inf, np.array([_LINKED_GATE, _LOOSE_GATE])
        search = (
            self.points_lps_mm, allowed, t.start, t.loose, t.to, t.mean_mm, t.whiten, gates,
            self.first_edge, self.first_loose,
        )  # fmt: skip
        self.edges = np.empty((graph_kernels.find_edges(*search, np.empty((0, 3), np.int64)), 3), np.int64)
        graph_kernels.find_edges(*search, self.edges)
        upper, lower, arc = self.edges.T
        linked = np.arange(len(arc)) < self.first_loose[upper]
        following = np.where(linked, self.first_loose[lower] - self.first_edge[lower], 0)
        self.offsets = np.concatenate([[0], np.cumsum(following)]).astype(np.int64)
        levels = self.node_log.shape[1]
        deviation = self.points_lps_mm[lower // levels] - self.points_lps_mm[upper // levels] - t.mean_mm[arc]
        self.step, reach = np.empty(len(arc)), np.empty(len(arc))
        self.transition = np.empty(self.offsets[-1])
        tails = (self.prior.freedom, self.prior.step_weight)
        graph_kernels.score_edges(deviation, self.edges, t.whiten, t.log, *tails, self.step, reach)
        graph_kernels.score_transitions(
            deviation, reach, self.edges, self.first_edge, self.first_loose, t.start,
            t.gain, t.pair_whiten, t.pair_log, *tails, self.offsets, self.transition,
        )  # fmt: skip

    def _arguments(self, node_log: Floats) -> Any:
        candidates = len(self.points_lps_mm)
        begin, end = np.tile(self.begin_log, candidates), np.tile(self.end_log, candidates)
        return (
            self.edges, self.first_edge, self.first_loose, self.offsets, self.transition, self.step, begin, end,
            node_log.ravel(), np.empty(len(self.edges)),
        )  # fmt: skip

    def marginals(self) -> tuple[float, Floats]:
        """Log of the sum over all paths, and the probability (N, 28) of each candidate having each level."""
        marginal = np.empty(self.node_log.size)
        arguments = self._arguments(self.node_log)
        total = path_kernels.sum_forward(*arguments)
        path_kernels.sum_backward(*[*arguments, np.empty(len(self.edges)), marginal])
        return total, np.exp(marginal - total).reshape(self.node_log.shape)

    def log_sum(self, allowed: NDArray[np.bool_]) -> float:
        """Log of the sum over the paths that keep to the candidate-level pairs `allowed` (N, 28)."""
        return path_kernels.sum_forward(*self._arguments(np.where(allowed, self.node_log, -np.inf)))

    def best_namings(self, allowed: NDArray[np.bool_] | None = None) -> list[Naming]:
        """For each candidate and level the best path that joins them; without repeats, best first.

        The best of all paths comes first, and the best that contradicts it is among the others. With `allowed`
        (N, 28) only paths that keep to its candidate-level pairs are looked at.
        """
        node_log = self.node_log if allowed is None else np.where(allowed, self.node_log, -np.inf)
        size, count = self.node_log.size, len(self.edges)
        before, after = np.full(count, -1), np.full(count, -1)
        best, best_edge = np.empty(size), np.empty(size, np.int64)
        arguments = self._arguments(node_log)
        path_kernels.best_forward(*[*arguments, before])
        path_kernels.best_backward(*[*arguments, np.empty(count), after, best, best_edge])
        found = {(-1,) * len(self.points_lps_mm): 0.0}
        for node in np.flatnonzero(best > best.max(initial=0.0) - 25):  # the rest is beyond doubt
            levels = self._follow(int(node), int(best_edge[node]), before, after)
            found.setdefault(levels, float(best[node]))
        return sorted((Naming(*item) for item in found.items()), key=lambda n: (-n.log_weight, n.levels))

    def _follow(self, node: int, edge: int, before: Ints, after: Ints) -> tuple[int, ...]:
        nodes = [node]
        e = edge
        while e >= 0:
            nodes += [int(self.edges[e, 0]), int(self.edges[e, 1])]
            e = int(before[e])
        e = int(after[edge]) if edge >= 0 else -1
        while e >= 0:
            nodes.append(int(self.edges[e, 1]))
            e = int(after[e])
        levels = [-1] * len(self.points_lps_mm)
        for v in nodes:
            levels[v // self.node_log.shape[1]] = v % self.node_log.shape[1]
        return tuple(levels)
