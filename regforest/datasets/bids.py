"""BIDS as a data set: every CT, T1w or T2w image is a case, every subject a patient."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regforest.datasets.bids_files import BidsImage, bids_description, find_annotations, find_images
from regforest.datasets.case import Case, Dataset, Fault
from regforest.datasets.label_maps import select_levels
from regforest.datasets.masks import labels_on_grid
from regforest.errors import DataError, FileError
from regforest.io import read_bids_labels, read_label_names, read_landmarks, read_volume, split_name
from regforest.spatial import AnnotatedScan, Volume, level_table

__all__ = ["BidsCase", "open_bids"]

_ADVICE = "see BIDS in the table of formats in the documentation"


@dataclass(frozen=True)
class BidsCase(Case):
    """An image of a BIDS data set.

    Attributes
    ----------
    points_file : Path or None
        Centroids; they come before those of the mask, which may be of whole vertebrae, arches included.
    """

    points_file: Path | None = None

    def read_channels(self) -> dict[str, Volume]:
        """Read the image; raises `FileError`."""
        return {name: read_volume(path) for name, path in self.image_files.items()}

    def load(self) -> AnnotatedScan:
        """Read image and annotation.

        Labels that are no levels (cord, sacrum) are set to background, and a note says which.

        Raises
        ------
        FileError, DataError
            If a file cannot be read, there is no annotation, or nothing tells what the labels mean.
        """
        if self.annotation_file is None:
            raise DataError(
                f"{self.name}: no annotation below derivatives, expected <entities>_dseg.nii.gz or _ctd.json"
            )
        channels = self.read_channels()
        if self.annotation_file == self.points_file:
            points = read_landmarks(self.points_file, channels["image"].grid)
            return AnnotatedScan(self.name, self.patient, channels, points)
        mask = self.annotation_file
        found = select_levels(read_volume(mask), _label_names(mask), str(mask))
        labels, misplaced = labels_on_grid(found.labels, channels, str(mask))
        left_out = ", ".join(map(str, found.unknown))
        notes = [misplaced, f"{mask}: labels that are no levels are left out: {left_out}" if left_out else ""]
        points = read_landmarks(self.points_file, channels["image"].grid) if self.points_file else found.centroids()
        return AnnotatedScan(
            self.name, self.patient, channels, points, labels, dict(found.names), tuple(filter(None, notes))
        )


def open_bids(root: Path) -> Dataset:
    """Open a BIDS folder; no image is read.

    Images without an annotation are cases too: they can be labelled, not learned from.

    Parameters
    ----------
    root : Path
        Folder with ``dataset_description.json`` and the subjects (or ``rawdata`` with them).

    Returns
    -------
    Dataset

    Raises
    ------
    FileError
        If a folder, the description or ``participants.tsv`` cannot be used, or there is no image.
    """
    images, unreadable = find_images(root)
    if not images and not unreadable:
        raise FileError(root, "images such as sub-01/anat/sub-01_T2w.nii.gz", "none", _ADVICE)
    annotations, hidden = find_annotations(root, images)
    cases: list[Case] = []
    faults = [
        Fault(path.name, "open", f"{path}: this folder cannot be listed; correct its rights")
        for path in (*unreadable, *hidden)
    ]
    for name in sorted({image.name for image in images}):
        files = [image for image in images if image.name == name]
        found = annotations.get(name, {})
        doubled = [image.path for image in files], found.get("masks", []), found.get("points", [])
        crowded = next((paths for paths in doubled if len(paths) > 1), None)
        if crowded:
            shown = " and ".join(str(path.relative_to(root)) for path in crowded)
            error = FileError(root, f"one file of a kind for {name}", shown, "remove one of them")
            faults.append(Fault(name, "open", str(error)))
        else:
            cases.append(_case(files[0], found))
    about = bids_description(root)
    name, terms = str(about.get("Name") or root.name), str(about.get("License") or "")
    notes = tuple(_notes(root, images, cases))
    return Dataset(name, "bids", root, tuple(cases), tuple(faults), terms, _citation(about), notes)


def _case(image: BidsImage, found: Mapping[str, list[Path]]) -> BidsCase:
    (mask,), (points,) = found.get("masks", [None]), found.get("points", [None])
    return BidsCase(image.name, image.subject, {"image": image.path}, mask or points, points)


def _citation(about: Mapping[str, Any]) -> str:
    links = about.get("ReferencesAndLinks")
    return str(about.get("HowToAcknowledge") or ", ".join(map(str, links if isinstance(links, list) else [])))


def _notes(root: Path, images: list[BidsImage], cases: list[Case]) -> list[str]:
    bare = sum(case.annotation_file is None for case in cases)
    notes = [f"{bare} of {len(cases)} images have no annotation below derivatives"] if bare else []
    absent = sorted(_participants(root) - {image.subject for image in images})
    return notes + ([f"in participants.tsv, but without an image: {', '.join(absent)}"] if absent else [])


def _participants(root: Path) -> set[str]:
    path = root / "participants.tsv"
    if not os.path.lexists(path):
        return set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            if "participant_id" not in (reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise FileError(path, "the column participant_id, separated by tabs", found, "correct it in the file")
            return {row["participant_id"] for row in reader if row["participant_id"]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(path, "a table of participants", str(error), "correct it in the file") from error


def _label_names(mask: Path) -> Mapping[int, str]:
    """Learn what values mean: from the header, a table beside or above the mask, or, as VerSe's numbers."""
    stem = split_name(mask, (".nii", ".nii.gz"))[0]
    tables = [mask.with_name(f"{stem}.tsv"), *(folder / "dseg.tsv" for folder in mask.absolute().parents[:5])]
    table = next((path for path in tables if os.path.isfile(path)), None)
    names = read_label_names(mask) or (read_bids_labels(table) if table else {})
    if not names and stem.endswith("_msk"):
        return level_table("verse")
    if not names:
        raise FileError(tables[0], f"the names of the labels in {mask.name}", "no file", "write one: index, name")
    return names
