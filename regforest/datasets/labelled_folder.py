"""The labelled folder: any labelled structures, CT or MR, one or several channels.

::

    DIR/labels.json            {"1": "T11", ...}, needed only where there are label images
    DIR/<case>/image.nii.gz    or image_<channel>.nii.gz; .nii .mha .mhd .nrrd as well
    DIR/<case>/labels.nii.gz   one integer for each structure; or landmarks.json for points only
    DIR/patients.csv           optional: case,patient
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regforest.datasets.case import Case, Dataset, Fault
from regforest.datasets.label_names import read_labels_json, write_labels_json
from regforest.datasets.masks import centroids, grids_agree, integer_labels, labels_on_grid
from regforest.datasets.patients import read_patients, write_patients
from regforest.errors import DataError, FileError, RegForestError
from regforest.io import (
    IMAGE_SUFFIXES,
    list_folder,
    read_landmarks,
    read_volume,
    write_label_image,
    write_landmarks,
    write_volume,
)
from regforest.spatial import AnnotatedScan, Landmarks, Volume

__all__ = ["LabelledCase", "open_labelled_folder", "write_labelled_case", "write_labelled_folder"]

_ADVICE = "see the layout 'labelled-folder' in the documentation"


@dataclass(frozen=True)
class LabelledCase(Case):
    """A case of a labelled folder.

    Attributes
    ----------
    label_names : mapping of int to str
        Value in the label image -> level, as in ``labels.json``; empty for points.
    """

    label_names: Mapping[int, str] = field(default_factory=dict)

    def read_channels(self) -> dict[str, Volume]:
        """Read the images, which must share one grid; raises `FileError` or `DataError`."""
        return read_aligned(self.image_files)

    def load(self) -> AnnotatedScan:
        """Read images and annotation.

        Landmarks of a case with masks are the masks' centroids; structures without a voxel are absent.

        Raises
        ------
        FileError, DataError
            If a file cannot be read, shapes differ, or a label has no name.
        """
        channels = self.read_channels()
        path = self.annotation_file
        if path is None:
            raise DataError(f"{self.name}: no annotation, expected labels.nii.gz or landmarks.json")
        if path.suffix == ".json":
            return AnnotatedScan(self.name, self.patient, channels, _points(path))
        found = read_volume(path)
        checked = Volume(integer_labels(found.voxels, self.label_names, str(path)), found.grid)
        labels, note = labels_on_grid(checked, channels, str(path))
        names = dict(self.label_names)
        notes = (note,) if note else ()
        return AnnotatedScan(self.name, self.patient, channels, centroids(labels, names), labels, names, notes)


def open_labelled_folder(root: Path) -> Dataset:
    """Open a labelled folder; no image is read.

    Sub-folders with an image or an annotation are cases. A case that lacks the one or the other is a fault;
    other folders are mentioned in the notes.

    Parameters
    ----------
    root : Path
        The folder.

    Returns
    -------
    Dataset

    Raises
    ------
    FileError
        If the folder, ``labels.json`` or ``patients.csv`` cannot be used, or there is no case.
    """
    folders = [path for path in list_folder(root)[0] if path.name[0] != "_"]
    names_file, patients_file = root / "labels.json", root / "patients.csv"
    has_patients = os.path.lexists(patients_file)
    label_names = read_labels_json(names_file) if os.path.lexists(names_file) else None
    patients = read_patients(patients_file) if has_patients else {}
    cases: list[Case] = []
    faults: list[Fault] = []
    notes: list[str] = []
    for folder in folders:
        try:
            files = list_folder(folder)[1]
            images, annotations = _image_files(files), _annotation_files(files)
            if not images and not annotations:
                notes.append(f"{folder.name}: left out, neither an image nor an annotation in it")
                continue
            cases.append(_case(folder, images, annotations, label_names, patients.get(folder.name, folder.name)))
        except RegForestError as error:
            faults.append(Fault(folder.name, "open", str(error)))
    if not cases and not faults:
        raise FileError(root, "case folders with image.nii.gz and labels.nii.gz", "none", _ADVICE)
    notes += _patient_notes([case.name for case in cases], patients, has_patients)
    return Dataset(root.name, "labelled-folder", root, tuple(cases), tuple(faults), notes=tuple(notes))


def write_labelled_folder(root: Path, scans: Iterable[AnnotatedScan]) -> None:
    """Write scans as a labelled folder, one at a time; readable by `open_labelled_folder`.

    Parameters
    ----------
    root : Path
        Folder, made when missing.
    scans : iterable of AnnotatedScan
        With one meaning for each label value; scans without masks are written with ``landmarks.json``.

    Raises
    ------
    DataError
        If two scans give one label value different names.
    """
    root.mkdir(parents=True, exist_ok=True)
    names: dict[int, str] = {}
    patients: dict[str, str] = {}
    for scan in scans:
        for value, name in scan.label_names.items():
            if names.setdefault(value, name) != name:
                raise DataError(f"{scan.name}: label {value} means {name}, in other scans {names[value]}")
        write_labelled_case(root, scan)
        patients[scan.name] = scan.patient
    if names:
        write_labels_json(root / "labels.json", names)
    write_patients(root / "patients.csv", patients)


def write_labelled_case(root: Path, scan: AnnotatedScan) -> None:
    """Write the images and the annotation of one scan into its case folder."""
    folder = root / scan.name
    folder.mkdir(parents=True, exist_ok=True)
    for channel, volume in scan.channels.items():
        write_volume(volume, folder / ("image.nii.gz" if channel == "image" else f"image_{channel}.nii.gz"))
    if scan.labels is not None:
        write_label_image(scan.labels, scan.label_names, folder / "labels.nii.gz")
        return
    write_landmarks(scan.landmarks, folder / "landmarks.json")


def read_aligned(files: Mapping[str, Path]) -> dict[str, Volume]:
    """Read the channels of a scan; raises `DataError` unless all lie on one grid (matrices equal to 1e-3)."""
    channels = {channel: read_volume(path) for channel, path in files.items()}
    first, *others = channels
    for channel in others:
        if not grids_agree(channels[first].grid, channels[channel].grid):
            raise DataError(
                f"{files[channel]}: expected the grid of {files[first].name} ({_geometry(channels[first])}), "
                f"found {_geometry(channels[channel])}; resample the channels onto one grid"
            )
    return channels


def strip_suffix(name: str) -> str | None:
    """File name without its image suffix; None for files that are no images."""
    return next((name[: -len(suffix)] for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), None)


def _case(
    folder: Path,
    images: Mapping[str, Path],
    annotations: Mapping[str, Path],
    label_names: Mapping[int, str] | None,
    patient: str,
) -> LabelledCase:
    if not images:
        raise FileError(folder, "image.nii.gz or image_<channel>.nii.gz", "none", _ADVICE)
    if not annotations:
        raise FileError(folder, "labels.nii.gz or landmarks.json", "neither", _ADVICE)
    annotation = annotations.get("labels") or annotations["landmarks"]
    if "labels" in annotations and label_names is None:
        advice = 'write one such as {"1": "T11", "2": "T12"} beside the case folders'
        raise FileError(folder.parent / "labels.json", f"the names of the labels in {annotation}", "no file", advice)
    return LabelledCase(folder.name, patient, images, annotation, label_names or {})


def _image_files(listed: Iterable[Path]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in listed:
        stem = strip_suffix(path.name)
        if stem is None or not (stem == "image" or stem.startswith("image_")):
            continue
        channel = stem.removeprefix("image_")
        if channel in files:
            found = f"{files[channel].name} and {path.name}"
            raise FileError(path.parent, f"one file for channel {channel!r}", found, "remove one of them")
        files[channel] = path
    return files


def _annotation_files(listed: Iterable[Path]) -> dict[str, Path]:
    found = {
        "labels": [path for path in listed if strip_suffix(path.name) == "labels"],
        "landmarks": [path for path in listed if path.name == "landmarks.json"],
    }
    if len(masks := found["labels"]) > 1:
        names = " and ".join(path.name for path in masks)
        raise FileError(masks[0].parent, "one label image", names, "remove one of them")
    return {what: paths[0] for what, paths in found.items() if paths}


def _patient_notes(cases: list[str], patients: Mapping[str, str], table: bool) -> list[str]:
    if not table:
        return ["no patients.csv: every case counts as a patient of its own"]
    alone = [case for case in cases if case not in patients]
    return [f"not in patients.csv, so patients of their own: {', '.join(alone)}"] if alone else []


def _points(path: Path) -> Landmarks:
    landmarks = read_landmarks(path)
    if not landmarks:
        raise FileError(path, "at least one point", "none", "annotate the case or remove it")
    return landmarks


def _geometry(volume: Volume) -> str:
    spacing = " x ".join(f"{step:.3g}" for step in volume.grid.spacing_mm)
    x, y, z = volume.grid.size_xyz
    return f"{x} x {y} x {z} voxels of {spacing} mm from {volume.grid.origin_mm.round(2).tolist()}"
