"""Annotations and results in folders: which files belong to which case."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regforest.cli._batch import say
from regforest.datasets import Case, detect_layout, open_dataset
from regforest.datasets.label_names import read_labels_json
from regforest.datasets.masks import centroids, integer_labels
from regforest.datasets.patients import read_patients
from regforest.errors import FileError, FrameError
from regforest.io import (
    image_stem,
    landmark_stem,
    read_json,
    read_label_names,
    read_landmarks,
    read_volume,
    walk_files,
)
from regforest.spatial import Grid, Landmarks, Volume

__all__ = ["Annotation", "find_annotations", "find_references", "read_pair"]

_ENDING = re.compile(r"(_centroids_conf|_seg|[_-]labels?)$", re.IGNORECASE)
_PATIENT = re.compile(r"patient[ _-]?\d+", re.IGNORECASE)
# file names that say nothing about the case: the folder does
_GENERIC = ("landmarks", "labels", "image")
_LANDMARK_KEYS = {"markups", "levels", "points"}


@dataclass
class Annotation:
    """What a folder holds for one case.

    Attributes
    ----------
    case, patient : str
        By file name or folder; the patient is the case itself where nothing tells more.
    landmarks, labels : list of Path
        Landmark files (one content in several formats, perhaps) and label images.
    scan : Case or None
        Of a data set whose label image means more than the file says (a binary mask of seven discs).
    """

    case: str
    patient: str
    landmarks: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    scan: Case | None = None

    def read_landmarks(self, grid: Grid | None = None) -> Landmarks:
        """Landmarks of the first file, or centroids of the masks, in LPS where that is possible."""
        if not self.landmarks:
            return centroids(*self.read_labels())
        world = [path for path in self.landmarks if path.suffix.lower() != ".lml"]
        return read_landmarks((world or self.landmarks)[0], grid)

    def read_labels(self, default_names: Mapping[int, str] | None = None) -> tuple[Volume, dict[int, str]]:
        """Label image and names: of its header, of a ``labels.json`` near it, or the given ones.

        An image of a single value to which several default names could apply is a binary one and has no names.

        Raises
        ------
        FileError, DataError
            If there are two images, no names, or labels without a name.
        """
        if self.scan is not None and (scan := self.scan.load()).labels is not None:
            return scan.labels, dict(scan.label_names)
        if len(self.labels) > 1:
            found = " and ".join(map(str, self.labels))
            raise FileError(self.labels[0].parent, f"one label image for {self.case}", found, "keep one of them")
        path = self.labels[0]
        own = read_label_names(path) or _names_near(path)
        names = own or dict(default_names or {})
        if not names:
            raise FileError(path.parent / "labels.json", f"the names of the labels in {path}", "no file", "write one")
        volume = read_volume(path)
        if not volume.voxels.any():
            return Volume(volume.voxels.astype("uint8"), volume.grid), names
        if not own and len(names) > 1 and volume.voxels.max() == 1 and volume.voxels.min() == 0:
            return Volume((volume.voxels > 0).astype("uint8"), volume.grid), {}
        return Volume(integer_labels(volume.voxels, names, str(path)), volume.grid), names


def find_annotations(root: Path) -> dict[str, Annotation]:
    """Find landmark files and label images at any depth and sort them by case.

    The case is the file's stem without ``_centroids_conf``, ``_seg`` or ``_labels``, or the folder for files that
    are called landmarks or labels. An image is a label image if it is called so or names labels in its header, or if
    the folder holds images alone. Of a case that is found at several depths the uppermost files count: an experiment
    keeps the results of its other methods in folders below those of the first.

    Raises
    ------
    FileError
        If the folder is missing or holds nothing of the kind.
    """
    if not os.path.isdir(root):
        raise FileError(root, "a folder of landmarks or label images", "nothing", "check the path")
    notes: list[str] = []
    files = [path for path in walk_files(root, notes) if path.name[0] != "_"]
    for note in notes:
        say(note)
    paths = sorted(files, key=lambda path: (len(path.parts), path))
    landmarks = [path for path in paths if _is_landmark_file(path)]
    images = [path for path in paths if image_stem(path) != path.name]
    labels = [path for path in images if _is_label_image(path)]
    if not landmarks and not labels:
        labels = [path for path in images if not image_stem(path).lower().startswith("image")]
    if not landmarks and not labels:
        raise FileError(root, "landmarks (.lml .mrk.json .csv .json .fcsv) or label images", "none", "check the path")
    patients = read_patients(root / "patients.csv") if os.path.lexists(root / "patients.csv") else {}
    found: dict[str, Annotation] = {}
    for path, is_labels in [*((path, False) for path in landmarks), *((path, True) for path in labels)]:
        case = _case(path, image_stem(path) if is_labels else landmark_stem(path))
        owner = found.setdefault(case, Annotation(case, patients.get(case) or _patient(path) or case))
        if len(path.parts) == min(len(known.parts) for known in (path, *owner.landmarks, *owner.labels)):
            (owner.labels if is_labels else owner.landmarks).append(path)
    return found


def find_references(root: Path) -> tuple[dict[str, Annotation], dict[str, str]]:
    """Find what results are judged against: the cases of a Dixon data set, or else `find_annotations`.

    Returns
    -------
    found : dict of str to Annotation
        Case -> what the folder holds for it.
    faults : dict of str to str
        Case -> why it cannot be used.
    """
    if not root.is_dir() or _layout(root) != "ivdm3seg":
        return find_annotations(root), {}
    dataset = open_dataset(root, "ivdm3seg")
    found = {case.name: Annotation(case.name, case.patient, labels=_mask(case), scan=case) for case in dataset.cases}
    return found, {fault.case: fault.error for fault in dataset.faults}


def read_pair(truth: Annotation, found: Annotation | None) -> tuple[Landmarks, Landmarks | None]:
    """Read reference and prediction of one case, in one frame where both have a file in it.

    Raises
    ------
    FrameError
        If one exists in grid millimetres only (LML) and the other in LPS millimetres only.
    """
    if found is None:
        return truth.read_landmarks(), None
    both = []
    for side in (truth, found):
        lml = [path for path in side.landmarks if path.suffix.lower() == ".lml"]
        world = [path for path in side.landmarks if path not in lml] + side.labels
        both.append((lml, world))
    (truth_lml, truth_world), (found_lml, found_world) = both
    if truth_world and found_world:
        return truth.read_landmarks(), found.read_landmarks()
    if truth_lml and found_lml:
        return read_landmarks(truth_lml[0]), read_landmarks(found_lml[0])
    raise FrameError(
        f"{(truth_lml or found_lml)[0]} is in grid millimetres, {(truth_world or found_world)[0]} in LPS "
        "millimetres; bring them to one frame with regforest convert --reference IMAGE"
    )


def _layout(root: Path) -> str:
    try:
        return detect_layout(root)
    except FileError:
        return ""


def _mask(case: Case) -> list[Path]:
    return [] if case.annotation_file is None else [case.annotation_file]


def _is_landmark_file(path: Path) -> bool:
    """Tell landmarks from other JSON and tables (summaries, patients, names of labels)."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".json"):
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                head = stream.readline()
        except OSError:
            return True  # nobody knows: whoever needs it will be told
    if suffix == ".csv":
        return "x_mm" in head.lower()
    if suffix == ".json":
        try:
            content = read_json(path)
        except FileError:
            return path.name.lower().endswith(".mrk.json") or path.name.lower() == "landmarks.json"
        return isinstance(content, list) or (isinstance(content, dict) and not _LANDMARK_KEYS.isdisjoint(content))
    return suffix in (".lml", ".fcsv")


def _is_label_image(path: Path) -> bool:
    stem = image_stem(path).lower()
    if stem == "labels" or stem.endswith(("_seg", "_labels", "-labels")):
        return True
    try:
        return bool(read_label_names(path))
    except FileError:
        return False  # a damaged image: whatever needs it will say so


def _case(path: Path, stem: str) -> str:
    return path.absolute().parent.name if stem.lower() in _GENERIC else _ENDING.sub("", stem)


def _patient(path: Path) -> str:
    found = [part for part in path.parts if _PATIENT.fullmatch(part)]
    return found[-1] if found else ""


def _names_near(path: Path) -> dict[int, str]:
    """Names in ``labels.json`` of the image's folder or the one above."""
    for folder in path.absolute().parents[:2]:
        file = folder / "labels.json"
        if os.path.lexists(file):
            return read_labels_json(file)
    return {}
