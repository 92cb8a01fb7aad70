"""The Dixon disc data: IVDM3Seg (2018) and the multi-modality database of 2014.

Four aligned channels of each scan (fat, in-phase, opposed-phase, water) and one BINARY mask of seven discs. Copies
differ in their folders::

    DIR/NN/NN_fat.nii ... NN_Labels.nii         also DIR/train/NN/, .nii.gz
    DIR/dataset/NN_fat.nii, DIR/label/NN_Labels.nii
    DIR/A1_fat.nii ... A1-Labels.nii            older names: letter = patient, digit = stage

Two scans belong to one patient; which ones is not published. ``patients.csv`` says so, or it is estimated from the
discs. Scans with other channels (T1, T2) may lie in the same layout.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.case import Case, Dataset, Fault
from regforest.datasets.disc_masks import DISC_NAMES, disc_measures, pair_scans, split_discs
from regforest.datasets.labelled_folder import read_aligned, strip_suffix
from regforest.datasets.masks import centroids, labels_on_grid
from regforest.datasets.patients import read_patients
from regforest.datasets.terms import IVDM3SEG
from regforest.errors import DataError, FileError, RegForestError
from regforest.io import list_folder, read_volume, write_volume
from regforest.spatial import AnnotatedScan, Grid, Volume

__all__ = ["Ivdm3segCase", "open_ivdm3seg", "write_ivdm3seg_case"]

_LABEL_NAMES = dict(enumerate(DISC_NAMES, start=1))
_STEM = re.compile(r"(?P<case>[A-Za-z]?\d+)[_-](?P<what>fat|inn|opp|wat|image|t1|t2|labels?)", re.IGNORECASE)
_BARE_LABEL = re.compile(r"[A-Za-z]?\d+")
_OLD_NAME = re.compile(r"(?P<patient>[A-Z])\d+")
_MAX_DEPTH = 3
_ADVICE = "see the layout 'ivdm3seg' in the documentation"
_PAIRS_ADVICE = "give --patients FILE (case,patient) if you know better"


@dataclass(frozen=True)
class Ivdm3segCase(Case):
    """A scan of the Dixon disc data."""

    def read_channels(self) -> dict[str, Volume]:
        """Read the channels, which must share one grid; raises `FileError` or `DataError`."""
        return read_aligned(self.image_files)

    def load(self) -> AnnotatedScan:
        """Read the channels and the mask, taken apart into the discs 1 (T11/T12) to 7 (L5/S1).

        Raises
        ------
        FileError, DataError
            If a file cannot be read, shapes differ, or the mask does not fall into seven discs.
        """
        channels = self.read_channels()
        mask, misplaced = labels_on_grid(_read_mask(self), channels, str(self.annotation_file))
        labels, touching = split_discs(mask, str(self.annotation_file))
        notes = tuple(note for note in (misplaced, touching) if note)
        landmarks = centroids(labels, _LABEL_NAMES)
        return AnnotatedScan(self.name, self.patient, channels, landmarks, labels, _LABEL_NAMES, notes)


def open_ivdm3seg(root: Path, patients: Path | None = None) -> Dataset:
    """Open a copy of the data set.

    Images are not read; masks are where the patients have to be estimated from them.

    Parameters
    ----------
    root : Path
        Folder in any of the known layouts.
    patients : Path, optional
        Table ``case,patient``; by default ``patients.csv`` in the folder. Without one the older names tell the
        patient, and scans with the later names are paired by their discs; the notes say how.

    Returns
    -------
    Dataset

    Raises
    ------
    FileError
        If the folder or the table cannot be used, or there is no scan.
    """
    found, faults = _gather(root)
    if not found and not faults:
        raise FileError(root, "scans such as 01/01_fat.nii with 01_Labels.nii", "none", _ADVICE)
    doubled = {fault.case for fault in faults}
    cases: list[Case] = []
    for name, files in sorted(found.items()):
        channels = {what: path for what, path in sorted(files.items()) if what != "labels"}
        missing = [] if channels else [f"{name}_fat.nii"]
        missing += [] if "labels" in files else [f"{name}_Labels.nii"]
        if missing:
            shown = ", ".join(path.name for path in files.values())
            faults.append(Fault(name, "open", str(FileError(root, " and ".join(missing), f"only {shown}", _ADVICE))))
        elif name not in doubled:
            cases.append(Ivdm3segCase(name, "", channels, files["labels"]))
    cases, more_faults, notes = _with_patients(cases, _patient_table(root, patients))
    all_faults = tuple(sorted([*faults, *more_faults], key=lambda fault: fault.case))
    phantom = os.path.exists(root / "phantom.json")
    return Dataset(
        "MR phantom" if phantom else IVDM3SEG.name, "ivdm3seg", root, tuple(cases), all_faults,
        "" if phantom else IVDM3SEG.terms, "" if phantom else IVDM3SEG.citation, tuple(notes),
    )  # fmt: skip


def write_ivdm3seg_case(root: Path, scan: AnnotatedScan, labels_grid: Grid | None = None) -> None:
    """Write a scan as ``NN/NN_<channel>.nii`` with the binary mask ``NN/NN_Labels.nii``.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    scan : AnnotatedScan
        With masks; its name is NN.
    labels_grid : Grid, optional
        Header for the mask, if it is to disagree with the images' as that of case 16 does.

    Raises
    ------
    DataError
        If the scan has no masks.
    """
    if scan.labels is None:
        raise DataError(f"{scan.name}: the layout 'ivdm3seg' needs masks, the scan has points only")
    folder = root / scan.name
    folder.mkdir(parents=True, exist_ok=True)
    for channel, volume in scan.channels.items():
        write_volume(volume, folder / f"{scan.name}_{channel}.nii")
    mask = (scan.labels.voxels > 0).astype(np.uint8)
    write_volume(Volume(mask, labels_grid or scan.labels.grid), folder / f"{scan.name}_Labels.nii")


def _gather(root: Path) -> tuple[dict[str, dict[str, Path]], list[Fault]]:
    """Collect the files of each scan, by channel or "labels"; files that occur twice are faults."""
    found: dict[str, dict[str, Path]] = {}
    faults: list[Fault] = []
    for path in _files(root, _MAX_DEPTH, faults):
        name, what = _meaning(path)
        first = found.setdefault(name, {}).setdefault(what, path) if name else path
        if os.path.realpath(first) != os.path.realpath(path):  # the same file is met again behind a link to a folder
            error = FileError(path, "one file for each channel of a scan", f"{first} too", "remove one of them")
            faults.append(Fault(name, "open", str(error)))
    return found, faults


def _meaning(path: Path) -> tuple[str, str]:
    """Scan and channel (or "labels") that a file name stands for; empty for other files."""
    stem = strip_suffix(path.name) or ""
    match = _STEM.fullmatch(stem)
    if match:
        what = match["what"].lower()
        return match["case"].upper(), "labels" if what.startswith("label") else what
    if path.parent.name.lower().startswith("label") and _BARE_LABEL.fullmatch(stem):
        return stem.upper(), "labels"
    return "", ""


def _files(folder: Path, depth: int, faults: list[Fault]) -> Iterator[Path]:
    """Files in a folder and below; sub-folders that cannot be read become faults."""
    folders, files = list_folder(folder)
    yield from files
    for path in folders if depth else ():
        if path.name[0] != "_":
            try:
                yield from _files(path, depth - 1, faults)
            except FileError as error:
                faults.append(Fault(path.name, "open", str(error)))


def _read_mask(case: Case) -> Volume:
    if case.annotation_file is None:
        raise DataError(f"{case.name}: no mask")
    mask = read_volume(case.annotation_file)
    values = np.unique(mask.voxels)
    if len(values) > 2 or values[0] != 0:
        shown = ", ".join(f"{value:g}" for value in values[:6])
        raise DataError(f"{case.annotation_file}: expected a binary mask (0 and 1), found the values {shown}")
    return mask


def _patient_table(root: Path, patients: Path | None) -> dict[str, str] | None:
    path = patients or root / "patients.csv"
    return read_patients(path) if patients or os.path.lexists(path) else None


def _with_patients(cases: list[Case], table: Mapping[str, str] | None) -> tuple[list[Case], list[Fault], list[str]]:
    """Fill in the patients: from the table, from older names, or estimated; with faults and notes."""
    known = {case.name.upper(): case.name for case in cases}
    patients = {known[name.upper()]: patient for name, patient in (table or {}).items() if name.upper() in known}
    notes: list[str] = []
    faults: list[Fault] = []
    rest = [case for case in cases if case.name not in patients]
    if table is not None:
        patients |= {case.name: case.name for case in rest}
        if rest:
            notes.append(f"no patient given, so patients of their own: {', '.join(case.name for case in rest)}")
    elif all(_OLD_NAME.fullmatch(case.name) for case in rest):
        patients |= {case.name: case.name[0] for case in rest}
        if rest:
            notes.append(f"patients taken from the first letter of the names; {_PAIRS_ADVICE}")
    else:
        measures, faults = _measures(rest)
        patients |= {name: name for name in measures}
        for first, second, difference, other in pair_scans(measures):
            patients[first] = patients[second] = f"{first}+{second}"
            notes.append(f"estimated patient {first}+{second}: difference {difference:.2f}, next best {other:.2f}")
        notes.append(f"which scans are of one patient was estimated from the discs' shapes; {_PAIRS_ADVICE}")
    placed = [replace(case, patient=patients[case.name]) for case in cases if case.name in patients]
    return placed, faults, notes


def _measures(cases: list[Case]) -> tuple[dict[str, NDArray[np.float64]], list[Fault]]:
    measures: dict[str, NDArray[np.float64]] = {}
    faults: list[Fault] = []
    for case in cases:
        try:
            measures[case.name] = disc_measures(split_discs(_read_mask(case), str(case.annotation_file))[0])
        except RegForestError as error:
            faults.append(Fault(case.name, "open", str(error)))
    return measures, faults
