"""The Annotated Spine CT Database, in both layouts and the flat test set.

::

    patientNNNN/<id>/<id>.{mhd,raw,lml}                  original
    spine-1..5/patientNNNN/<id>/<id>.{nii.gz,lml}        later copy
    spine-test-data/<id>.{nii.gz,lml}                    test set of the 2014 challenge

Scan ids are all digits; folders that are not are left out. Coordinates of the LML files are grid millimetres, which
`SpineCtCase.load` checks against each image.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from regforest.datasets.annotation_checks import coordinate_remarks
from regforest.datasets.case import Case, Dataset, Fault
from regforest.errors import DataError, FileError, RegForestError
from regforest.io import IMAGE_SUFFIXES, image_stem, read_grid, read_landmarks, read_volume
from regforest.spatial import AnnotatedScan, Volume, hounsfield_doubt

__all__ = ["CITATION", "TERMS", "SpineCtCase", "open_spine_ct"]

TERMS = (
    "Annotated Spine CT Database (Microsoft Research and the University of Washington): for non-commercial research "
    "under the licence accepted at download; not to be redistributed."
)
CITATION = (
    "B. Glocker, D. Zikic, E. Konukoglu, D. R. Haynor, A. Criminisi: Vertebrae Localization in Pathological Spine CT "
    "via Dense Classification from Sparse Annotations. MICCAI 2013."
)

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
            raise DataError(
                f"{path}: expected millimetres from the first voxel, found no point inside the image; "
                f"check that it belongs to {self.image_files['image']}"
            )
        notes = [f"{path.name}: {remark}" for remark in coordinate_remarks(image, landmarks)]
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


def open_spine_ct(root: Path) -> Dataset:
    """Find the scans below a folder; headers are read, voxels are not.

    A scan without image or landmarks, with two of either, or with an unreadable header (a missing raw file, say) is
    a fault. Scans outside ``patientNNNN`` folders count as patients of their own.

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
    scans: dict[str, _Scan] = defaultdict(_Scan)
    notes: list[str] = []
    for name, patient, folder in _places(root, notes):
        _collect(scans, name, patient, folder)
    if not scans:
        raise FileError(root, _EXPECTED, "no such scan", "check the path or name another --layout")
    cases: list[Case] = []
    faults: list[Fault] = []
    for name, scan in sorted(scans.items()):
        try:
            cases.append(_case(name, scan))
        except RegForestError as error:
            faults.append(Fault(name, "open", str(error)))
    alone = sum(case.patient == _own_patient(case.name) for case in cases)
    if alone:
        notes.append(f"scans outside patientNNNN folders, each counted as a patient of its own: {alone}")
    # phantoms are written in this layout too, and are free of terms
    phantom = (root / "phantom.json").exists()
    name, terms, citation = ("CT phantom", "", "") if phantom else (root.resolve().name, TERMS, CITATION)
    return Dataset(name, "spine-ct", root, tuple(cases), tuple(faults), terms, citation, tuple(notes))


def _places(root: Path, notes: list[str]) -> Iterator[tuple[str | None, str, Path]]:
    """Folders that may hold scans: (scan id, patient, folder); the id is None for flat folders."""
    seen: set[Path] = set()

    def walk(folder: Path, patient: str, depth: int) -> Iterator[tuple[str | None, str, Path]]:
        resolved = folder.resolve()
        if resolved in seen or depth > _MAX_DEPTH:
            return
        seen.add(resolved)
        if _is_id(folder.name) and folder != root:
            yield folder.name, patient, folder
            return
        if not patient:
            yield None, "", folder
        for child in _sub_folders(folder):
            found = _PATIENT.fullmatch(child.name)
            if patient and not _is_id(child.name):
                notes.append(f"{child.relative_to(root)}: left out, its name is not all digits")
                continue
            yield from walk(child, child.name if found else patient, depth + 1)

    own = root.resolve().name
    return walk(root, own if _PATIENT.fullmatch(own) else "", 0)


def _collect(scans: dict[str, _Scan], only: str | None, patient: str, folder: Path) -> None:
    if only is not None:
        scans[only].folders.append(folder)
        scans[only].patient = patient
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if path.suffix.lower() == ".lml":
            name, kind = path.stem, "landmarks"
        elif image_stem(path) != path.name:
            name, kind = image_stem(path), "images"
        else:
            continue
        if name != only and (only is not None or not _is_id(name)):
            continue
        getattr(scans[name], kind).append(path)
        if only is None and folder not in scans[name].folders:
            scans[name].folders.append(folder)


def _case(name: str, scan: _Scan) -> SpineCtCase:
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
    return SpineCtCase(name, scan.patient or _own_patient(name), {"image": scan.images[0]}, scan.landmarks[0])


def _own_patient(scan: str) -> str:
    return f"scan{scan}"


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _sub_folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise FileError(folder, "a readable folder", error.strerror or str(error), "correct the path") from error
