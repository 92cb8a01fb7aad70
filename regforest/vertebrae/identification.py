"""Identification along the chain: which candidate is which vertebra, and how sure that is.

Exact inference over every way to name the candidates (Glocker et al. 2013 choose one per level and reject by relative
positions; here false, doubled and missing detections, small fields of view, T13, L6 and an absent T12 are part of one
distribution, and its sums give the probabilities).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.spatial import LEVELS
from regforest.vertebrae.chain_evidence import checked_candidates, node_log_weights, with_anchors
from regforest.vertebrae.chain_inference import ChainGraph, Naming
from regforest.vertebrae.chain_prior import RARE_ARCS, ChainPrior, default_chain_prior
from regforest.vertebrae.chain_tables import StepTables, build_tables
from regforest.vertebrae.region_scores import spread_region_scores

__all__ = ["Identification", "identify", "spread_region_scores"]

Floats = NDArray[np.float64]

_RARE = ("T13", "L6")
_FIELD_MM3 = 3e6  # volume in which the first body may lie: what it costs to begin a chain
_UPSIDE_DOWN = 1e-3  # how often an image lies upside down
_ALTERNATIVES = 5
_LOOKED_AT = 12  # namings, best first, whose probabilities are summed to find the alternatives among them
_PART_PROBABILITY = 0.03  # least one of an alternative that renames a part: a lesser one would hide the whole shifts
_ANCHOR_EVIDENCE = 2.0  # log-odds of the scores against the chain shifted by one
# levels that name themselves: the ends of the spine, or both sides of a border between regions
_SELF_NAMING = (("C1",), ("C2",), ("S1",), ("S2",), ("C7", "T1"), ("T12", "L1"), ("T13", "L1"), ("T11", "L1"))


@dataclass(frozen=True)
class Identification:
    """Names of candidates with their probabilities.

    Attributes
    ----------
    levels : tuple of (str or None)
        Level of each candidate in input order; None for a false or doubled detection.
    probabilities : ndarray, shape (N,)
        Probability of what `levels` says about each candidate (of being false for None).
    alternatives : tuple of (levels, probability)
        Other namings, best first; each gives some candidate another level than `levels` does, and they differ from
        one another. Those that rename only a part of the chain are listed from a probability of 3 % on, those that
        rename all of it always. The probability is that of all namings that agree on the candidates named.
    shift_probability : mapping of int to float
        Probability of the whole chain as named (0), shifted by one level downwards (+1) or upwards (-1).
    anchored : bool
        Whether a level that names itself is evidenced in view; if not, "no anchoring level in view".
    reason : str
        What is wrong with the input or the answer; empty if nothing.
    """

    levels: tuple[str | None, ...]
    probabilities: Floats
    alternatives: tuple[tuple[tuple[str | None, ...], float], ...] = ()
    shift_probability: Mapping[int, float] = field(default_factory=lambda: {-1: 0.0, 0: 1.0, 1: 0.0})
    anchored: bool = False
    reason: str = ""


def identify(
    points_lps_mm: ArrayLike,
    level_log_scores: ArrayLike,
    prior: ChainPrior | None = None,
    *,
    anchor: Mapping[str, ArrayLike] | None = None,
) -> Identification:
    """Name vertebral body candidates along the chain that they form.

    Parameters
    ----------
    points_lps_mm : array_like, shape (N, 3)
        Candidate body centres in LPS mm, in any order; some may be false, doubled or missing.
    level_log_scores : array_like, shape (N, 28)
        Natural logarithms of the evidence for each level, columns in the order of `LEVELS`, ``-inf`` for none. What
        the evidence of a row leaves of 1 speaks for a false detection; rows that sum to more are scaled.
    prior : ChainPrior, optional
        Statistics of spines and detections; the shipped ones if not given.
    anchor : mapping of str to point, optional
        Levels whose position is known (LPS mm): the nearest candidate within 20 mm gets the name; where there is
        none the point itself takes part.

    Returns
    -------
    Identification
        Levels in input order, their probabilities, and the runners-up of the whole chain.

    Raises
    ------
    DataError
        If the shapes do not fit, a coordinate is not finite, or a score is NaN or +inf.
    LevelError
        If an anchor is not a known level.

    Examples
    --------
    >>> points = [[0, 0, 0], [0, -8, -31], [0, -17, -64]]
    >>> found = identify(points, spread_region_scores([0, 0, 0], [0.9, 0.05, 0], [0.05, 0.9, 0.95]))
    >>> found.levels
    ('T12', 'L1', 'L2')
    """
    points, scores = checked_candidates(points_lps_mm, level_log_scores)
    count = len(points)
    chosen = prior or default_chain_prior()
    points, scores, forced = with_anchors(points, scores, anchor or {})
    order = np.argsort(-points[:, 2], kind="stable")
    graph = _graph(points[order], node_log_weights(points, scores, forced, chosen)[order], chosen)
    total, marginal = graph.marginals()
    if not len(points) or total < 1e-9:
        reason = "no detections" if not count else "no detection fits a spine"
        return Identification((None,) * count, np.ones(count), reason=reason)
    upright = 1.0 if anchor else _upright(points, scores, chosen, total)
    classes = _classes(graph, total)
    best = classes[0][0]
    inverse = np.argsort(order)
    named = np.array(best.levels)
    probability = np.where(named >= 0, marginal[np.arange(len(named)), named], 1 - marginal.sum(axis=1))
    anchored = bool(anchor) or _is_anchored(named, scores[order])
    return Identification(
        levels=_names(best, inverse[:count]),
        probabilities=np.clip(probability[inverse[:count]] * upright, 0, 1),
        alternatives=tuple((_names(naming, inverse[:count]), p * upright) for naming, p in classes[1:]),
        shift_probability={s: _shifted(graph, named, s, total) * upright for s in (-1, 0, 1)},
        anchored=anchored,
        reason=_reason(upright, _exp(-total), anchored),
    )


@lru_cache(maxsize=8)
def _tables(prior: ChainPrior) -> StepTables:
    return build_tables(prior)


def _graph(points: Floats, node_log: Floats, prior: ChainPrior) -> ChainGraph:
    begin = prior.start_log - np.log(_FIELD_MM3)
    for upper, lower in RARE_ARCS:
        if lower in _RARE:
            begin[LEVELS.index(lower)] += np.log(max(prior.rare_probability[f"{upper}>{lower}"], 1e-12))
    return ChainGraph(points, node_log, begin, prior.end_log, _tables(prior), prior)


def _upright(points: Floats, scores: Floats, prior: ChainPrior, total: float) -> float:
    """Probability that the head is up, against the same candidates upside down."""
    turned = points * np.array([1.0, 1.0, -1.0])
    order = np.argsort(-turned[:, 2], kind="stable")
    other, _ = _graph(turned[order], node_log_weights(points, scores, {}, prior)[order], prior).marginals()
    return float(1 / (1 + _UPSIDE_DOWN * np.exp(min(other - total, 600.0))))


def _classes(graph: ChainGraph, total: float) -> list[tuple[Naming, float]]:
    """Best naming and its alternatives, each with the probability of all that agree with it on what it names."""
    found = [naming for naming in graph.best_namings() if any(v >= 0 for v in naming.levels)]
    best = np.array(found[0].levels)
    shifted = [graph.best_namings(_shift_mask(best, shift))[0] for shift in (-1, 1)]
    kept = found[:1]
    masses = [_mass(graph, best, total)]
    for naming in [*found[1:_LOOKED_AT], *shifted]:
        if not all(_differ(naming, other) for other in kept):
            continue
        mass = _mass(graph, np.array(naming.levels), total)
        if mass >= _PART_PROBABILITY or _renames_all(naming, found[0]):
            kept.append(naming)
            masses.append(mass)
    return sorted(zip(kept, masses, strict=True), key=lambda item: -item[1])[: _ALTERNATIVES + 1]


def _differ(one: Naming, other: Naming) -> int:
    """Count the candidates that two namings name differently."""
    return sum(a != b and a >= 0 and b >= 0 for a, b in zip(one.levels, other.levels, strict=True))


def _renames_all(one: Naming, other: Naming) -> bool:
    return not any(a == b and a >= 0 for a, b in zip(one.levels, other.levels, strict=True))


def _mass(graph: ChainGraph, named: NDArray[np.int64], total: float) -> float:
    allowed = (named[:, None] < 0) | (named[:, None] == np.arange(len(LEVELS)))
    return _exp(graph.log_sum(allowed) - total)


def _shifted(graph: ChainGraph, named: NDArray[np.int64], shift: int, total: float) -> float:
    """Probability that the candidates named are `shift` levels lower than named, or false, but not all false."""
    allowed = np.ones((len(named), len(LEVELS)), dtype=bool)
    allowed[named >= 0] = False
    all_false = _exp(graph.log_sum(allowed) - total)  # says nothing about a shift, and would count for each
    return max(_exp(graph.log_sum(_shift_mask(named, shift)) - total) - all_false, 0.0)


def _shift_mask(named: NDArray[np.int64], shift: int) -> NDArray[np.bool_]:
    """Candidate-level pairs (N, 28) of the namings that have all candidates named `shift` levels lower, or false."""
    allowed = np.ones((len(named), len(LEVELS)), dtype=bool)
    allowed[named >= 0] = False
    for candidate in np.flatnonzero(named >= 0):
        allowed[candidate, _neighbours(int(named[candidate]), shift)] = True
    return allowed


def _neighbours(column: int, shift: int) -> list[int]:
    """Return the level itself (0), or the next one down (+1) or up (-1): two where that one is transitional."""
    if shift == 0:
        return [column]
    near = [column + shift, column + 2 * shift]
    found = [k for k in near if 0 <= k < len(LEVELS)]
    return found if found and LEVELS[found[0]] in _RARE else found[:1]


def _exp(log: float) -> float:
    return float(np.exp(min(log, 0.0)))


def _is_anchored(named: NDArray[np.int64], scores: Floats) -> bool:
    """Whether a self-naming level is in view and the scores speak against the chain shifted by one."""
    seen = {LEVELS[v] for v in named if v >= 0}
    if not any(seen.issuperset(group) for group in _SELF_NAMING):
        return False
    rows = np.flatnonzero(named >= 0)
    finite = np.maximum(scores, -20.0)
    own = finite[rows, named[rows]].sum()
    for shift in (-1, 1):
        # the usual neighbour: that a transitional vertebra looks like the one beside it does not unname the others
        columns = [_neighbours(int(v), shift)[-1:] for v in named[rows]]
        other = sum(finite[r, c[0]] if c else -20.0 for r, c in zip(rows, columns, strict=True))
        if own - other < _ANCHOR_EVIDENCE:
            return False
    return True


def _reason(upright: float, all_false: float, anchored: bool) -> str:
    if all_false > 0.5:
        return f"there may be no vertebra at all (probability {all_false:.2f})"
    if upright < 0.5:
        return "the chain fits better upside down: check the image's orientation"
    return "" if anchored else "no anchoring level in view"


def _names(naming: Naming, rows: NDArray[np.int64]) -> tuple[str | None, ...]:
    return tuple(LEVELS[naming.levels[row]] if naming.levels[row] >= 0 else None for row in rows)
