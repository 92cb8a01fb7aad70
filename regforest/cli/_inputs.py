"""Which files make one case, and under which name its results are written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regforest.cli._batch import say
from regforest.errors import FileError, UsageError

if TYPE_CHECKING:
    from regforest.spatial import Grid, Volume

__all__ = ["Input", "Reading", "bids_folders", "cases_of", "images_of"]

# image_<channel> as in a labelled folder; NN_fat and A1_fat as in IVDM3Seg
_CHANNEL = re.compile(r"image_(?P<any>.+)|(?P<case>\d\d|[A-Za-z]\d)_(?P<dixon>fat|inn|opp|wat)", re.IGNORECASE)


@dataclass(frozen=True)
class Input:
    """One case on the command line.

    Attributes
    ----------
    stem : str
        Name of the result files, unique in the run.
    files : mapping of str to Path
        Channel -> image; ``"image"`` for a single one.
    in_bids : bool
        Whether results carry the suffixes of BIDS: ``_ctd`` for landmarks, ``_dseg`` for segmentations.
    """

    stem: str
    files: Mapping[str, Path]
    in_bids: bool = False

    @property
    def points_stem(self) -> str:
        """Name of the landmark files without their format's suffix."""
        return f"{self.stem}_ctd" if self.in_bids else self.stem

    @property
    def labels_stem(self) -> str:
        """Name of the segmentation without its format's suffix."""
        return f"{self.stem}_dseg" if self.in_bids else f"{self.stem}_seg"

    @property
    def name(self) -> str:
        """What to call it in messages and results: the image, or the folder of several channels."""
        first = next(iter(self.files.values()))
        return str(first if "image" in self.files else first.parent)

    @property
    def is_dicom(self) -> bool:
        """Whether it is read as DICOM: a folder, a zip, or a file that is no image of another kind."""
        from regforest.io import image_stem
        from regforest.io.dicom import may_be_dicom

        path = next(iter(self.files.values()))
        return image_stem(path) == path.name and may_be_dicom(path)

    def read(self, series_uid: str | None, prefer: Sequence[str], admit: Callable[[Grid], None]) -> Reading:
        """Read the images; of DICOM one series, chosen as `regforest.io.dicom.read_dicom` does.

        `admit` is told where the voxels of each image lie before any is read, and may raise an error.

        Raises
        ------
        FileError, DataError
            If an image cannot be read, or channels do not lie on one grid.
        UsageError
            If a series is named of what is not DICOM.
        """
        from regforest.datasets.labelled_folder import read_aligned
        from regforest.io import read_grid
        from regforest.io.dicom import read_dicom

        if self.is_dicom:
            scan = read_dicom(next(iter(self.files.values())), series_uid, prefer, admit)
            return Reading({"image": scan.volume}, scan.notes, scan.stack.tags.series_uid)
        if series_uid is not None:
            raise UsageError(f"--series-uid is an option for DICOM, and {self.name} is none")
        for file in self.files.values():
            admit(read_grid(file))
        return Reading(read_aligned(self.files))


@dataclass(frozen=True)
class Reading:
    """Images in memory.

    Attributes
    ----------
    channels : mapping of str to Volume
        On one grid.
    notes : tuple of str
        What the user should know of how they were read.
    series_uid : str or None
        Of DICOM: the series.
    """

    channels: Mapping[str, Volume]
    notes: tuple[str, ...] = ()
    series_uid: str | None = None


def images_of(paths: Sequence[Path]) -> list[Input]:
    """Every image is a case of its own; a BIDS folder stands for its CT images."""
    inputs, others = _bids_inputs(paths, ("CT", "ct"))
    unique = list(dict.fromkeys(others))
    stems = _unique_stems(unique, [_stem(path) for path in unique])
    return inputs + [Input(stem, {"image": path}) for stem, path in zip(stems, unique, strict=True)]


