"""``regforest inspect``: look at files and data sets."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest.cli._batch import Failures, each, say, with_progress
from regforest.cli._parser import add_command
from regforest.cli._rows import case_row, geometry, row_text, stack_row
from regforest.errors import DataError, FileError, UsageError

if TYPE_CHECKING:
    from regforest.datasets import Dataset

_INSPECT_EXAMPLE = """\
  regforest inspect scan.nii.gz
  regforest inspect /data/spine-ct --json > remarks.json
  regforest inspect /data/spine-ct --export suspicious.csv
  regforest inspect dicom_study.zip"""


def add_commands(commands: Any) -> None:
    """Add ``inspect``."""
    inspect = add_command(
        commands, "inspect", run_inspect, "what a file or data set holds, and what looks suspicious", _INSPECT_EXAMPLE
    )
    inspect.add_argument("path", type=Path, metavar="PATH", help="image, landmarks, DICOM, or a data set's folder")
    inspect.add_argument(
        "--layout", choices=("auto", "spine-ct", "ivdm3seg", "labelled-folder", "lumbar-mri", "bids"), default="auto",
        help="of a data set (default: told from the files)",
    )  # fmt: skip
    inspect.add_argument("--json", action="store_true", help="print JSON")
    inspect.add_argument(
        "--export", type=Path, metavar="FILE.csv", help="of a data set: write what looks suspicious, scan by scan"
    )


def run_inspect(arguments: argparse.Namespace) -> int:
    """Tell images, landmarks and data sets apart and describe them."""
    path = arguments.path
    is_dicom = _is_dicom(path, arguments.layout)
    if os.path.isdir(path) and not is_dicom:
        return _inspect_dataset(arguments)
    if arguments.export:
        raise UsageError("--export is an option for the folder of a data set")
    if is_dicom:
        return _inspect_dicom(arguments)
    content = _describe_file(path)
    if arguments.json:
        print(json.dumps(content, indent=1))
        return 0
    for key, value in content.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for name, item in value.items():
                print(f"  {name}: {_plain(item)}")
        else:
            print(f"{key}: {_plain(value)}")
    return 0


def _describe_file(path: Path) -> dict[str, Any]:
    from regforest.datasets.annotation_checks import spine_remarks
    from regforest.io import image_stem, landmark_stem, read_label_names, read_landmarks, read_volume

    if image_stem(path) != path.name:
        volume = read_volume(path)
        values = {"type": str(volume.voxels.dtype), "least": float(volume.voxels.min())}
        values |= {"greatest": float(volume.voxels.max()), "mean": round(float(volume.voxels.mean()), 3)}
        labels = {str(value): name for value, name in read_label_names(path).items()}
        return {"image": str(path), **geometry(volume.grid), "values": values} | (
            {"labels": labels} if labels else {}
        )
    if landmark_stem(path) != path.name:
        landmarks = read_landmarks(path)
        return {
            "landmarks": str(path),
            "frame": f"{landmarks.frame} mm",
            "points": {name: [round(float(x), 3) for x in landmarks[name]] for name in landmarks},
            "remarks": spine_remarks(landmarks),
        }
    found = "another file" if os.path.lexists(path) else "nothing"
    raise FileError(path, "an image, a landmark file or the folder of a data set", found, "check the name")


def _is_dicom(path: Path, layout: str) -> bool:
    """Tell DICOM from other files, and from the folder of a data set."""
    from regforest.datasets import detect_layout
    from regforest.io import image_stem, landmark_stem
    from regforest.io.dicom import holds_dicom, may_be_dicom

    if not os.path.isdir(path):
        return image_stem(path) == landmark_stem(path) == path.name and may_be_dicom(path)
    try:
        return layout == "auto" and not detect_layout(path)
    except FileError:
        return holds_dicom(path)


def _inspect_dicom(arguments: argparse.Namespace) -> int:
    from regforest.io.dicom import list_dicom

    contents = list_dicom(arguments.path)
    rows = [stack_row(stack) for stack in contents.stacks]
    if arguments.json:
        print(json.dumps({"dicom": str(arguments.path), "notes": contents.notes, "series": rows}, indent=1))
        return 0
    print(f"{arguments.path}: DICOM, {len(rows)} stacks of slices")
    for text in (*contents.notes, *map(row_text, rows)):
        print(text)
    return 0


def _inspect_dataset(arguments: argparse.Namespace) -> int:
    from regforest.datasets import open_dataset

    dataset = open_dataset(arguments.path, arguments.layout)
    failures = Failures()
    for fault in dataset.faults:
        failures.add(fault.case, DataError(fault.error))
    shown = with_progress(dataset.cases, len(dataset.cases), "scan", "inspect")
    rows = [row for _, row in each(shown, lambda case: case.name, case_row, failures)]
    if arguments.export:
        _export(arguments.export, rows, failures)
    if arguments.json:
        head = {name: getattr(dataset, name) for name in ("layout", "terms", "citation", "notes")}
        print(json.dumps({"dataset": dataset.name, **head, "cases": rows, "failed": failures}, indent=1))
    else:
        _print_dataset(dataset, rows)
    return failures.exit_code


def _print_dataset(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> None:
    print(f"{dataset.name}: layout {dataset.layout}, {len(dataset.cases)} cases, {len(dataset.faults)} unusable")
    for text in (dataset.terms, dataset.citation, *dataset.notes):
        if text:
            print(f"  {text}")
    for row in rows:
        print(row_text(row))


def _export(path: Path, rows: Sequence[Mapping[str, Any]], failures: Mapping[str, str]) -> None:
    """Write one line for each remark, ready to be sent to the owners of the data."""
    import csv
    import io

    from regforest.io import write_text

    found = [(row["case"], row["patient"], remark) for row in rows for remark in row["remarks"]]
    found += [(case, "", error) for case, error in failures.items()]
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("case", "patient", "remark"))
    table.writerows(sorted(found))
    write_text(path, text.getvalue())
    named = len({case for case, _, _ in found})
    say(f"written: {path}, {len(found)} remarks on {named} of {len(rows) + len(failures)} cases")


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
