"""How namings of detections compare with the truth, and the floor that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.chain_files import ChainScan
from regforest.spatial import LEVELS
from regforest.vertebrae.chain_context import RegionDetections
from regforest.vertebrae.identification import Identification

__all__ = ["Verdict", "calibration_error", "floor_naming", "judge", "summarise"]

WITHIN_MM = 15.0
BINS = 10


@dataclass(frozen=True)
class Verdict:
    """How one naming compares with the truth: counts of bodies, and the (probability, right) of each body named."""

    scan: str
    bodies: int
    detected: int
    right: int
    disturbed: bool
    alternative: bool
    confidence: tuple[tuple[float, bool], ...]


def judge(scan: ChainScan, named: Identification) -> Verdict:
    """Compare a naming with the truth: a body is detected (right) when a detection (of its name) is within 15 mm."""
    points, names = scan.detections.points_lps_mm, scan.truth.names
    near = np.linalg.norm(points[:, None] - scan.truth.points_lps_mm[None], axis=2).reshape(-1, len(names))
    seen = near <= WITHIN_MM
    detected = seen.any(axis=0)
    right = _right(named.levels, names, seen)
    body = np.where(seen.any(axis=1), near.argmin(axis=1), -1)
    return Verdict(
        scan=scan.name,
        bodies=len(names),
        detected=int(detected.sum()),
        right=int(right.sum()),
        disturbed=bool((body < 0).any() or not detected.all()),
        alternative=any((_right(levels, names, seen) == detected).all() for levels, _ in named.alternatives[:2]),
        confidence=tuple(
            (float(p), names[b] == name)
            for p, b, name in zip(named.probabilities, body, named.levels, strict=True)
            if b >= 0 and name is not None
        ),
    )


def _right(levels: Sequence[str | None], names: Sequence[str], seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    same = np.array([[level == name for name in names] for level in levels], dtype=bool).reshape(seen.shape)
    return np.asarray((seen & same).any(axis=0))


def summarise(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Rates over all scans: see `interfaces` in the documentation; undefined ones are None."""
    detected = sum(v.detected for v in verdicts)
    wrong = [v for v in verdicts if v.right < v.detected and v.disturbed]
    return {
        "scans": len(verdicts),
        "bodies": detected,
        "bodies_annotated": sum(v.bodies for v in verdicts),
        "bodies_right": sum(v.right for v in verdicts) / detected if detected else None,
        "scans_right": sum(v.right == v.detected for v in verdicts) / len(verdicts) if verdicts else None,
        "calibration_error": calibration_error([pair for v in verdicts for pair in v.confidence]),
        "alternative_holds_truth": sum(v.alternative for v in wrong) / len(wrong) if wrong else None,
    }


def calibration_error(confidence: Sequence[tuple[float, bool]]) -> float | None:
    """Return the expected calibration error over 10 bins of equal count, as a fraction."""
    if not confidence:
        return None
    pairs = np.array(sorted(confidence), dtype=np.float64)
    bins = [b for b in np.array_split(pairs, BINS) if len(b)]
    return float(sum(len(b) * abs(b[:, 0].mean() - b[:, 1].mean()) for b in bins) / len(pairs))


def floor_naming(detections: RegionDetections) -> tuple[str | None, ...]:
    """Name by height without gaps, at the offset that the region scores like best (the published floor)."""
    names = [name for name in LEVELS if name not in ("T13", "S1", "S2")]
    column = np.array(["CTL".index(name[0]) for name in names])
    order = np.argsort(-detections.points_lps_mm[:, 2], kind="stable")
    share = detections.region_scores[order]
    logs = np.log(np.clip(share / np.maximum(share.sum(axis=1, keepdims=True), 1e-9), 1e-6, 1))
    count = len(order)
    totals = [logs[np.arange(count), column[k : k + count]].sum() for k in range(len(names) - count + 1)]
    if not totals:
        return (None,) * count
    first = int(np.argmax(np.array(totals) > max(totals) - 1e-12))
    levels: list[str | None] = [None] * count
    for k, i in enumerate(order):
        levels[i] = names[first + k]
    return tuple(levels)
