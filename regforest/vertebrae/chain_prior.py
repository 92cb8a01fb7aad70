"""What is known of spines before an image is seen: steps between bodies, and what detectors do wrong."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest._limits import check_limits
from regforest.errors import DataError
from regforest.spatial import LEVELS, PAPER_LEVELS

__all__ = ["ARCS", "RARE_ARCS", "STAND_INS", "ChainPrior", "default_chain_prior", "fit_chain_prior"]

Floats = NDArray[np.float64]

STAND_INS: dict[tuple[str, str], tuple[str, str]] = {
    ("T11", "L1"): ("T11", "T12"),
    ("T12", "T13"): ("T12", "L1"),
    ("T13", "L1"): ("T12", "L1"),
    ("L5", "L6"): ("L4", "L5"),
    ("L6", "S1"): ("L5", "S1"),
}
"""Unusual step -> the usual one that stands in for it in the shipped prior, because too few examples were seen."""

RARE_ARCS: tuple[tuple[str, str], ...] = (("T11", "L1"), ("T12", "T13"), ("L5", "L6"))
"""Steps that make a spine unusual: no T12, a T13, an L6."""

ARCS: tuple[tuple[str, str], ...] = (*itertools.pairwise(PAPER_LEVELS), *STAND_INS)
"""Steps from a level to the next one below it that spines have: the usual 25, then those of T13, L6 and no T12."""

_SHAPES: dict[str, tuple[int | None, ...]] = {
    "step_mean_mm": (len(ARCS), 3), "step_covariance_mm2": (len(ARCS), 3, 3), "step_correlation": (None, 3),
    "start_log": (len(LEVELS),), "end_log": (len(LEVELS),),
}  # fmt: skip
_MAX_VALUE = 1e6
_LIMITS = {
    "miss_probability": (1e-12, 1), "false_per_mm3": (1e-15, 1), "double_probability": (1e-12, 1),
    "freedom": (0.1, 1e9), "step_weight": (0, 100), "score_weight": (0, 100),
}  # fmt: skip
_SHRINKAGE = 10.0  # examples that the default statistics of a step count for
_RARE_SHRINKAGE = 300.0  # spines: shares of populations, which some dozen scans do not move
_OUTLIER_MM = 20.0  # a step this far from the median is an error of annotation, as in the tables shipped


@dataclass(frozen=True, eq=False)
class ChainPrior:
    """Statistics of spines and of detections, all that `identify` knows beside its input.

    Attributes
    ----------
    step_mean_mm : ndarray, shape (30, 3)
        Mean step (LPS mm) along each of `ARCS`.
    step_covariance_mm2 : ndarray, shape (30, 3, 3)
        Its covariance.
    step_correlation : ndarray, shape (lags, 3)
        Correlation per axis of the standardised deviations of two steps that are 1, 2, ... levels apart.
    rare_probability : mapping of str to float
        Arc of `RARE_ARCS` as ``"upper>lower"`` -> share of spines that have it.
    start_log, end_log : ndarray, shape (28,)
        Natural log-weight of a chain's first and last named level; zeros know nothing of the field of view.
    miss_probability : float
        Probability that a body between two detected ones was not detected.
    false_per_mm3 : float
        Density in space of false detections.
    double_probability : float
        Probability that a body is marked twice.
    freedom : float
        Degrees of freedom of the steps' Student t density: how heavy the tails are.
    step_weight, score_weight : float
        Exponents of the steps' and the scores' likelihoods (below 1: what was modelled as independent is not). On
        real chains the steps' full weight made the naming worse and too sure; 0.1 to 0.35 did alike.
    """

    step_mean_mm: Floats
    step_covariance_mm2: Floats
    step_correlation: Floats
    rare_probability: Mapping[str, float]
    start_log: Floats
    end_log: Floats
    miss_probability: float = 0.03
    false_per_mm3: float = 1e-6
    double_probability: float = 0.02
    freedom: float = 6.0
    step_weight: float = 0.25
    score_weight: float = 1.0

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)
        for name, shape in _SHAPES.items():
            array = getattr(self, name)
            if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
                raise DataError(f"not a chain prior: {name} should have shape {shape}, found {array.shape}")
            if not (np.abs(array) <= _MAX_VALUE).all():  # False for NaN
                raise DataError(f"not a chain prior: {name} should hold numbers up to {_MAX_VALUE:g}")
        if not len(self.step_correlation) or np.abs(self.step_correlation).max() > 1:
            raise DataError("not a chain prior: step_correlation should lie within -1 and 1")
        rare = {f"{upper}>{lower}" for upper, lower in RARE_ARCS}
        shares = self.rare_probability.values()
        if set(self.rare_probability) != rare or not all(type(n) is not bool and 0 <= n <= 1 for n in shares):
            raise DataError(f"not a chain prior: rare_probability should give shares of {sorted(rare)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the prior as JSON types."""
        values = vars(self).copy()
        values["rare_probability"] = dict(self.rare_probability)
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChainPrior:
        """Make a prior of `to_dict`'s result; `DataError` if something is missing or makes no sense.

        Examples
        --------
        >>> prior = default_chain_prior()
        >>> ChainPrior.from_dict(prior.to_dict()).to_dict() == prior.to_dict()
        True
        """
        try:
            arrays = {name: np.asarray(values[name], dtype=np.float64) for name in _SHAPES}
            return cls(**{**values, **arrays})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"not a chain prior: {error}") from error


