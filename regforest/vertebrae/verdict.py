"""What a named chain leaves in doubt, in words."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from regforest.spatial import LEVELS, Landmarks, sort_levels
from regforest.vertebrae.chain_prior import ARCS, ChainPrior

__all__ = ["names_in_doubt", "steps_in_doubt"]

_PASSED_OVER = 36.0  # squared Mahalanobis distance of a step too long for the levels that it joins


def names_in_doubt(probabilities: Mapping[str, float], least: float) -> str:
    """Tell which names are less probable than `least`, at any rate the least probable ones.

    Parameters
    ----------
    probabilities : mapping of str to float
        Level -> probability that its name is right.
    least : float
        What a name should have.

    Examples
    --------
    >>> names_in_doubt({"T10": 0.99, "T11": 0.6, "T12": 0.6, "L1": 0.58, "L2": 0.97, "L3": 0.8}, 0.9)
    'names in doubt: T11-L1, L3 (probability 0.58)'
    """
    lowest = min(probabilities.values())
    doubted = sort_levels(name for name, p in probabilities.items() if p < least or p == lowest)
    return f"names in doubt: {', '.join(_runs(doubted))} (probability {lowest:.2f})"


def steps_in_doubt(landmarks: Landmarks, prior: ChainPrior) -> str:
    """Name the first step that passes over a level or is far too long; empty if there is none.

    Parameters
    ----------
    landmarks : Landmarks
        Named bodies, LPS mm.
    prior : ChainPrior
        What steps are like.

    Examples
    --------
    >>> from regforest.vertebrae.chain_prior import default_chain_prior
    >>> steps_in_doubt(Landmarks({"T9": (0, 0, 0), "T11": (0, 0, -50)}), default_chain_prior())
    'no vertebra between T9 and T11'
    """
    for upper, lower in itertools.pairwise(landmarks):
        if (upper, lower) not in ARCS:
            return f"no vertebra between {upper} and {lower}"
        arc = ARCS.index((upper, lower))
        beyond = landmarks[lower] - landmarks[upper] - prior.step_mean_mm[arc]
        longer = np.linalg.norm(landmarks[lower] - landmarks[upper]) > np.linalg.norm(prior.step_mean_mm[arc])
        if longer and beyond @ np.linalg.solve(prior.step_covariance_mm2[arc], beyond) > _PASSED_OVER:
            return f"a vertebra between {upper} and {lower} may have been passed over"
    return ""


def _runs(names: Sequence[str]) -> list[str]:
    """Write levels that follow one another as ranges."""
    order = [LEVELS.index(name) for name in names]
    runs: list[list[str]] = []
    for k, name in enumerate(names):
        follows = k > 0 and (order[k] - order[k - 1] == 1 or (names[k - 1], name) in ARCS)
        runs = [*runs[:-1], [*runs[-1], name]] if follows else [*runs, [name]]
    return [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
