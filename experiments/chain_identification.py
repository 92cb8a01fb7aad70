"""Identification along the chain alone, on body detections with region scores (ImFusion VID and the like).

Fitted on the pair ``--truth`` and ``--detections`` and judged on the pair ``--held-truth`` and ``--held-detections``,
or 5-fold by patient without one. Truth has the columns scan, patient, level, x, y, z; detections scan, patient, x, y,
z, score_cervical, score_thoracic, score_lumbar; LPS mm, csv or csv.gz. What is fitted, per fold: the steps of the
chain (`fit_chain_prior`) and the meaning of the scores (`RegionEmission`).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.options import seed_number
from regforest.errors import FileError, LevelError, RegForestError, UsageError
from regforest.spatial import LEVELS, Landmarks, level
from regforest.vertebrae.chain_context import RegionDetections
from regforest.vertebrae.chain_prior import ChainPrior, fit_chain_prior
from regforest.vertebrae.emission import RegionEmission
from regforest.vertebrae.identification import Identification, identify

FOLDS = 5
WITHIN_MM = 15.0
BINS = 10
# scalars chosen on out-of-fold predictions of the development set: neighbouring detections share their context, so
# that their scores count for a fifth; steps are in that context already, and count for a tenth
SCORE_WEIGHT, STEP_WEIGHT = 0.2, 0.1
# the scores know how rare L6 is, and a part of it for T13 and an absent T12, of which few examples are seen
RARE = {"T11>L1": 0.1, "T12>T13": 0.1, "L5>L6": 0.5}
_ADVICE = "correct it in the file"
_EXAMPLE = """\
example:
  python -m experiments.chain_identification --truth truth.csv.gz --detections detections.csv.gz

