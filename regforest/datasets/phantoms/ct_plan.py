"""What the scans of a CT phantom data set will show: patients, views and difficulties, dealt like shuffled decks.

Shares are those of the real data set (242 scans of 125 patients) as far as they are known, and dealing instead of
drawing makes small data sets keep them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.ct_person import Traits

__all__ = ["WIDE_SHARE", "PatientPlan", "ScanPlan", "plan_patients"]

FloatArray = NDArray[np.float64]
_T = TypeVar("_T")

_SCANS_PER_PATIENT = 242 / 125
_LEVELS_IN_VIEW = ([0, 0.05, 0.2, 0.5, 0.8, 0.92, 0.97, 1], [4.5, 6, 8.8, 11.9, 15.5, 19, 23, 26])
# Half of the real scans end in the sacrum and more than a third start at the skull: that is what makes the counts.
_FROM_SKULL, _TO_SACRUM = 0.36, 0.47
_SLICE_SPACING_MM = ((2.5, 0.45), (1.25, 0.2), (0.625, 0.07), (5.0, 0.08), (2.0, 0.06), (3.0, 0.06), (1.0, 0.08))
WIDE_SHARE = 0.10
"""Share of scans with the whole body in the field of view, as in the real data set."""

_FIELD_MM = ([0, 0.1, 0.5, 0.9, 1], [105, 130, 170, 215, 234])
_SHARES = {"scoliosis": 0.22, "implants": 0.25, "fractures": 0.15, "variant": 0.10, "kyphosis": 0.15}
_C3, _T5, _T12, _L4, _L5, _S1 = 2, 11, 18, 22, 23, 24


@dataclass(frozen=True)
class ScanPlan:
    """One scan.

    Attributes
    ----------
    first, last : float
        Nominal levels between which vertebrae are wanted in view.
    field_mm : float
        Edge length of the field of view in plane.
    slice_mm : float
        Slice spacing.
    contrast : {"none", "arterial", "venous"}
        Phase of the contrast medium.
    padded : bool
        Whether a padding value stands outside the reconstructed circle.
    implants : tuple of float
        Nominal levels with screws; the first and the last one, or empty.
    """

    first: float
    last: float
    field_mm: float
    slice_mm: float
    contrast: str
    padded: bool
    implants: tuple[float, ...] = ()

    @property
    def count(self) -> float:
        """Number of levels in view."""
        return self.last - self.first + 1

    def shows(self, nominal: float) -> bool:
        """Whether a nominal level is in view."""
        return self.first <= nominal <= self.last


@dataclass(frozen=True)
class PatientPlan:
    """One patient: traits that last, and the scans in the order they were taken.

    Attributes
    ----------
    traits : Traits
        Diseases and variants; fractures are given by nominal level in `fractures`.
    fractures : tuple of (float, float)
        Nominal level and share of height lost.
    scans : tuple of ScanPlan
        At least one.
    """

    traits: Traits
    fractures: tuple[tuple[float, float], ...]
    scans: tuple[ScanPlan, ...]


def plan_patients(n: int, rng: np.random.Generator, wide_share: float = WIDE_SHARE) -> list[PatientPlan]:
    """Plan `n` scans of about n / 1.94 patients, a share of them with the whole body in the field of view."""
    scans = _plan_scans(n, rng, wide_share)
    counts = _scans_per_patient(n, rng)
    ends = np.cumsum(counts)
    patients = [
        PatientPlan(Traits(), (), tuple(scans[end - count : end])) for end, count in zip(ends, counts, strict=True)
    ]
    rng.shuffle(patients)
    for deal in (_deal_scoliosis, _deal_variant, _deal_fractures, _deal_implants, _deal_kyphosis):
        deal(patients, n, rng)
    return patients


def _dealt(values: Sequence[tuple[_T, float]], n: int, rng: np.random.Generator) -> list[_T]:
    """`n` values in shuffled order, each as often as its share asks."""
    bounds = np.cumsum([share for _, share in values])
    places = (np.arange(n) + rng.random()) / n * bounds[-1]
    deck = [values[int(i)][0] for i in np.searchsorted(bounds, places, side="right")]
    return [deck[i] for i in rng.permutation(n)]


def _spread(table: tuple[Sequence[float], Sequence[float]], n: int, rng: np.random.Generator) -> FloatArray:
    """`n` draws from a table of quantiles, evenly spread, in shuffled order."""
    return np.asarray(rng.permutation(np.interp((np.arange(n) + rng.random(n)) / n, *table)))


def _plan_scans(n: int, rng: np.random.Generator, wide_share: float) -> list[ScanPlan]:
    """Plan scans, sorted by where they look, so that neighbours make good scans of one patient."""
    count = _spread(_LEVELS_IN_VIEW, n, rng)
    field = _spread(_FIELD_MM, n, rng)
    wide = np.array(_dealt([(True, wide_share), (False, 1 - wide_share)], n, rng), bool)
    field[wide] = rng.uniform(350, 420, int(wide.sum()))
    slices = _dealt(_SLICE_SPACING_MM, n, rng)
    contrast = _dealt([("none", 0.7), ("arterial", 0.12), ("venous", 0.18)], n, rng)
    padded = _dealt([(True, 0.3), (False, 0.7)], n, rng)
    scans = []
    for i in range(n):
        first, last = _window((i + 0.5) / n, float(count[i]), rng)
        scans.append(ScanPlan(first, last, float(field[i]), float(slices[i]), str(contrast[i]), bool(padded[i])))
    return scans


def _window(place: float, count: float, rng: np.random.Generator) -> tuple[float, float]:
    """First and last nominal level of a view, from its place in the order from neck to pelvis."""
    room = 26.0 - count
    if place < _FROM_SKULL:
        start = min(room, float(rng.choice([-0.4, -0.4, 0.6, 1.6])))
    elif place > 1 - _TO_SACRUM:
        start = max(0.0, room - float(rng.choice([-0.4, -0.4, -0.4, -0.4, -0.4, 0.6, 1.6])))
    else:
        start = room * (0.15 + 0.7 * (place - _FROM_SKULL) / (1 - _FROM_SKULL - _TO_SACRUM))
    return max(0.0, start), min(25.0, start + count - 1)


def _scans_per_patient(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    patients = max(1, round(n / _SCANS_PER_PATIENT))
    counts = np.ones(patients, np.int64)
    for _ in range(n - patients):
        counts[rng.choice(np.flatnonzero(counts < max(5, -(-n // patients))))] += 1
    return counts


def _deal(
    patients: list[PatientPlan],
    share: float,
    n: int,
    rng: np.random.Generator,
    change: Callable[[PatientPlan], PatientPlan | None],
    hit: Callable[[PatientPlan, ScanPlan], bool],
) -> None:
    """Change patients in random order until a share of all scans is hit; never more than that."""
    wanted, found = round(share * n), 0
    for i in rng.permutation(len(patients)):
        changed = change(patients[i])
        if changed is None:
            continue
        hits = sum(hit(changed, scan) for scan in changed.scans)
        if 0 < hits <= wanted - found:
            patients[i], found = changed, found + hits


def _deal_scoliosis(patients: list[PatientPlan], n: int, rng: np.random.Generator) -> None:
    def change(patient: PatientPlan) -> PatientPlan | None:
        view = max(patient.scans, key=lambda scan: scan.count)
        centre = (view.first + view.last) / 2
        if view.count < 8 or not 10 <= centre <= 22:
            return None
        side = float(rng.choice([-1.0, 1.0]))
        traits = dataclasses.replace(patient.traits, cobb_deg=side * rng.uniform(26, 58), apex=min(centre, 20.5))
        return dataclasses.replace(patient, traits=traits)

    def hit(patient: PatientPlan, scan: ScanPlan) -> bool:
        apex = patient.traits.apex
        return min(scan.last, apex + 3.5) - max(scan.first, apex - 3.5) > 6

    _deal(patients, _SHARES["scoliosis"], n, rng, change, hit)


def _deal_variant(patients: list[PatientPlan], n: int, rng: np.random.Generator) -> None:
    place = {"T13": _T12 + 0.5, "L6": _L5}

    def change(patient: PatientPlan) -> PatientPlan | None:
        name = str(rng.choice(list(place)))
        return dataclasses.replace(patient, traits=dataclasses.replace(patient.traits, variant=name))

    def hit(patient: PatientPlan, scan: ScanPlan) -> bool:
        at = place[patient.traits.variant]
        return scan.shows(at - 1) and scan.shows(at + 1)

    _deal(patients, _SHARES["variant"], n, rng, change, hit)


def _deal_fractures(patients: list[PatientPlan], n: int, rng: np.random.Generator) -> None:
    def change(patient: PatientPlan) -> PatientPlan | None:
        view = patient.scans[0]
        levels = [u for u in range(_T5, _L4 + 1) if view.shows(u - 0.5) and view.shows(u + 0.5)]
        if not levels:
            return None
        weight = np.array([3.0 if 16 <= u <= 20 else 1.0 for u in levels])
        count = min(len(levels), int(rng.choice([1, 1, 2])))
        chosen = rng.choice(levels, count, replace=False, p=weight / weight.sum())
        return dataclasses.replace(
            patient, fractures=tuple((float(u), float(rng.uniform(0.25, 0.55))) for u in chosen)
        )

    def hit(patient: PatientPlan, scan: ScanPlan) -> bool:
        return any(scan.shows(u) for u, _ in patient.fractures)

    _deal(patients, _SHARES["fractures"], n, rng, change, hit)


def _deal_implants(patients: list[PatientPlan], n: int, rng: np.random.Generator) -> None:
    def change(patient: PatientPlan) -> PatientPlan | None:
        view = patient.scans[0]
        low, high = max(_C3, int(np.ceil(view.first))), min(_S1, int(view.last))
        if high - low < 2:
            return None
        length = int(rng.integers(2, min(7, high - low + 1) + 1))
        start = int(rng.integers(low, high - length + 2))
        since = int(rng.integers(0, len(patient.scans))) if rng.random() < 0.5 else 0
        held = (float(start), float(start + length - 1))
        scans = [
            dataclasses.replace(scan, implants=held if i >= since else ()) for i, scan in enumerate(patient.scans)
        ]
        return dataclasses.replace(patient, scans=tuple(scans))

    def hit(_: PatientPlan, scan: ScanPlan) -> bool:
        return bool(scan.implants) and min(scan.last, scan.implants[1]) - max(scan.first, scan.implants[0]) >= 1

    _deal(patients, _SHARES["implants"], n, rng, change, hit)


def _deal_kyphosis(patients: list[PatientPlan], n: int, rng: np.random.Generator) -> None:
    def change(patient: PatientPlan) -> PatientPlan:
        return dataclasses.replace(
            patient, traits=dataclasses.replace(patient.traits, kyphosis_deg=rng.uniform(12, 32))
        )

    _deal(patients, _SHARES["kyphosis"], n, rng, change, lambda _, scan: scan.shows(12) or scan.shows(15))
