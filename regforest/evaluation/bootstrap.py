"""Confidence intervals over patients.

Vertebrae of one scan, and scans of one patient, share their difficulties; treating them as independent would make
every interval too narrow. What is drawn with replacement is therefore the patient, with all that belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PatientBootstrap"]

_BLOCK = 256  # resamples handled at once by the median: bounds the memory at _BLOCK x values


class PatientBootstrap:
    """Percentile bootstrap whose unit is the patient.

    Parameters
    ----------
    patients : iterable of str
        All patients of the run, also those without a value in some statistic.
    resamples : int
        Number of draws.
    seed : int
        The same seed gives the same intervals, whatever the order of the patients.
    level : float
        Coverage.

    Examples
    --------
    >>> boot = PatientBootstrap(["a", "b", "c"], seed=1)
    >>> boot.mean([1.0, 2.0, 3.0, 4.0], ["a", "a", "b", "c"])
    [1.5, 4.0]
    """

    def __init__(self, patients: Iterable[str], resamples: int = 2000, seed: int = 0, level: float = 0.95) -> None:
        self.patients = sorted(set(patients))
        self._index = {patient: i for i, patient in enumerate(self.patients)}
        self._tails = (50 * (1 - level), 50 * (1 + level))
        count = max(1, len(self.patients))
        # how often each patient occurs in each resample, shape (resamples, patients)
        draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
        self._weights = draws.astype(np.float64)

    def mean(self, values: ArrayLike, patients: Sequence[str]) -> list[float] | None:
        """Interval of the mean over all values; of a rate where the values are 0 or 1.

        Parameters
        ----------
        values : array_like, shape (N,)
            Without NaN.
        patients : sequence of str, length N
            Whose value it is.

        Returns
        -------
        list of float [low, high], or None
            None where fewer than two patients have a value: nothing is known about the spread between patients.
        """
        owner = self._owners(patients)
        if len(np.unique(owner)) < 2:
            return None
        sums = np.bincount(owner, np.asarray(values, dtype=np.float64), minlength=len(self.patients))
        counts = np.bincount(owner, minlength=len(self.patients))
        totals = self._weights @ counts
        return self._interval((self._weights @ sums)[totals > 0] / totals[totals > 0])

    def median(self, values: ArrayLike, patients: Sequence[str]) -> list[float] | None:
        """Interval of the median over all values; parameters and result as for `mean`."""
        owner = self._owners(patients)
        if len(np.unique(owner)) < 2:
            return None
        order = np.argsort(np.asarray(values), kind="stable")
        ranked, owner = np.asarray(values, dtype=np.float64)[order], owner[order]
        blocks = [self._weights[start : start + _BLOCK, owner] for start in range(0, len(self._weights), _BLOCK)]
        return self._interval(np.concatenate([_weighted_medians(ranked, block) for block in blocks]))

    def _owners(self, patients: Sequence[str]) -> NDArray[np.intp]:
        return np.array([self._index[patient] for patient in patients], dtype=np.intp)

    def _interval(self, statistic: NDArray[np.float64]) -> list[float]:
        low, high = np.percentile(statistic, self._tails)
        return [float(low), float(high)]


def _weighted_medians(ranked: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of ascending values repeated `times` (resamples, values); empty resamples are left out."""
    reached = np.cumsum(times, axis=1)
    total = reached[:, -1]
    reached, total = reached[total > 0], total[total > 0]
    # the two middle ranks (1-based) coincide for an odd total
    lower = (reached >= np.floor((total + 1) / 2)[:, None]).argmax(axis=1)
    upper = (reached >= (np.floor(total / 2) + 1)[:, None]).argmax(axis=1)
    return np.asarray((ranked[lower] + ranked[upper]) / 2)
