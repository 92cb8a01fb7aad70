"""``regforest convert``: landmarks, label images and DICOM results turned into each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regforest.cli._batch import say
from regforest.cli._parser import add_command
from regforest.errors import UsageError

if TYPE_CHECKING:
    from regforest.datasets.label_maps import LabelMap
    from regforest.spatial import Grid

_EXAMPLE = """\
  regforest convert 4517454.lml 4517454.mrk.json --reference 4517454.nii.gz
  regforest convert segmentation.nii.gz centres.mrk.json --labels totalsegmentator
  regforest convert segmentation.nii.gz renumbered.nii.gz --labels totalspineseg --to-labels verse
  regforest convert discs_seg.nii.gz discs.dcm --reference DICOM_FOLDER"""
_TABLES = "verse, totalsegmentator, totalsegmentator-v1, totalsegmentator-mr, totalspineseg, sct or sct-discs"
_DICOM = ".dcm"


def add_commands(commands: Any) -> None:
    """Add ``convert``."""
    parser = add_command(commands, "convert", run, "turn landmarks or a label image into another format", _EXAMPLE)
    parser.add_argument(
        "source",
        type=Path,
        metavar="IN",
        help=".lml, .mrk.json, .fcsv, .csv, .json (VerSe, points), or a label image",
    )
    parser.add_argument(
        "target", type=Path, metavar="OUT",
        help=".lml, .mrk.json, .csv, landmarks.json, VerSe .json, .dcm, or a label image",
    )  # fmt: skip
    parser.add_argument(
        "--reference", type=Path, metavar="IMAGE|DIR",
        help="the image, needed to or from LML, VerSe and voxel indices; for .dcm the folder of the source series",
    )  # fmt: skip
    parser.add_argument("--series-uid", metavar="UID", help="which series of a reference that is DICOM")
    parser.add_argument("--labels", metavar="TABLE", help=f"whose numbers stand in a label image: {_TABLES}")
    parser.add_argument("--to-labels", metavar="TABLE", help="whose numbers to write into a label image")


def run(arguments: argparse.Namespace) -> int:
    """Tell label images from landmarks, read, write."""
    if _is_image(arguments.source):
        _convert_labels(arguments)
    else:
        _convert_landmarks(arguments)
    return 0


def _convert_landmarks(arguments: argparse.Namespace) -> None:
    from regforest.io import read_landmarks, write_landmarks

    source, target = arguments.source, arguments.target
    if _is_image(target):
        raise UsageError(f"{source} holds points: they cannot become the label image {target}")
    if arguments.labels or arguments.to_labels:
        raise UsageError(f"--labels and --to-labels are about label images, {source} holds points")
    if _is_dicom(target):
        _dicom_out().write_dicom_landmarks(read_landmarks(source), target, *_series(arguments))
        return
    grid = _grid(arguments)
    write_landmarks(read_landmarks(source, grid), target, grid)


def _convert_labels(arguments: argparse.Namespace) -> None:
    from regforest.datasets.label_maps import read_label_map
    from regforest.io import write_landmarks

    source, target = arguments.source, arguments.target
    label_map = read_label_map(source, arguments.labels)
    if label_map.unknown:
        values = ", ".join(map(str, label_map.unknown))
        say(f"{source}: these labels are no levels of the table and are left out: {values}")
    if _is_image(target):
        _write_labels(arguments, label_map)
    elif arguments.to_labels:
        raise UsageError(f"--to-labels is about label images, {target} is none")
    elif _is_dicom(target):
        _dicom_out().write_dicom_segmentation(label_map.labels, label_map.names, target, *_series(arguments))
    else:
        write_landmarks(label_map.centroids(), target, _grid(arguments) or label_map.labels.grid)


def _write_labels(arguments: argparse.Namespace, label_map: LabelMap) -> None:
    from regforest.io import image_stem, write_label_image, write_label_tables

    if not arguments.to_labels:
        raise UsageError(f"say which numbers to write into {arguments.target}: --to-labels TABLE, one of {_TABLES}")
    renumbered = label_map.renumbered(arguments.to_labels)
    write_label_image(renumbered.labels, renumbered.names, arguments.target, arguments.source)
    write_label_tables(renumbered.names, arguments.target.with_name(image_stem(arguments.target)))


def _is_image(path: Path) -> bool:
    from regforest.io import image_stem

    return image_stem(path) != path.name


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() == _DICOM


def _grid(arguments: argparse.Namespace) -> Grid | None:
    from regforest.io import read_grid

    return read_grid(arguments.reference, arguments.series_uid) if arguments.reference else None


def _series(arguments: argparse.Namespace) -> tuple[Path, str | None]:
    if arguments.reference is None:
        raise UsageError(f"{arguments.target} refers to a DICOM series: name its folder, --reference DIR")
    return arguments.reference, arguments.series_uid


def _dicom_out() -> Any:
    try:
        from regforest.io import dicom_out
    except ImportError as error:
        raise UsageError(f"DICOM needs more packages ({error}): pip install 'regforest[dicom]'") from error
    return dicom_out
