"""Is the chain named right? Its appearance, as named and shifted by one level, compared with the training scans.

What lies beyond the two ends of the chain (a sacrum, a body with ribs) belongs to its appearance. Places are numbered
from the one above the first structure: structure s is place s + 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest.discs.patches import Projection
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord

__all__ = ["ShiftModel"]

FloatArray = NDArray[np.float64]
Features = NDArray[np.float32]

_TYPICAL_LOG_ODDS = 6.0
_PRIOR_PATIENTS = 4.0  # weight of the pooled variance of the margins
_MIN_SD = 0.05
_FIELD_FLOOR_MM = 3.0
_FIELD_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class ShiftModel:
    """Appearance of each place in the training scans, and what a shift by one level does to it.

    The misfit of a place is one minus the correlation of its surroundings with their mean in training: what contrast
    the image has does not matter. A margin is the growth of the misfit from the right place to the next one up or
    down, measured on every training patient against the others.

    Attributes
    ----------
    projection : Projection
        Of patch features.
    appearance : ndarray of float32, shape (S + 2, P, K)
        Mean projected features of P points around each place; NaN where no training scan shows it.
    margin_up, margin_down : ndarray, shape (S + 2,)
        Mean margins.
    variance : ndarray, shape (S + 2,)
        Their variance, shrunken towards that of all places.
    temperature : float
        Log-odds are divided by this: structures are not independent, and few patients say little (`_temperature`).
    field_mean_mm, field_sd_mm : ndarray, shape (S,)
        Height of each structure over the centre of the field of view.
    field_extent_mm : ndarray, shape (2,)
        Smallest and largest height of the training fields of view.
    field_count : ndarray of int, shape (1,)
        Training scans that this rests on.
    """

    projection: Projection
    appearance: Features
    margin_up: FloatArray
    margin_down: FloatArray
    variance: FloatArray
    temperature: float
    field_mean_mm: FloatArray
    field_sd_mm: FloatArray
    field_extent_mm: FloatArray
    field_count: NDArray[np.int64]

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], settings: DiscSettings, seed: int
    ) -> ShiftModel:
        """Gather the probes and judge every training patient by the others."""
        parts = [record.fine_features for record in records]
        projection = Projection.fit_parts(parts, settings.fine_patch.components, np.random.default_rng([seed, 6]))
        places = [_places(record, names) for record in records]
        extended = [
            projection(r.probes.reshape(-1, r.probes.shape[-1])).reshape(*r.probes.shape[:3], -1) for r in records
        ]
        known = np.full((len(records), len(names) + 2, *extended[0].shape[2:]), np.nan, np.float32)
        for r, (own, probes) in enumerate(zip(places, extended, strict=True)):
            known[r, own] = probes[:, 1:-1].mean(axis=0)
        patients = np.array([record.patient for record in records])
        up, down = (np.full((len(records), len(names) + 2), np.nan) for _ in range(2))
        for r, (own, probes) in enumerate(zip(places, extended, strict=True)):
            others = _mean_appearance(known[patients != patients[r]])
            above, here, below = (_misfit(others[own], probes[0, i : i + len(own)]) for i in range(3))
            up[r, own], down[r, own] = above - here, below - here
        margin_up, margin_down, variance = _margin_statistics(up, down)
        model = cls(
            projection,
            _mean_appearance(known),
            margin_up,
            margin_down,
            variance,
            1.0,
            *_field_statistics(records, names),
        )
        odds = [float(np.nansum(model._log_odds(x, range(len(names) + 2)))) for x in down]
        odds += [-float(np.nansum(model._log_odds(-x, range(len(names) + 2)))) for x in up]
        return cls(**{**model.__dict__, "temperature": _temperature(np.array(odds), len(set(patients)))})

    def misfit(self, probes: Mapping[int, Features]) -> dict[int, float]:
        """Misfit of each place of a chain from the probes (P, F) of its own view."""
        numbers = sorted(probes)
        values = _misfit(self.appearance[numbers], np.stack([self.projection(probes[place]) for place in numbers]))
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
        """Gaussian log-odds per place: growth ~ margin_down if the upper chain is right, else ~ -margin_up."""
        own = list(numbers)
        up, down = self.margin_up[own], self.margin_down[own]
        return np.asarray((up + down) / self.variance[own] * (growth - (down - up) / 2))


def _places(record: TrainingRecord, names: Sequence[str]) -> list[int]:
    """Places that the probes of a record show, without the outermost, which only serve to measure margins."""
    own = [list(names).index(name) + 1 for name in record.structures]
    return [own[0] - 1, *own, own[-1] + 1]


def _mean_appearance(known: Features) -> Features:
    """Mean over the scans that show a place, (R, S + 2, P, K) -> (S + 2, P, K); NaN where none does."""
    shown = np.isfinite(known)
    count = shown.sum(axis=0)
    total = np.where(shown, known, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _misfit(expected: Features, probes: Features) -> FloatArray:
    """One minus the correlation of features (M, P, K) with those that are expected, shape (M,)."""
    product = (expected * probes).sum(axis=(1, 2))
    lengths = np.sqrt((expected**2).sum(axis=(1, 2)) * (probes**2).sum(axis=(1, 2)))
    return np.asarray(1 - product / np.maximum(lengths, 1e-12), dtype=np.float64)


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
    """Mean margins and shrunken variance per place from (records, S + 2); without any, margins of 0."""
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
