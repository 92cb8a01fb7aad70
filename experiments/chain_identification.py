"""Identification along the chain alone, on body detections with region scores (ImFusion VID and the like).

Fitted on the pair ``--truth`` and ``--detections`` and judged on the pair ``--held-truth`` and ``--held-detections``,
or 5-fold by patient without one. Truth has the columns scan, patient, level, x, y, z; detections scan, patient, x, y,
z, score_cervical, score_thoracic, score_lumbar; LPS mm, csv or csv.gz. What is fitted, per fold: the steps of the
chain (`fit_chain_prior`) and the meaning of the scores (`RegionEmission`).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.chain_files import ChainScan, read_scans
from experiments.chain_verdict import Verdict, floor_naming, judge, summarise
from experiments.options import seed_number
from regforest.errors import RegForestError, UsageError
from regforest.spatial import Landmarks
from regforest.vertebrae.chain_prior import ChainPrior, fit_chain_prior
from regforest.vertebrae.emission import RegionEmission
from regforest.vertebrae.identification import Identification, identify

FOLDS = 5
# scalars chosen on out-of-fold predictions of the development set: neighbouring detections share their context, so
# that their scores count for a fifth; steps are in that context already, and count for a tenth
SCORE_WEIGHT, STEP_WEIGHT = 0.2, 0.1
# the scores know how rare L6 is, and a part of it for T13 and an absent T12, of which few examples are seen
RARE = {"T11>L1": 0.1, "T12>T13": 0.1, "L5>L6": 0.5}
_EXAMPLE = """\
example:
  python -m experiments.chain_identification --truth truth.csv.gz --detections detections.csv.gz

exit status: 0 done, 2 wrong usage, 3 data that cannot be used
"""


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