def cases_of(paths: Sequence[Path]) -> list[Input]:
    """Group ``image_<channel>`` files of one folder into one case; a folder stands for the images in it.

    A folder with DICOM and no such files is a case itself; that of many patients, in a known layout, many cases.
    A BIDS folder stands for its T2w images, each a case of its own.

    Raises
    ------
    FileError
        If a folder holds no image of a known name and no DICOM, or a channel occurs twice in a case.
    """
    inputs, others = _bids_inputs(paths, ("T2w",))
    groups: dict[Path, dict[str, Path]] = {}
    stems: dict[Path, str] = {}
    given = {file: os.path.isdir(path) for path in others for file in _images_in(path)}
    for path, in_case_folder in given.items():
        place, stem, channel = _place(path, in_case_folder)
        if channel in groups.setdefault(place, {}):
            found = f"{groups[place][channel].name} and {path.name}"
            raise FileError(place, f"one file for channel {channel!r}", found, "name one of them")
        groups[place][channel] = path
        stems[place] = stem
    unique = _unique_stems(list(groups), list(stems.values()))
    return inputs + [Input(stem, files) for stem, files in zip(unique, groups.values(), strict=True)]


def bids_folders(paths: Sequence[Path]) -> list[Path]:
    """Which of the paths are BIDS data sets."""
    from regforest.datasets.bids_files import is_bids

    return [path for path in paths if os.path.isdir(path) and is_bids(path)]


def _bids_inputs(paths: Sequence[Path], suffixes: Sequence[str]) -> tuple[list[Input], list[Path]]:
    """Turn BIDS folders into their images with one of the suffixes; the second list holds the other paths."""
    from regforest.datasets.bids_files import find_images

    folders, inputs = bids_folders(paths), []
    for folder in folders:
        images, unreadable = find_images(folder)
        fitting = [image for image in images if image.suffix in suffixes]
        for path in unreadable:
            say(f"{path}: this folder cannot be listed and is left out; correct its rights")
        if not fitting:
            found = ", ".join(sorted({image.suffix for image in images})) or "no image"
            wanted = f"images with the suffix {' or '.join(suffixes)}"
            raise FileError(folder, wanted, found, "name the images themselves")
        stems = [image.result_stem for image in fitting]
        doubled = [image.path for image in fitting if stems.count(image.result_stem) > 1]
        if doubled:
            raise FileError(folder, "one file for each image", " and ".join(map(str, doubled)), "remove one of them")
        inputs += [Input(image.result_stem, {"image": image.path}, in_bids=True) for image in fitting]
    return inputs, [path for path in paths if path not in folders]


def _images_in(path: Path) -> list[Path]:
    from regforest.io import image_stem, list_folder

    if not os.path.isdir(path):
        return [path]
    known = [file for file in list_folder(path)[1] if image_stem(file) != file.name]
    found = [file for file in known if image_stem(file) == "image" or _CHANNEL.fullmatch(image_stem(file))]
    return found or _dicom_in(path)


def _dicom_in(folder: Path) -> list[Path]:
    from regforest.datasets.lumbar_mri import patient_folders
    from regforest.io.dicom import holds_dicom

    found = patient_folders(folder) or ([folder] if holds_dicom(folder) else [])
    if not found:
        wanted = "image.nii.gz, image_<channel>.nii.gz or DICOM files"
        raise FileError(folder, wanted, "none", "name the images themselves")
    return found


def _stem(path: Path) -> str:
    from regforest.io import image_stem
    from regforest.io.dicom import dicom_stem

    stem = image_stem(path)
    return dicom_stem(path) if stem == path.name else stem


def _place(path: Path, in_case_folder: bool) -> tuple[Path, str, str]:
    """Return what identifies the case of a file, the stem of its results, and its channel."""
    stem = _stem(path)
    match = _CHANNEL.fullmatch(stem)
    if not match or os.path.isdir(path):
        return path, path.absolute().parent.name if in_case_folder and not os.path.isdir(path) else stem, "image"
    if match["any"]:
        return path.parent, path.absolute().parent.name, match["any"]
    return path.parent / match["case"], match["case"], match["dixon"].lower()


def _unique_stems(places: Sequence[Path], stems: Sequence[str]) -> list[str]:
    """Put as many parent folders before equal stems as tell them apart; before "image", instead of it."""
    names = list(stems)
    parents = [place.absolute().parent.parts[1:] for place in places]
    for depth in range(1, max(map(len, parents), default=0) + 1):
        clashing = {i for i, name in enumerate(names) if names.count(name) > 1}
        if not clashing:
            break
        names = [
            "_".join([*parents[i][-depth:], *([] if stems[i].lower() == "image" else [stems[i]])])
            if i in clashing
            else name
            for i, name in enumerate(names)
        ]
    # only suffixes differ: a.nii and a.mha of one folder
    return [name if names.count(name) == 1 else places[i].name for i, name in enumerate(names)]