@lru_cache(maxsize=1)
def default_chain_prior() -> ChainPrior:
    """Return the shipped prior: tables of real spines (`data/README.md` names the sources and their terms)."""
    text = resources.files("regforest.vertebrae").joinpath("data/chain_prior.json").read_text(encoding="utf-8")
    return ChainPrior.from_dict(json.loads(text))


def fit_chain_prior(
    chains: Iterable[Mapping[str, ArrayLike]], *, default: ChainPrior | None = None, **settings: float
) -> ChainPrior:
    """Fit step statistics and rare anatomy to annotated spines.

    Means and covariances are drawn towards those of `default` with the weight of 10 examples, so that a step never
    seen keeps its default; shares of rare anatomy with that of 300 spines. Annotations with a level left out
    contribute the steps that they have. The ends stay those of `default`: where annotations begin and end is not
    where detections do (S1, bodies cut at the border).

    Parameters
    ----------
    chains : iterable of Landmarks, or of mappings from level to point
        One spine each, body centres in LPS mm.
    default : ChainPrior, optional
        What to fall back on; the shipped prior if not given.
    **settings : float
        The scalar attributes of `ChainPrior` to set instead of those of `default`.

    Raises
    ------
    DataError
        If there is no chain with a step between neighbouring levels.
    """
    base = default or default_chain_prior()
    spines = [{name: np.asarray(chain[name], dtype=np.float64) for name in chain} for chain in chains]
    steps = [np.array([s[b] - s[a] for s in spines if _has(s, a, b)]).reshape(-1, 3) for a, b in ARCS]
    if not any(len(step) for step in steps):
        raise DataError(f"a chain prior needs annotated neighbours, found none in {len(spines)} chains")
    mean, covariance = base.step_mean_mm.copy(), base.step_covariance_mm2.copy()
    for arc, step in enumerate(steps):
        mean[arc], covariance[arc] = _shrunk(_without_outliers(step), mean[arc], covariance[arc])
    values: dict[str, Any] = {
        **vars(base),
        "step_mean_mm": mean,
        "step_covariance_mm2": covariance,
        "step_correlation": _correlation(spines, mean, covariance, base.step_correlation),
        "rare_probability": _rare(spines, base.rare_probability),
    }
    return ChainPrior(**{**values, **settings})


def _has(spine: Mapping[str, Floats], upper: str, lower: str) -> bool:
    """Whether a spine shows two levels and none between them."""
    between = LEVELS[LEVELS.index(upper) + 1 : LEVELS.index(lower)]
    return upper in spine and lower in spine and not any(name in spine for name in between)


def _without_outliers(step: Floats) -> Floats:
    if len(step) == 0:
        return step
    return np.asarray(step[np.linalg.norm(step - np.median(step, axis=0), axis=1) < _OUTLIER_MM])


def _shrunk(step: Floats, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of `step` (n, 3), drawn towards the given ones."""
    n, k = len(step), _SHRINKAGE
    if n == 0:
        return mean, covariance
    centre = (step.sum(axis=0) + k * mean) / (n + k)
    apart = mean - centre
    spread = (step - centre).T @ (step - centre)
    return centre, (spread + k * (covariance + np.outer(apart, apart))) / (n + k)


def _correlation(spines: Sequence[Mapping[str, Floats]], mean: Floats, covariance: Floats, default: Floats) -> Floats:
    """Correlation per axis of standardised deviations along the usual 25 steps, by lag."""
    usual, sd = ARCS[: len(PAPER_LEVELS) - 1], np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    z = np.full((len(spines), len(usual), 3), np.nan)
    for row, spine in enumerate(spines):
        for arc, (a, b) in enumerate(usual):
            if _has(spine, a, b):
                z[row, arc] = np.clip((spine[b] - spine[a] - mean[arc]) / sd[arc], -4, 4)
    result = default.copy()
    for lag in range(1, min(len(default), len(usual) - 1) + 1):
        product = (z[:, lag:] * z[:, :-lag]).reshape(-1, 3)
        product = product[np.isfinite(product[:, 0])]
        n, k = len(product), _SHRINKAGE
        result[lag - 1] = (product.sum(axis=0) + k * default[lag - 1]) / (n + k)
    return np.clip(result, -0.95, 0.95)


def _rare(spines: Sequence[Mapping[str, Floats]], default: Mapping[str, float]) -> dict[str, float]:
    """Share of spines with each rare arc, drawn towards the default."""
    result = {}
    for upper, lower in RARE_ARCS:
        usual = next(b for a, b in ARCS if a == upper)
        # many data sets end at the last lumbar body: there every spine with an L5 tells whether it has an L6
        shown = [s for s in spines if upper in s and (lower == "L6" or usual in s or lower in s)]
        count = sum(_has(s, upper, lower) for s in shown)
        name = f"{upper}>{lower}"
        result[name] = (count + _RARE_SHRINKAGE * default[name]) / (len(shown) + _RARE_SHRINKAGE)
    return result
