"""File names of BIDS: images of subjects and sessions, what belongs to them below ``derivatives``, our own results.

::

    DIR/dataset_description.json
    DIR/[rawdata/]sub-01/[ses-02/][anat|ct/]sub-01[_ses-02][_acq-sag]_T2w.nii.gz
    DIR/derivatives/[<pipeline>/]sub-01/.../sub-01[_ses-02][_acq-sag][_desc-T2w]_dseg.nii.gz

(BIDS specification 1.10: common principles, MRI, imaging derivatives.) VerSe's data sets, which follow it loosely,
are understood as well: ``sub-verse004_ct.nii.gz``, ``_seg-vert_msk.nii.gz``, ``_seg-subreg_ctd.json``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regforest._version import __version__
from regforest.errors import FileError

__all__ = [
    "DESCRIPTION",
    "IGNORED",
    "BidsImage",
    "bids_description",
    "derivative_description",
    "find_annotations",
    "find_images",
    "is_bids",
]

IMAGE = re.compile(
    r"(?P<entities>(?P<subject>sub-[A-Za-z0-9]+)(_[a-z]+-[A-Za-z0-9]+)*)_(?P<suffix>CT|ct|T1w|T2w)\.nii(\.gz)?"
)
"""Name of an image that this package can use."""

DESCRIPTION = "dataset_description.json"
IGNORED = "*_ctd.*\n*.itksnap.txt\n*.ctbl\n"
"""What validators of BIDS shall pass over in our results: centroids and tables of other programs."""

_VERSION = "1.10.0"
_TOOL = "regforest"
# what may stand between the entities of the image and the suffix of an annotation; "space" would be another grid
_ANNOTATION = re.compile(
    r"(_(?P<image>CT|ct|T1w|T2w))?(_(desc-(?P<described>CT|ct|T1w|T2w)|(desc|seg|label)-[A-Za-z0-9]+))*"
    r"_(?P<kind>dseg|msk|ctd)\.(nii|nii\.gz|json|mrk\.json)"
)


@dataclass(frozen=True)
class BidsImage:
    """An image of a subject.

    Attributes
    ----------
    path, folder : Path
        The file, and its folder below the folder of the subjects (``sub-01/ses-02/anat``).
    subject, entities, suffix : str
        ``"sub-01"``, ``"sub-01_ses-02_acq-sag"``, ``"T2w"``.
    """

    path: Path
    folder: Path
    subject: str
    entities: str
    suffix: str

    @property
    def name(self) -> str:
        """Name of the case: ``"sub-01_ses-02_acq-sag_T2w"``."""
        return f"{self.entities}_{self.suffix}"

    @property
    def result_stem(self) -> str:
        """Where results go below a derivative's folder, up to their suffix; ``desc`` names the image's own suffix."""
        return str(self.folder / f"{self.entities}_desc-{self.suffix}")


def is_bids(root: Path) -> bool:
    """Tell whether a folder calls itself a BIDS data set and holds subjects."""
    return os.path.isfile(root / DESCRIPTION) and any(True for _ in _subjects(_subjects_folder(root), []))


def bids_description(root: Path) -> dict[str, Any]:
    """Read ``dataset_description.json``, empty where there is none; `FileError` if it is damaged."""
    from regforest.io import read_json

    path = root / DESCRIPTION
    if not os.path.lexists(path):
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise FileError(path, "a JSON object", type(content).__name__, "correct it in the file")
    return content


def find_images(root: Path) -> tuple[list[BidsImage], list[Path]]:
    """Find the CT, T1w and T2w images of all subjects.

    Returns
    -------
    images : list of BidsImage
        Sorted by name. Links out of the data set are followed; a link to a file that is not there counts as an image.
    unreadable : list of Path
        Folders that cannot be listed.
    """
    subjects = _subjects_folder(root)
    images: list[BidsImage] = []
    unreadable: list[Path] = []
    for path in _files(subjects, unreadable):
        match = IMAGE.fullmatch(path.name)
        if match:
            folder = path.parent.relative_to(subjects)
            images.append(BidsImage(path, folder, match["subject"], match["entities"], match["suffix"]))
    return sorted(images, key=lambda image: (image.name, image.path)), unreadable


def find_annotations(root: Path, images: Iterable[BidsImage]) -> tuple[dict[str, dict[str, list[Path]]], list[Path]]:
    """Find segmentations (``dseg``, VerSe's ``msk``) and centroids (``ctd``) below ``derivatives``.

    What this package itself wrote there is left out: predictions are no annotations.

    Returns
    -------
    found : dict
        Name of an image -> ``"masks"`` or ``"points"`` -> files.
    unreadable : list of Path
        Folders that cannot be listed.
    """
    unreadable: list[Path] = []
    by_entities: dict[str, list[BidsImage]] = {}
    for image in images:
        by_entities.setdefault(image.entities, []).append(image)
    found: dict[str, dict[str, list[Path]]] = {}
    for path in _annotation_files(root / "derivatives", unreadable):
        for entities in _prefixes(path.name):
            match = _ANNOTATION.fullmatch(path.name[len(entities) :])
            if not match:
                continue
            what = "points" if match["kind"] == "ctd" else "masks"
            for image in by_entities.get(entities, ()):
                if {match["image"], match["described"]} <= {None, image.suffix}:
                    found.setdefault(image.name, {}).setdefault(what, []).append(path)
    return found, unreadable


def derivative_description(folder: Path, source: Path) -> dict[str, Any]:
    """Make the ``dataset_description.json`` of a folder of our results for a BIDS data set."""
    name = bids_description(source).get("Name") or source.absolute().name
    return {
        "Name": f"Levels of the spine in {name}",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": _TOOL, "Version": __version__}],
        "SourceDatasets": [{"URL": os.path.relpath(source.absolute(), folder.absolute())}],
    }


def _subjects_folder(root: Path) -> Path:
    return root / "rawdata" if os.path.isdir(root / "rawdata") else root


def _annotation_files(derivatives: Path, unreadable: list[Path]) -> Iterator[Path]:
    if not os.path.isdir(derivatives):
        return
    yield from _files(derivatives, unreadable)
    for pipeline in _listed(derivatives, [])[0]:
        if pipeline.name.startswith("sub-"):
            continue
        generated = bids_description(pipeline).get("GeneratedBy")
        if _TOOL not in [tool.get("Name") for tool in generated or () if isinstance(tool, dict)]:
            yield from _files(pipeline, unreadable)


def _files(folder: Path, unreadable: list[Path]) -> Iterator[Path]:
    """Files in the subject, session and data type folders below a folder; links back into it are passed over."""
    for subject in _subjects(folder, unreadable):
        yield from _tree(subject, folder, 2, unreadable)


def _subjects(folder: Path, unreadable: list[Path]) -> Iterator[Path]:
    return (path for path in _listed(folder, unreadable)[0] if path.name.startswith("sub-"))


def _tree(folder: Path, root: Path, depth: int, unreadable: list[Path]) -> Iterator[Path]:
    from regforest.io import leads_back

    if leads_back(folder, root):
        return
    folders, files = _listed(folder, unreadable)
    yield from files
    for inner in folders if depth else ():
        yield from _tree(inner, root, depth - 1, unreadable)


def _listed(folder: Path, unreadable: list[Path]) -> tuple[list[Path], list[Path]]:
    from regforest.io import list_folder

    try:
        return list_folder(folder)
    except FileError:
        unreadable.append(folder)
        return [], []


def _prefixes(name: str) -> Iterator[str]:
    """All beginnings of a file name that end where an entity does, the longest first."""
    parts = name.split("_")
    for count in range(len(parts) - 1, 0, -1):
        yield "_".join(parts[:count])