exit status: 0 done, 2 wrong usage, 3 data that cannot be used
"""
_DETECTION_COLUMNS = ("x", "y", "z", "score_cervical", "score_thoracic", "score_lumbar")


@dataclass(frozen=True)
class ChainScan:
    """One scan: its true chain and what the detector gave."""

    name: str
    patient: str
    truth: Landmarks
    detections: RegionDetections


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


def read_scans(truth: Path, detections: Path) -> list[ChainScan]:
    """Read a pair of files; a scan without detections has none, one without truth is left out."""
    points: dict[str, dict[str, list[float]]] = {}
    patients: dict[str, str] = {}
    for row in _rows(truth, ("scan", "patient", "level", "x", "y", "z")):
        chain, name = points.setdefault(row["scan"], {}), _level_name(truth, row)
        if name in chain:
            raise FileError(truth, "each level of a scan once", f"scan {row['scan']}: {name} again", _ADVICE)
        chain[name] = _numbers(truth, row, ("x", "y", "z"))
        patients[row["scan"]] = row["patient"]
    found: dict[str, list[list[float]]] = {name: [] for name in points}
    for row in _rows(detections, ("scan", *_DETECTION_COLUMNS)):
        if row["scan"] in found:
            found[row["scan"]].append(_numbers(detections, row, _DETECTION_COLUMNS))
    scans = []
    for name in sorted(points):
        table = np.array(found[name], dtype=np.float64).reshape(-1, 6)
        detected = RegionDetections(table[:, :3], table[:, 3:])
        scans.append(ChainScan(name, patients[name], Landmarks(points[name]), detected))
    if not scans:
        raise FileError(truth, "at least one scan", "none")
    return scans


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            table = csv.DictReader(file)
            missing = [name for name in columns if name not in (table.fieldnames or ())]
            if missing:
                raise FileError(path, f"the columns {', '.join(columns)}", f"no {', '.join(missing)}")
            yield from table
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise FileError(path, "a csv or csv.gz file", str(error)) from error


def _numbers(path: Path, row: Mapping[str, str], columns: Sequence[str]) -> list[float]:
    found = [row[name] for name in columns]
    try:
        numbers = [float(text) for text in found]
    except (TypeError, ValueError):
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise FileError(path, f"numbers in {', '.join(columns)}", f"scan {row['scan']}: {found}", _ADVICE)
    return numbers


def _level_name(path: Path, row: Mapping[str, str]) -> str:
    try:
        return level(row["level"]).name
    except LevelError as error:
        raise FileError(path, "the name of a level", f"scan {row['scan']}: {error}", _ADVICE) from error


def fold_of_patient(scans: Sequence[ChainScan], seed: int = 0) -> dict[str, int]:
    """Draw the fold of each patient: equal numbers of patients, the same for the same patients and seed."""
    patients = sorted({scan.patient for scan in scans})
    order = np.random.default_rng(seed).permutation(len(patients))
    return {patient: int(k) % FOLDS for patient, k in zip(patients, order, strict=True)}


def chain_prior_for_contexts(chains: Sequence[Landmarks]) -> ChainPrior:
    """Fit the prior to go with `RegionEmission`."""
    prior = fit_chain_prior(chains, score_weight=SCORE_WEIGHT, step_weight=STEP_WEIGHT)
    return replace(prior, rare_probability=RARE)


def name_scans(train: Sequence[ChainScan], test: Sequence[ChainScan], seed: int = 0) -> list[Identification]:
    """Fit on `train`, identify in `test`."""
    truth = [scan.truth for scan in train]
    prior = chain_prior_for_contexts(truth)
    emission = RegionEmission(seed=seed).fit([scan.detections for scan in train], truth)
    scores = emission.level_log_scores([scan.detections for scan in test])
    return [identify(scan.detections.points_lps_mm, s, prior) for scan, s in zip(test, scores, strict=True)]


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


def run(scans: Sequence[ChainScan], held: Sequence[ChainScan] | None, seed: int = 0) -> dict[str, Any]:
    """Judge on the held scans, or 5-fold by patient; returns the summary with the verdicts under ``"verdicts"``."""
    verdicts: list[Verdict] = []
    if held is not None:
        verdicts = [judge(s, n) for s, n in zip(held, name_scans(scans, held, seed), strict=True)]
    else:
        fold = fold_of_patient(scans, seed)
        if len(fold) < FOLDS:
            raise UsageError(f"{FOLDS} folds by patient need {FOLDS} patients, found {len(fold)}; give a held pair")
        for k in range(FOLDS):
            test = [s for s in scans if fold[s.patient] == k]
            named = name_scans([s for s in scans if fold[s.patient] != k], test, seed)
            verdicts += [judge(s, n) for s, n in zip(test, named, strict=True)]
            print(f"fold {k + 1} of {FOLDS}: {summarise(verdicts[-len(test) :])}", file=sys.stderr)
    judged = scans if held is None else held
    floor = [Identification(floor_naming(s.detections), np.ones(len(s.detections.points_lps_mm))) for s in judged]
    baseline = summarise([judge(s, n) for s, n in zip(judged, floor, strict=True)])
    keys = ("bodies_right", "scans_right")
    design = "held" if held is not None else f"{FOLDS}-fold by patient"
    summary = {"experiment": "chain_identification", "design": design}
    return {**summary, **summarise(verdicts), "baseline": {k: baseline[k] for k in keys}, "verdicts": verdicts}


def write(out: Path, result: Mapping[str, Any]) -> None:
    """Write summary.json and per_case.csv."""
    summary = {name: value for name, value in result.items() if name != "verdicts"}
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with (out / "per_case.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["scan", "bodies", "detected", "right", "false_or_missing", "alternative_holds_truth"])
        for v in sorted(result["verdicts"], key=lambda v: v.scan):
            table.writerow([v.scan, v.bodies, v.detected, v.right, int(v.disturbed), int(v.alternative)])


def _make_folder(out: Path) -> None:
    """Make the output folder before any work; raises `UsageError` where that is impossible."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = "is a file" if os.path.isfile(out) else f"cannot be written ({error.strerror})"
        raise UsageError(f"{out} {found}; choose another --out") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment; returns the exit status (0 done, 2 wrong usage, 3 data that cannot be used)."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.chain_identification",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out = Path("results/chain_identification")
    parser.add_argument("--truth", type=Path, required=True, metavar="FILE", help="annotated bodies to fit on")
    parser.add_argument("--detections", type=Path, required=True, metavar="FILE", help="detections in the same scans")
    parser.add_argument("--held-truth", type=Path, metavar="FILE", help="annotated bodies to judge on")
    parser.add_argument("--held-detections", type=Path, metavar="FILE", help="detections in those scans")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--seed", type=seed_number, default=0, metavar="N", help="default: %(default)s")
    options = parser.parse_args(arguments)
    if (options.held_truth is None) != (options.held_detections is None):
        parser.error("--held-truth and --held-detections go together")
    try:
        _make_folder(options.out)
        held = read_scans(options.held_truth, options.held_detections) if options.held_truth else None
        result = run(read_scans(options.truth, options.detections), held, options.seed)
        write(options.out, result)
    except UsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except (RegForestError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 3
    print(json.dumps({name: value for name, value in result.items() if name != "verdicts"}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
