"""Open a data set whatever its layout."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from regforest.datasets.bids_files import IMAGE
from regforest.datasets.case import Dataset
from regforest.datasets.patients import read_patients
from regforest.errors import FileError, UsageError

__all__ = ["LAYOUTS", "detect_layout", "open_dataset"]

LAYOUTS: tuple[str, ...] = ("spine-ct", "ivdm3seg", "labelled-folder", "lumbar-mri", "bids")
"""Layouts that can be named; ``"auto"`` looks at the files."""

_MAX_DEPTH = 4
_LABELLED = re.compile(r"(labels\.(nii|nii\.gz|mha|mhd|nrrd)|landmarks\.json)", re.IGNORECASE)
_SPINE_CT = re.compile(r"\d+\.lml", re.IGNORECASE)
_IVDM = re.compile(r"[a-z]?\d+[_-](fat|inn|opp|wat|labels?)\.nii(\.gz)?", re.IGNORECASE)
_PATTERNS = (("labelled-folder", _LABELLED), ("ivdm3seg", _IVDM), ("spine-ct", _SPINE_CT), ("bids", IMAGE))


def open_dataset(path: str | Path, layout: str = "auto", patients: Path | None = None) -> Dataset:
    """Open a folder as a data set; images are not read yet.

    Parameters
    ----------
    path : str or Path
        The data set's folder.
    layout : {"auto", "spine-ct", "ivdm3seg", "labelled-folder", "lumbar-mri", "bids"}
        How it is organised; ``"auto"`` tells it from the file names.
    patients : Path, optional
        Table ``case,patient`` that counts more than what the data set says.

    Returns
    -------
    Dataset

    Raises
    ------
    UsageError
        If the layout's name is unknown.
    FileError
        If the folder is missing or holds no case of the layout, or the table cannot be used.
    """
    root = Path(path)
    if not os.path.isdir(root):  # False, not an error, where the name is too long or may not be looked at
        found = "a file" if os.path.isfile(root) else "nothing"
        raise FileError(root, "the folder of a data set", found, "check the path")
    if layout == "auto":
        layout = detect_layout(root)
    if layout == "ivdm3seg":
        from regforest.datasets.ivdm3seg import open_ivdm3seg

        return open_ivdm3seg(root, patients)
    return _with_patients(_opened(root, layout), patients)


def _opened(root: Path, layout: str) -> Dataset:
    if layout == "spine-ct":
        from regforest.datasets.spine_ct import open_spine_ct

        return open_spine_ct(root)
    if layout == "labelled-folder":
        from regforest.datasets.labelled_folder import open_labelled_folder

        return open_labelled_folder(root)
    if layout == "lumbar-mri":
        from regforest.datasets.lumbar_mri import open_lumbar_mri

        return open_lumbar_mri(root)
    if layout == "bids":
        from regforest.datasets.bids import open_bids

        return open_bids(root)
    near = difflib.get_close_matches(layout, LAYOUTS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(f"unknown layout {layout!r}: expected auto, {', '.join(LAYOUTS)}{hint}")


def _with_patients(dataset: Dataset, table: Path | None) -> Dataset:
    if table is None:
        return dataset
    patients = read_patients(table)
    cases = [replace(case, patient=patients.get(case.name, case.patient)) for case in dataset.cases]
    return replace(dataset, cases=tuple(cases))


def detect_layout(root: Path) -> str:
    """Tell the layout from names, the nearest to `root` first; raises `FileError` if none fits."""
    from regforest.datasets.lumbar_mri import patient_folders

    if patient_folders(root):
        return "lumbar-mri"
    unreadable: list[Path] = []
    for names in _names_by_depth(root, unreadable):
        for layout, pattern in _PATTERNS:
            if any(pattern.fullmatch(name) for name in names):
                return layout
    expected = (
        "<id>.lml (spine-ct), NN_fat.nii (ivdm3seg), <case>/labels.nii.gz or landmarks.json (labelled-folder), "
        "sub-NN_T2w.nii.gz (bids) or <4 digits>/<study>/<series>/*.ima (lumbar-mri)"
    )
    found = f"none of them; {unreadable[0]} cannot be listed" if unreadable else "none of them"
    raise FileError(root, expected, found, "check the path and rights, or name the --layout")


def _names_by_depth(root: Path, unreadable: list[Path]) -> Iterator[list[str]]:
    """File names in the folder, then in all its sub-folders, and so on; links to folders are followed once."""
    from regforest.io import list_folder  # with the readers of images, which `regforest info` can do without

    folders, seen = [root], {os.path.realpath(root)}
    for _ in range(_MAX_DEPTH + 1):
        names: list[str] = []
        deeper: list[Path] = []
        for folder in folders:
            try:
                inner, files = list_folder(folder)
            except FileError:
                unreadable.append(folder)  # says nothing about the layout; opening the data set will report it
                continue
            names += [path.name for path in files]
            deeper += inner
        yield names
        folders = [folder for folder in deeper if os.path.realpath(folder) not in seen]
        seen.update(map(os.path.realpath, folders))
