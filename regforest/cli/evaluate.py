"""``regforest evaluate``: folders of results against folders of annotations."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest.cli._batch import Failures, each, say
from regforest.cli._parser import add_command
from regforest.errors import DataError, FileError, FrameError

if TYPE_CHECKING:
    from regforest.cli._annotations import Annotation
    from regforest.evaluation import LevelRow, StructureRow
    from regforest.spatial import Landmarks

    _Rows = tuple[list[LevelRow], list[StructureRow]]

_DEFINITIONS = ("closest-annotation", "closest-prediction")
_EXAMPLE = """\
  regforest evaluate --predicted labelled --reference spine-test-data
  regforest evaluate --predicted discs --reference lumbar_data --json > summary.json"""


def add_commands(commands: Any) -> None:
    """Add ``evaluate``."""
    parser = add_command(commands, "evaluate", run, "compare landmarks or label images with a reference", _EXAMPLE)
    parser.add_argument("--predicted", type=Path, required=True, metavar="DIR", help="results")
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR", help="annotations")
    parser.add_argument(
        "--definition", choices=_DEFINITIONS, default=_DEFINITIONS[0],
        help="what counts as identified (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Match cases by name, judge each, print the summary."""
    from regforest.cli._annotations import find_annotations, find_references

    predicted, (reference, faults) = find_annotations(arguments.predicted), find_references(arguments.reference)
    failures = Failures()
    for case, error in faults.items():
        failures.add(case, DataError(error))
    for case in sorted(predicted.keys() - reference.keys()):
        say(f"{case}: no reference, left out")
    missing = sorted(reference.keys() - predicted.keys())
    if len(missing) == len(reference):
        found = f"other cases ({', '.join(sorted(predicted)[:3])})"
        wanted = f"predictions named as the reference ({', '.join(sorted(reference)[:3])})"
        raise FileError(arguments.predicted, wanted, found, "rename the files")
    if missing:
        say(f"{', '.join(missing)}: no prediction, counts as missed")
    pairs = [(reference[case], predicted.get(case)) for case in sorted(reference)]
    by_masks = any(found.labels for found in predicted.values()) and any(truth.labels for truth in reference.values())
    judged = each(
        pairs,
        lambda pair: pair[0].case,
        lambda pair: _judge(*pair, arguments.definition, by_masks),
        failures,
        fatal=FrameError,
    )
    rows = [rows for _, rows in judged]
    if not rows:
        raise DataError(f"{arguments.reference}: no case could be judged; see the messages above")
    summary = _summary(rows, arguments.definition, by_masks)
    print(json.dumps(summary, indent=1) if arguments.json else _table(summary))
    return failures.exit_code


def _judge(truth: Annotation, found: Annotation | None, definition: str, by_masks: bool) -> _Rows:
    """Judge one case; where it has no prediction, everything annotated counts as missed."""
    from regforest.cli._annotations import read_pair
    from regforest.evaluation import evaluate_case
    from regforest.spatial import Landmarks

    if by_masks and truth.labels:
        structures, reference, predicted = _judge_masks(truth, found)
    else:
        structures, (reference, predicted) = [], read_pair(truth, found)
    predicted = Landmarks({}, frame=reference.frame) if predicted is None else predicted
    levels = evaluate_case(predicted, reference, definition, case=truth.case, patient=truth.patient)
    return levels, structures


def _judge_masks(
    truth: Annotation, found: Annotation | None
) -> tuple[list[StructureRow], Landmarks, Landmarks | None]:
    import numpy as np

    from regforest.datasets.masks import centroids
    from regforest.evaluation import divided_labels, evaluate_structures
    from regforest.spatial import AnnotatedScan, Landmarks, Volume

    labels, names = truth.read_labels()
    scan = AnnotatedScan(truth.case, truth.patient, {"labels": labels}, centroids(labels, names), labels, names)
    # a case that nobody predicted counts with an empty mask: leaving it out would improve the means
    predicted: Volume | None = Volume(np.zeros_like(labels.voxels), labels.grid) if found is None else None
    landmarks, predicted_names = None, dict(names)
    if found is not None:
        if found.labels:
            predicted, predicted_names = found.read_labels(default_names=names)
            if not predicted_names:  # binary, as the challenge takes it
                predicted, predicted_names = divided_labels(predicted, labels, truth.case), names
            landmarks = centroids(predicted, predicted_names)
        if found.landmarks:
            landmarks = found.read_landmarks(labels.grid)
    rows = evaluate_structures(scan, landmarks or Landmarks({}), predicted, predicted_names)
    return rows, scan.landmarks, landmarks


def _summary(rows: Sequence[_Rows], definition: str, by_masks: bool) -> dict[str, Any]:
    from regforest.evaluation import summarize, summarize_structures

    regions = summarize([row for levels, _ in rows for row in levels])
    summary: dict[str, Any] = {"definition": definition, "cases": len(rows), "regions": regions}
    if by_masks:
        summary |= summarize_structures([row for _, structures in rows for row in structures])
    return summary


def _table(summary: Mapping[str, Any]) -> str:
    cases = f"{summary['cases']} cases"
    if "structures" not in summary:
        head = (
            f"{'region':<10}{'annotated':>10}{'median mm':>10}{'mean mm':>10}{'std mm':>10}{'identified':>12}"
            f"{'missed':>8}{'false':>7}"
        )
        lines = [
            f"{name:<10}{row['annotated']:>10}{_number(row['median_mm']):>10}{_number(row['mean_mm']):>10}"
            f"{_number(row['std_mm']):>10}{_percent(row['identification_rate']):>12}{row['missed']:>8}"
            f"{row['false_alarms']:>7}"
            for name, row in summary["regions"].items()
        ]
        return "\n".join([f"{cases}, identified: {summary['definition']}", head, *lines])
    head = f"{'structure':<10}{'annotated':>10}{'distance mm':>12}{'Dice':>8}{'surface mm':>12}{'missed':>8}"
    lines = [
        f"{name:<10}{row['annotated']:>10}{_number(row['localization_mm']['mean']):>12}"
        f"{_percent(row['dice']['mean']):>8}{_number(row['surface_mm']['mean']):>12}{row['missed']:>8}"
        for name, row in {"all": summary, **summary["structures"]}.items()
    ]
    return "\n".join([cases, head, *lines])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
