"""Is the chain named right? Its appearance, as named and shifted by one level, compared with the training scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest.discs.patches import Projection
from regforest.discs.training import TrainingRecord

__all__ = ["ShiftModel"]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]

_TYPICAL_LOG_ODDS = 6.0
_PRIOR_PATIENTS = 4.0  # weight of the pooled variance of the margins
_MIN_SD = 0.1
_FIELD_FLOOR_MM = 3.0
_FIELD_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class ShiftModel:
    """Appearance of each structure in the training scans, and what a shift by one level does to it.

    The misfit of a structure is the logarithm of the distance between its surroundings and the most similar
    training views. A margin is the growth of the misfit from the right place to the next one up or down, measured
    on every training patient against the others.

    Attributes
    ----------
    probes : ndarray of float32, shape (R, S, P, K)
        Projected features of P places around each structure in R views; NaN where a view does not show it.
    margin_up, margin_down : ndarray, shape (S,)
        Mean margins.
    variance : ndarray, shape (S,)
        Their variance, shrunken towards that of all structures.
    temperature : float
        Log-odds are divided by this: structures are not independent, and few patients say little (`_temperature`).
    field_mean_mm, field_sd_mm : ndarray, shape (S,)
        Height of each structure over the centre of the field of view.
    field_extent_mm : ndarray, shape (2,)
        Smallest and largest height of the training fields of view.
    field_count : ndarray of int, shape (1,)
        Training scans that this rests on.
    """

    probes: Features
    margin_up: FloatArray
    margin_down: FloatArray
    variance: FloatArray
    temperature: float
    field_mean_mm: FloatArray
    field_sd_mm: FloatArray
    field_extent_mm: FloatArray
    field_count: NDArray[np.int64]

    @classmethod
    def fit(cls, records: Sequence[TrainingRecord], names: Sequence[str], projection: Projection) -> ShiftModel:
        """Gather the probes and judge every training patient by the others."""
        index = [[list(names).index(name) for name in record.structures] for record in records]
        extended = [
            projection(r.probes.reshape(-1, r.probes.shape[-1])).reshape(*r.probes.shape[:3], -1) for r in records
        ]
        known = []
        for own, probes in zip(index, extended, strict=True):
            placed = np.full((len(probes), len(names), *probes.shape[2:]), np.nan, np.float32)
            placed[:, own] = probes[:, 1:-1]
            known.append(placed)
        up, down = (np.full((len(records), len(names)), np.nan) for _ in range(2))
        for r, (own, probes) in enumerate(zip(index, extended, strict=True)):
            others = [k for k, other in zip(known, records, strict=True) if other.patient != records[r].patient]
            if others:
                views = np.concatenate(others)
                above, here, below = (_misfit(views, own, probes[0, i : i + len(own)]) for i in range(3))
                up[r, own], down[r, own] = above - here, below - here
        margin_up, margin_down, variance = _margin_statistics(up, down)
        model = cls(np.concatenate(known), margin_up, margin_down, variance, 1.0, *_field_statistics(records, names))
        odds = [float(np.nansum(model._log_odds(x, range(len(names))))) for x in down]
        odds += [-float(np.nansum(model._log_odds(-x, range(len(names))))) for x in up]
        patients = len({record.patient for record in records})
        return cls(**{**model.__dict__, "temperature": _temperature(np.array(odds), patients)})

    def misfit(self, probes: Mapping[int, Features], projection: Projection) -> dict[int, float]:
        """Misfit of each structure of a chain from the probes (P, F) of its own view."""
        numbers = sorted(probes)
        values = _misfit(self.probes, numbers, [projection(probes[s]) for s in numbers])
        return dict(zip(numbers, values.tolist(), strict=True))

    def log_odds(self, upper: Mapping[int, float], lower: Mapping[int, float]) -> float:
        """Log-odds of a chain against the one shifted one level down, from their misfits."""
        numbers = sorted(upper)
        growth = np.array([lower[s] - upper[s] for s in numbers])
        return float(np.nansum(self._log_odds(growth, numbers))) / self.temperature

    def field_log_score(self, heights_mm: Mapping[int, float], extent_mm: float) -> float:
        """Log-density of the chain's height in the field of view, up to a constant.

        The predictive distribution after n training scans: Student with n - 1 degrees of freedom. A field of view of
        another size than in training (a cropped image) says nothing: 0.
        """
        low, high = self.field_extent_mm
        if not low * (1 - _FIELD_TOLERANCE) <= extent_mm <= high * (1 + _FIELD_TOLERANCE):
            return 0.0
        numbers = sorted(heights_mm)
        away = float(np.mean([heights_mm[s] - self.field_mean_mm[s] for s in numbers]))
        count = int(self.field_count[0])
        freedom = max(count - 1, 1)
        squared = (away / float(np.mean(self.field_sd_mm[numbers]))) ** 2 / (1 + 1 / count)
        return float(-(freedom + 1) / 2 * np.log1p(squared / freedom))

    def _log_odds(self, growth: FloatArray, numbers: Sequence[int]) -> FloatArray:
        """Gaussian log-odds per structure: growth ~ margin_down if the upper chain is right, else ~ -margin_up."""
        own = list(numbers)
        up, down = self.margin_up[own], self.margin_down[own]
        return np.asarray((up + down) / self.variance[own] * (growth - (down - up) / 2))


def _misfit(known: Features, numbers: Sequence[int], probes: Sequence[Features] | Features) -> FloatArray:
    """Logarithm of the mean squared distance to the three most similar views, per structure; NaN if none shows it."""
    values = np.full(len(numbers), np.nan)
    for i, (number, own) in enumerate(zip(numbers, probes, strict=True)):
        squared = ((known[:, number] - own) ** 2).sum(axis=-1).mean(axis=-1)
        squared = np.sort(squared[np.isfinite(squared)])
        if len(squared):
            values[i] = np.log(float(squared[:3].mean()) + 1e-6)
    return values


def _temperature(odds: FloatArray, patients: int) -> float:
    """Calibrate the log-odds on those that the training patients get, each judged by the others.

    A Gaussian of mean m and variance v has the log-odds 2 m x / v at x. v is at least what makes the typical
    patient count as 6, and what the patients show if that is more; few patients tell little about v.
    """
    typical = max(float(np.median(odds)), 1e-3)
    freedom = max(patients - 1, 0.5)
    spread = float(np.mean((odds - typical) ** 2))
    return max(typical / _TYPICAL_LOG_ODDS, spread / (2 * typical)) * (freedom + 2) / freedom


def _margin_statistics(up: FloatArray, down: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean margins and shrunken variance per structure from (records, S); without any, margins of 0."""
    count = np.isfinite(up).sum(axis=0)
    some = np.maximum(count, 1)
    mean_up, mean_down = np.nansum(up, axis=0) / some, np.nansum(down, axis=0) / some
    squares = (np.nansum((up - mean_up) ** 2, axis=0) + np.nansum((down - mean_down) ** 2, axis=0)) / 2
    pooled = squares.sum() / max(int(count.sum()) - 1, 1)
    variance = (squares + _PRIOR_PATIENTS * pooled) / (count + _PRIOR_PATIENTS) + _MIN_SD**2
    return np.maximum(mean_up, 0.0), np.maximum(mean_down, 0.0), variance


def _field_statistics(
    records: Sequence[TrainingRecord], names: Sequence[str]
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int64]]:
    heights = np.full((len(records), len(names)), np.nan)
    for r, record in enumerate(records):
        for name, point in record.chain_mm.items():
            heights[r, list(names).index(name)] = point[2] - record.field_centre_mm[2]
    mean = np.nanmean(heights, axis=0)
    freedom = np.maximum(np.isfinite(heights).sum(axis=0) - 1, 1)
    sd = np.sqrt(np.nansum((heights - mean) ** 2, axis=0) / freedom + _FIELD_FLOOR_MM**2)
    extents = [record.field_extent_mm for record in records]
    return mean, sd, np.array([min(extents), max(extents)]), np.array([len(records)])
