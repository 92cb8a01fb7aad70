"""The Lumbar Spine MRI Dataset (Sudirman et al.): DICOM studies of 515 patients, without annotations.

Its tree is ``01_MRI_Data/<4 digits>/<study>/<series>/*.ima``. The patient stands in the path alone, as the tags are
anonymised, and one file name may occur in many folders. A case is a stack of a series: a sagittal T1 or T2, or one of
the blocks of an axial series. Localizers and screenshots (POSDISP) are no cases.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from regforest.datasets._dicom_index import Content, read_index
from regforest.datasets.case import Case, Dataset, Fault
from regforest.datasets.terms import LUMBAR_MRI
from regforest.errors import FileError
from regforest.io import list_folder
from regforest.io.dicom import DicomContents, DicomStack, Skipped, count_reasons, holds_dicom, read_stack
from regforest.spatial import AnnotatedScan, Landmarks, Volume

__all__ = ["LumbarMriCase", "open_lumbar_mri", "patient_folders"]

_PATIENT = re.compile(r"\d{4}")
_STUDY = re.compile(r"l-?spine", re.IGNORECASE)
_SERIES = re.compile(r"localizer|t[12]_tse|posdisp", re.IGNORECASE)
_LOOKED_AT = 20
_ADVICE = "see the layout 'lumbar-mri' in the documentation"


@dataclass(frozen=True)
class LumbarMriCase(Case):
    """A stack of slices; its only image file is the folder of the series.

    Attributes
    ----------
    stack : DicomStack
        Grid, tags and notes, known without reading a pixel.
    """

    stack: DicomStack

    def read_channels(self) -> dict[str, Volume]:
        """Read the pixels; raises `FileError` that names a file that cannot be decoded."""
        return {"image": read_stack(self.stack)}

    def load(self) -> AnnotatedScan:
        """Read the pixels; there are no landmarks and no masks."""
        return AnnotatedScan(self.name, self.patient, self.read_channels(), Landmarks({}), notes=self.stack.notes)


def open_lumbar_mri(root: Path) -> Dataset:
    """Index a copy of the data set, or one patient or study of it; only tags are read, and kept in the user's cache.

    Parameters
    ----------
    root : Path
        The folder, any of the first three levels of the tree.

    Returns
    -------
    Dataset
        A case for each stack of at least two slices, named ``<patient>_<series>`` and numbered where a series holds
        several. Series of which slices are unusable are faults.

    Raises
    ------
    FileError
        If there is no stack of slices.
    """
    read, notes = read_index(root)
    cases: list[LumbarMriCase] = []
    faults: list[Fault] = []
    passed_over: list[Skipped] = []
    localizers = 0
    for folder, contents in _by_folder(read).items():
        found = DicomContents.of(folder, contents)
        lost = found.lost if found.scans else ()
        localizers += len(found.scans) < len(found.stacks)
        passed_over += [item for item in found.skipped if item not in lost]
        if lost:
            faults.append(_fault(root, folder, lost))
        else:
            cases += _cases(root, folder, found.scans)
    if not cases and not faults:
        others = f"{len(read)} files of other kinds"
        raise FileError(root, "01_MRI_Data/<4 digits>/<study>/<series>/*.ima", others, _ADVICE)
    notes += [f"localizers passed over: {localizers}"] if localizers else []
    notes += [f"files passed over, {text}" for text in count_reasons(passed_over)]
    return _dataset(root, _uniquely_named(cases), tuple(faults), tuple(notes))


def patient_folders(root: Path) -> list[Path]:
    """Find the folders of patients: `root` itself, those in it, or those one level below; none in other layouts."""
    if _PATIENT.fullmatch(root.absolute().name) and _is_patient(root):
        return [root]
    children = _folders(root)
    found = [child for child in children if _PATIENT.fullmatch(child.name)]
    found = found or [below for child in children for below in _folders(child) if _PATIENT.fullmatch(below.name)]
    return found if any(map(_is_patient, found[:_LOOKED_AT])) else []


def _by_folder(read: Mapping[Path, Content]) -> dict[Path, list[Content]]:
    folders: dict[Path, list[Content]] = {}
    for path, content in sorted(read.items()):
        folders.setdefault(path.parent, []).append(content)
    return folders


def _dataset(
    root: Path, cases: tuple[LumbarMriCase, ...], faults: tuple[Fault, ...], notes: tuple[str, ...]
) -> Dataset:
    if any(os.path.exists(place / "phantom.json") for place in (root, *root.absolute().parents[:3])):
        return Dataset("MR phantom", "lumbar-mri", root, cases, faults, notes=notes)
    terms = LUMBAR_MRI
    return Dataset(terms.name, "lumbar-mri", root, cases, faults, terms.terms, terms.citation, notes)


def _is_patient(folder: Path) -> bool:
    named = (
        series
        for study in _folders(folder)
        for series in _folders(study)
        if _STUDY.match(study.name) or _SERIES.match(series.name)
    )
    return any(holds_dicom(series) for series in islice(named, _LOOKED_AT))


def _folders(folder: Path) -> list[Path]:
    try:
        return list_folder(folder)[0]
    except FileError:
        return []  # what cannot be read is reported when the index is made


def _cases(root: Path, folder: Path, stacks: Sequence[DicomStack]) -> Iterator[LumbarMriCase]:
    scans = [stack for stack in stacks if len(stack.frames) > 1]
    strays = sum(len(stack.frames) == 1 for stack in stacks)
    note = (f"single slices of another size or direction left out: {strays}",) if strays else ()
    patient, name = _patient(root, folder), _name(root, folder)
    for number, stack in enumerate(scans, start=1):
        title = f"{name}_{number}" if len(scans) > 1 else name
        yield LumbarMriCase(title, patient, {"image": folder}, None, replace(stack, notes=(*stack.notes, *note)))


def _uniquely_named(cases: Sequence[LumbarMriCase]) -> tuple[LumbarMriCase, ...]:
    """Put the study into the names of series that two studies of a patient share."""
    counts = Counter(case.name for case in cases)
    renamed = [case if counts[case.name] == 1 else replace(case, name=_with_study(case)) for case in cases]
    return tuple(sorted(renamed, key=lambda case: case.name))


def _with_study(case: LumbarMriCase) -> str:
    study = _plain(case.image_files["image"].parent.name)
    return f"{case.patient}_{study}{case.name.removeprefix(case.patient)}"


def _fault(root: Path, folder: Path, lost: Sequence[Skipped]) -> Fault:
    error = FileError(
        lost[0].file.name, "usable slices in all files of a series", f"{lost[0].reason} ({len(lost)} such files)",
        "copy the series again, or remove the files",
    )  # fmt: skip
    return Fault(_name(root, folder), "open", str(error))


def _patient(root: Path, folder: Path) -> str:
    """Four digits below the root, else the last ones above; else the name of the root."""
    below, above = folder.relative_to(root).parts, root.absolute().parts[::-1]
    return next((part for part in (*below, *above) if _PATIENT.fullmatch(part)), root.absolute().name)


def _name(root: Path, folder: Path) -> str:
    return f"{_patient(root, folder)}_{_plain(folder.absolute().name)}"


def _plain(name: str) -> str:
    """Folder name without what file names should not hold."""
    return re.sub(r"[^\w.-]+", "_", name)
