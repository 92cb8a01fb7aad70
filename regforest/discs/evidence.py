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

_SHIFTS = (-1, 0, 1)
_TYPICAL_LOG_ODDS = 6.0


@dataclass(frozen=True, eq=False)
class ShiftModel:
    """Appearance of each structure and its surroundings in the training scans.

    Attributes
    ----------
    probes : ndarray of float32, shape (R, S, P, K)
        Projected features of P places around each structure in R views; NaN where a view does not show it.
    temperature : float
        Difference in evidence that changes the odds by a factor e: the typical margin between the right and the
        shifted chain of a training patient, judged by the others, counts as odds of e^6.
    """

    probes: Features
    temperature: float

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], names: Sequence[str], projection: Projection
    ) -> ShiftModel:
        """Gather the probes and judge every training patient by the others."""
        extended = [projection(r.probes.reshape(-1, r.probes.shape[-1])).reshape(*r.probes.shape[:3], -1) for r in records]
        known = []
        for record, probes in zip(records, extended, strict=True):
            placed = np.full((len(probes), len(names), *probes.shape[2:]), np.nan, np.float32)
            placed[:, [list(names).index(name) for name in record.structures]] = probes[:, 1:-1]
            known.append(placed)
        patients = [record.patient for record in records]
        margins = []
        for record, probes in zip(records, extended, strict=True):
            others = [k for k, patient in zip(known, patients, strict=True) if patient != record.patient]
            if not others:
                continue
            index = [list(names).index(name) for name in record.structures]
            scores = {shift: _evidence(np.concatenate(others), index, probes[0, 1 + shift : len(index) + 1 + shift]) for shift in _SHIFTS}
            margins += [scores[0] - scores[-1], scores[0] - scores[1]]
        typical = float(np.median(margins)) if margins else 0.0
        return cls(np.concatenate(known), max(typical, 1e-3) / _TYPICAL_LOG_ODDS)

    def evidence(self, probes: Mapping[int, Features], projection: Projection) -> float:
        """Log-evidence for a chain, from the probes of each structure's own view: (P, F) for each number."""
        numbers = sorted(probes)
        return _evidence(self.probes, numbers, [projection(probes[s]) for s in numbers]) / self.temperature

    @staticmethod
    def probabilities(evidence: Mapping[int, float]) -> dict[int, float]:
        """Turn the log-evidence of shifted chains into probabilities."""
        shifts = sorted(evidence)
        logits = np.array([evidence[shift] for shift in shifts])
        odds = np.exp(logits - logits.max())
        return {shift: float(p) for shift, p in zip(shifts, odds / odds.sum(), strict=True)}


def _evidence(known: Features, numbers: Sequence[int], probes: Sequence[Features] | Features) -> float:
    """Sum over structures of minus the mean distance to the three nearest views."""
    total = 0.0
    for number, own in zip(numbers, probes, strict=True):
        squared = ((known[:, number] - own) ** 2).sum(axis=-1).mean(axis=-1)
        squared = np.sort(squared[np.isfinite(squared)])
        total -= float(squared[:3].mean()) if len(squared) else 0.0
    return total
