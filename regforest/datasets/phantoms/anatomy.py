"""Where the vertebrae of a person lie: spines drawn from the statistics of real ones.

The statistics are shipped as data (see README.md beside this file for sources and licence): the mean step from each
vertebral body to the next below it with its covariance, and how deviations from it go together along the spine.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.errors import DataError, LevelError
from regforest.spatial import PAPER_LEVELS, level, sort_levels

__all__ = ["StepStatistics", "lag_correlation", "sample_spine", "step_statistics"]

FloatArray = NDArray[np.float64]

# A vertebra that most people lack has steps like those of its neighbours.
_TRANSITIONAL_STEPS = {
    ("T12", "T13"): ("T11", "T12"),
    ("T13", "L1"): ("T12", "L1"),
    ("L5", "L6"): ("L4", "L5"),
    ("L6", "S1"): ("L5", "S1"),
}
# Annotations of source A scatter; no spine may have bodies closer or further apart than this share of the usual.
_LENGTH_RANGE = (0.75, 1.3)


@dataclass(frozen=True, eq=False)
class StepStatistics:
    """The step from one vertebral body centre to the next below it, LPS millimetres.

    Attributes
    ----------
    n : int
        Number of steps seen.
    mean_mm : ndarray, shape (3,)
        Mean step along x (left), y (posterior), z (superior, so negative).
    covariance_mm2 : ndarray, shape (3, 3)
        Covariance over people.
    """

    n: int
    mean_mm: FloatArray
    covariance_mm2: FloatArray


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if line and not line.startswith("#")))


@cache
def step_statistics(source: str = "A") -> Mapping[tuple[str, str], StepStatistics]:
    """Return the statistics of all steps of a source: (upper level, lower level) -> `StepStatistics`.

    Parameters
    ----------
    source : {"A", "B"}
        A: pathological spines, C1 to S2. B: mostly abdominal CT, C1 to L5.

    Raises
    ------
    DataError
        If there is no such source.

    Examples
    --------
    >>> step_statistics("A")["L1", "L2"].mean_mm
    array([  1.36,  -7.95, -32.42])
    """
    table = {}
    for row in _rows("level_offsets.csv"):
        if row["source"] == source:
            xx, xy, xz, yy, yz, zz = (float(row[name]) for name in ("cxx", "cxy", "cxz", "cyy", "cyz", "czz"))
            mean = np.array([float(row[name]) for name in ("dx", "dy", "dz")])
            covariance = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            table[row["upper"], row["lower"]] = StepStatistics(int(row["n"]), mean, covariance)
    if not table:
        raise DataError(f"unknown source of anatomy {source!r}: expected 'A' or 'B'")
    return MappingProxyType(table)


@cache
def lag_correlation(source: str = "A") -> FloatArray:
    """Correlation of standardised deviations 0, 1, 2 and 3 levels apart, along x, y, z; shape (4, 3)."""
    table = np.ones((4, 3))
    for row in _rows("step_correlation.csv"):
        if row["source"] == source:
            table[int(row["lag"]), "xyz".index(row["axis"])] = float(row["correlation"])
    table.setflags(write=False)
    return table


def sample_spine(
    rng: np.random.Generator,
    levels: Sequence[str] = PAPER_LEVELS,
    *,
    source: str = "A",
    spread: ArrayLike = 1.0,
    scale: float = 1.0,
) -> dict[str, FloatArray]:
    """Draw the vertebral body centres of one person.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; one call takes 3 normal numbers a step.
    levels : sequence of str
        Neighbouring vertebrae, in any order; T13 and L6 may stand in.
    source : {"A", "B"}
        Statistics to draw from; where B ends (S1, S2) A goes on.
    spread : float or array_like, shape (3,)
        Deviations from the mean are multiplied by it (along x, y, z); 0 gives the mean spine.
    scale : float
        Size of the person.

    Returns
    -------
    dict of str to ndarray, shape (3,)
        Level -> body centre, LPS millimetres, cranial to caudal; the first level is the origin.

    Raises
    ------
    DataError
        If two of the levels are not neighbours in either source.

    Examples
    --------
    >>> spine = sample_spine(np.random.default_rng(0), ["L1", "L2", "L3"], spread=0)
    >>> spine["L3"].round(2)
    array([  1.83, -14.61, -66.33])
    """
    names = sort_levels(level(name).name for name in levels)
    steps = [_find_step(pair, source) for pair in itertools.pairwise(names)]
    points = np.zeros((len(names), 3))
    if steps:
        means = np.array([step.mean_mm for step in steps])
        deviations = _correlated_deviations(rng, steps, source) * np.broadcast_to(spread, 3)
        points[1:] = np.cumsum(_limit_length(means + deviations, means) * scale, axis=0)
    return dict(zip(names, points, strict=True))


def _find_step(pair: tuple[str, str], source: str) -> StepStatistics:
    pair = _TRANSITIONAL_STEPS.get(pair, pair)
    for table in (step_statistics(source), step_statistics("A")):
        if pair in table:
            return table[pair]
    if any("/" in name for name in pair):
        raise LevelError(f"expected vertebrae, got the discs {pair}")
    raise DataError(f"{pair[0]} and {pair[1]} are not neighbours: expected levels without gaps")


def _correlated_deviations(rng: np.random.Generator, steps: list[StepStatistics], source: str) -> FloatArray:
    """Deviations from the mean steps (n, 3): the covariance of each step, the correlation along the spine."""
    count = len(steps)
    lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    draws = rng.standard_normal((3, count))
    along = np.empty((count, 3))
    for axis, known in enumerate(lag_correlation(source).T):
        fade = known[-1] / known[-2]  # beyond the lags that were measured: geometric
        tail = known[-1] * fade ** np.arange(1, count + 1)
        along[:, axis] = _symmetric_root(np.concatenate([known, tail])[lags]) @ draws[axis]
    return np.array([_factor(step.covariance_mm2) @ row for step, row in zip(steps, along, strict=True)])


def _factor(covariance: FloatArray) -> FloatArray:
    # the symmetric root of the correlation keeps each axis as close to its own draw as can be
    deviation = np.sqrt(np.diag(covariance))
    return np.asarray(deviation[:, None] * _symmetric_root(covariance / np.outer(deviation, deviation)))


def _symmetric_root(correlation: FloatArray) -> FloatArray:
    """Symmetric root of the nearest correlation matrix (measured correlations need not be positive definite)."""
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return np.asarray(root / np.linalg.norm(root, axis=1, keepdims=True))


def _limit_length(steps: FloatArray, means: FloatArray) -> FloatArray:
    length, usual = np.linalg.norm(steps, axis=1), np.linalg.norm(means, axis=1)
    return np.asarray(steps * (np.clip(length, *(usual * bound for bound in _LENGTH_RANGE)) / length)[:, None])
