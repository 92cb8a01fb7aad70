"""The chain prior unrolled for inference: every step that may join two detections, and every pair of such steps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from regforest.spatial import LEVELS
from regforest.vertebrae.chain_prior import ARCS, RARE_ARCS, ChainPrior

__all__ = ["StepTables", "build_tables"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_USUAL_LOG_DENSITY = -6.5  # per mm^3, of a step like many
_MAX_UNITS = 6  # a step may pass over up to five undetected bodies


@dataclass(frozen=True, eq=False)
class StepTables:
    """Steps that may join two consecutive detections, grouped by upper level.

    Attributes
    ----------
    start : ndarray of int, shape (29,)
        Arcs of level ``l`` are ``start[l]`` to ``start[l + 1]``.
    loose : ndarray of int, shape (28,)
        Of these, the arcs from ``loose[l]`` on pass over missing bodies.
    to : ndarray of int, shape (A,)
        Lower level of each arc.
    mean_mm, whiten, log : ndarray, shapes (A, 3), (A, 3, 3), (A,)
        Mean, whitening matrix and peak log-density per mm^3 (with the log-probability of the arc).
    gain, pair_whiten, pair_log : ndarray, shapes (A, 2, 3, 3), (A, 2, 3, 3), (A, 2)
        The same of arc ``start[to[a]] + s`` after arc ``a``, where neither passes over a body: the expected deviation
        is gain @ deviation of ``a``.
    """

    start: Ints
    loose: Ints
    to: Ints
    mean_mm: Floats
    whiten: Floats
    log: Floats
    gain: Floats
    pair_whiten: Floats
    pair_log: Floats


def build_tables(prior: ChainPrior) -> StepTables:
    """Unroll a prior: steps over up to five missing bodies, and the regression of each step on the one before."""
    routes = [route for name in LEVELS for route in _routes(name, prior)]
    upper = [LEVELS.index(ARCS[units[0]][0]) for units, _ in routes]
    start = np.searchsorted(upper, np.arange(len(LEVELS) + 1))
    single = [u for u, (units, _) in zip(upper, routes, strict=True) if len(units) == 1]
    loose = start[:-1] + np.bincount(single, minlength=len(LEVELS))
    to = np.array([LEVELS.index(ARCS[units[-1]][1]) for units, _ in routes])
    mean = np.array([prior.step_mean_mm[units].sum(axis=0) for units, _ in routes])
    covariance = np.array([_covariance(prior, units) for units, _ in routes])
    chance = np.array([log for _, log in routes])
    peak = _peak(prior.freedom)
    gain, after = np.zeros((len(to), 2, 3, 3)), np.tile(np.eye(3), (len(to), 2, 1, 1))
    pair_chance = np.zeros((len(to), 2))
    for a, (units, _) in enumerate(routes):
        for slot, b in enumerate(range(start[to[a]], loose[to[a]]) if len(units) == 1 else ()):
            cross = _between(prior, routes[b][0][0], units[0], 1)
            gain[a, slot] = np.linalg.solve(covariance[a], cross.T).T
            after[a, slot] = _at_least(covariance[b] - gain[a, slot] @ cross.T, 0.15 * covariance[b])
            pair_chance[a, slot] = chance[b]
    whiten, pair_whiten = (np.linalg.inv(np.linalg.cholesky(c)) for c in (covariance, after))
    return StepTables(
        start=start.astype(np.int64),
        loose=loose.astype(np.int64),
        to=to.astype(np.int64),
        mean_mm=mean,
        whiten=np.ascontiguousarray(whiten),
        log=chance + _tempered(peak + _log_diagonal(whiten), prior.step_weight),
        gain=gain,
        pair_whiten=np.ascontiguousarray(pair_whiten),
        pair_log=pair_chance + _tempered(peak + _log_diagonal(pair_whiten), prior.step_weight),
    )


def _tempered(log_density: Floats, weight: float) -> Floats:
    """Flatten differences between densities around the usual one, which stays comparable with that of false ones."""
    return np.asarray(_USUAL_LOG_DENSITY + weight * (log_density - _USUAL_LOG_DENSITY))


def _routes(name: str, prior: ChainPrior) -> list[tuple[list[int], float]]:
    """List the unit arcs from a level to each one below it within reach, with the log-probability of the route.

    To one level may lead a single arc and, beside it, the likeliest route over missing bodies (T11 to L1: no T12, or
    one that was not detected).
    """
    best: dict[tuple[str, bool], tuple[list[int], float]] = {}
    queue: deque[tuple[str, list[int], float]] = deque([(name, [], 0.0)])
    while queue:
        upper, units, log = queue.popleft()
        if len(units) == _MAX_UNITS:
            continue
        for arc, (a, lower) in enumerate(ARCS):
            if a != upper:
                continue
            longer = ([*units, arc], log + _arc_log(arc, prior) + (np.log(prior.miss_probability) if units else 0.0))
            key = (lower, len(longer[0]) > 1)
            if key not in best or longer[1] > best[key][1]:
                best[key] = longer
            queue.append((lower, *longer))
    return sorted(best.values(), key=lambda route: (len(route[0]) > 1, LEVELS.index(ARCS[route[0][-1]][1])))


def _arc_log(arc: int, prior: ChainPrior) -> float:
    upper, lower = ARCS[arc]
    rare = {a: prior.rare_probability[f"{a}>{b}"] for a, b in RARE_ARCS}
    if (upper, lower) in RARE_ARCS:
        return float(np.log(max(rare[upper], 1e-12)))
    return float(np.log1p(-min(rare.get(upper, 0.0), 1 - 1e-12)))


def _covariance(prior: ChainPrior, units: list[int]) -> Floats:
    """Covariance (3, 3) of the sum of consecutive unit steps."""
    total = np.zeros((3, 3))
    for i, a in enumerate(units):
        for j, b in enumerate(units):
            total += prior.step_covariance_mm2[a] if i == j else _between(prior, a, b, abs(i - j))
    return total


def _between(prior: ChainPrior, a: int, b: int, apart: int) -> Floats:
    """Covariance (3, 3) of two unit steps some levels apart; beyond the lags known, correlations halve."""
    known = len(prior.step_correlation)
    rho = prior.step_correlation[min(apart, known) - 1] * 0.5 ** max(0, apart - known)
    variance = np.diagonal(prior.step_covariance_mm2[a]) * np.diagonal(prior.step_covariance_mm2[b])
    return np.diag(rho * np.sqrt(variance))


def _at_least(matrix: Floats, floor: Floats) -> Floats:
    """Raise the eigenvalues of a symmetric matrix, seen relative to `floor`, to 1."""
    root = np.linalg.cholesky(floor)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ ((matrix + matrix.T) / 2) @ inverse.T)
    basis = root @ vectors
    return np.asarray((basis * np.maximum(values, 1.0)) @ basis.T)


def _peak(freedom: float) -> float:
    """Log-density at the mean of a three-dimensional Student t with unit scale."""
    return float(gammaln((freedom + 3) / 2) - gammaln(freedom / 2) - 1.5 * np.log(freedom * np.pi))


def _log_diagonal(whiten: Floats) -> Floats:
    return np.asarray(np.log(np.diagonal(whiten, axis1=-2, axis2=-1)).sum(axis=-1))
