"""The Annotated Spine CT Database, in both layouts and the flat test set.

::

    patientNNNN/<id>/<id>.{mhd,raw,lml}                  original
    spine-1..5/patientNNNN/<id>/<id>.{nii.gz,lml}        later copy
    spine-test-data/<id>.{nii.gz,lml}                    test set of the 2014 challenge

Scan ids are all digits; what has another name is left out and mentioned. Coordinates of the LML files are grid
millimetres, which `SpineCtCase.load` checks against each image. The sheet ``UWSpineCT-meta-data.xlsx`` is read where
it lies in the folder.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regforest.datasets.annotation_checks import coordinate_remarks
from regforest.datasets.case import Case, Dataset, Fault
from regforest.datasets.scan_sheet import find_sheet, read_scan_sheet
from regforest.datasets.terms import SPINE_CT
from regforest.errors import DataError, FileError, RegForestError
from regforest.io import (
    IMAGE_SUFFIXES,
    image_stem,
    leads_back,
    list_folder,
    lml_remarks,
    read_grid,
    read_landmarks,
    read_volume,
)
from regforest.spatial import AnnotatedScan, Volume, hounsfield_doubt

__all__ = ["SpineCtCase", "open_spine_ct"]

_PATIENT = re.compile(r"patient[ _-]?(\d+)", re.IGNORECASE)
_MAX_DEPTH = 4
_EXPECTED = "patientNNNN/<id>/<id>.mhd (or .nii.gz) with <id>.lml, or <id>.nii.gz with <id>.lml"


@dataclass(frozen=True)
class SpineCtCase(Case):
    """One scan of the database: channel ``"image"`` in Hounsfield units and an LML file."""

    def read_channels(self) -> dict[str, Volume]:
        """Read the image; raises `FileError`."""
        return {"image": read_volume(self.image_files["image"])}

    def load(self) -> AnnotatedScan:
        """Read image and landmarks.

        Returns
        -------
        AnnotatedScan
            Landmarks in LPS millimetres; `notes` says where points lie outside the image or not in bone, and whether
            the values can be Hounsfield units.

        Raises
        ------
        FileError, DataError
            If a file cannot be read, or the LML file annotates nothing inside the image.
        """
        image = self.read_channels()["image"]
        path = self.annotation_file
        if path is None:
            raise DataError(f"{self.name}: no annotation, expected an LML file")
        landmarks = read_landmarks(path, image.grid)
        if not len(landmarks):
            raise DataError(f"{path}: expected annotated vertebrae, found none; complete it or take the scan out")
        if not image.grid.contains(landmarks.points_lps_mm).any():
            as_world = image.grid.contains(read_landmarks(path).points).any()
            raise DataError(
                f"{path}: expected millimetres from the first voxel, found no point inside the image; "
                + ("they would be inside as LPS millimetres: " if as_world else "")
                + f"check that it belongs to {self.image_files['image']}"
            )
        remarks = [*lml_remarks(path), *coordinate_remarks(image, landmarks)]
        notes = [f"{path.name}: {remark}" for remark in remarks]
        if doubt := hounsfield_doubt(image):
            notes.append(f"{self.image_files['image'].name}: {doubt}")
        return AnnotatedScan(self.name, self.patient, {"image": image}, landmarks, notes=tuple(notes))


@dataclass
class _Scan:
    """Files found for one id."""

    folders: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)
    landmarks: list[Path] = field(default_factory=list)
    patient: str = ""


@dataclass
class _Search:
    """What a walk through the folders brings to light."""

    root: Path
    scans: dict[str, _Scan] = field(default_factory=lambda: defaultdict(_Scan))
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, path: Path, why: str) -> None:
        self.notes.append(f"{path.relative_to(self.root)}: left out, {why}")


def open_spine_ct(root: Path) -> Dataset:
    """Find the scans below a folder; headers are read, voxels are not.

    A scan without image or landmarks, with two of either, or with an unreadable header (a missing raw file, say) is
    a fault, and so is a folder that cannot be read. Scans outside ``patientNNNN`` folders count as patients of their
    own. Images and annotations that belong to no scan are named in the notes.

    Parameters
    ----------
    root : Path
        The database, a part of it, or the flat test set.

    Returns
    -------
    Dataset

    Raises
    ------
    FileError
        If the folder cannot be read or holds no scan.
    """
    search = _Search(root)
    own = root.resolve().name
    _walk(search, root, own if _PATIENT.fullmatch(own) else "", _MAX_DEPTH, set())
    if not search.scans:
        found = "; ".join(fault.error for fault in search.faults) or "no such scan"
        raise FileError(root, _EXPECTED, found, "check the path or name another --layout")
    info, notes = _sheet(root, search.scans)
    cases: list[Case] = []
    faults = search.faults
    for name, scan in sorted(search.scans.items()):
        try:
            cases.append(_case(name, scan, info.get(name, {})))
        except RegForestError as error:
            faults.append(Fault(name, "open", str(error)))
    notes = [*search.notes, *notes]
    alone = sum(case.patient == _own_patient(case.name) for case in cases)
    if alone:
        notes.append(f"scans outside patientNNNN folders, each counted as a patient of its own: {alone}")
    # phantoms are written in this layout too, and are free of terms
    phantom = os.path.exists(root / "phantom.json")
    name, terms, citation = ("CT phantom", "", "") if phantom else (own, SPINE_CT.terms, SPINE_CT.citation)
    return Dataset(name, "spine-ct", root, tuple(cases), tuple(faults), terms, citation, tuple(notes))


def _walk(search: _Search, folder: Path, patient: str, depth: int, seen: set[str]) -> None:
    """Collect the scans in a folder and below; links in a circle are followed once."""
    place = os.path.realpath(folder)
    if place in seen or depth < 0 or leads_back(folder, search.root):
        return
    seen.add(place)
    try:
        folders, files = list_folder(folder)
    except FileError as error:
        search.faults.append(Fault(folder.name, "open", str(error)))
        return
    only = folder.name if _is_id(folder.name) and folder != search.root else ""
    if only:
        search.scans[only].folders.append(folder)
        search.scans[only].patient = patient
    for path in files:
        _collect(search, path, only, patient)
    for path in folders if not only else ():
        if patient and not _is_id(path.name):
            search.leave_out(path, "its name is not all digits")
        else:
            _walk(search, path, path.name if _PATIENT.fullmatch(path.name) else patient, depth - 1, seen)


def _collect(search: _Search, path: Path, only: str, patient: str) -> None:
    """Give an image or an annotation to its scan: that of its folder, or in flat folders that of its name."""
    if path.suffix.lower() == ".lml":
        name, kind = path.stem, "landmarks"
    elif image_stem(path) != path.name:
        name, kind = image_stem(path), "images"
    else:
        return
    if only and name != only:
        search.leave_out(path, f"the folder is that of scan {only}")
    elif not only and patient:
        search.leave_out(path, f"expected in {name}/")
    elif not _is_id(name):
        search.leave_out(path, "its name is not all digits")
    else:
        scan = search.scans[name]
        getattr(scan, kind).append(path)
        if path.parent not in scan.folders:
            scan.folders.append(path.parent)


def _case(name: str, scan: _Scan, info: Mapping[str, str]) -> SpineCtCase:
    place = scan.folders[0]
    for files, what in (
        (scan.images, f"an image {name}{{{','.join(IMAGE_SUFFIXES)}}}"),
        (scan.landmarks, f"{name}.lml"),
    ):
        if not files:
            raise FileError(place, what, "none", "copy the scan again from its source")
        if len(files) > 1:
            found = " and ".join(map(str, files))
            raise FileError(place, f"one file for the scan: {what}", found, "keep one of them")
    read_grid(scan.images[0])
    patient = scan.patient or _own_patient(name)
    return SpineCtCase(name, patient, {"image": scan.images[0]}, scan.landmarks[0], info=info)


def _sheet(root: Path, scans: Collection[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Facts about the scans from the sheet, where there is one that can be read; and what to say about it."""
    path = find_sheet(root)
    if path is None:
        return {}, []
    try:
        info = read_scan_sheet(path)
    except RegForestError as error:
        return {}, [str(error)]
    return info, [f"{path.name}: facts about {len(set(scans) & set(info))} of {len(scans)} scans"]


def _own_patient(scan: str) -> str:
    return f"scan{scan}"


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdigit()
