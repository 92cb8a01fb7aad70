"""What every data set looks like from outside: named cases of patients, read one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from regforest.errors import RegForestError
from regforest.spatial import AnnotatedScan, ScanSize, Volume

__all__ = ["Case", "Dataset", "Fault", "readable_sizes"]

_VOXEL_BYTES = 4


@dataclass(frozen=True)
class Case(ABC):
    """One scan on disk; reading happens only in `read_channels` and `load`.

    Attributes
    ----------
    name : str
        Unique in the data set and safe as a file name.
    patient : str
        Scans of one patient never stand on both sides of a split.
    image_files : mapping of str to Path
        Channel -> file; a scan with a single image calls it ``"image"``.
    annotation_file : Path or None
        Landmarks or mask.
    info : mapping of str to str
        What a table of the data set says about the scan, column -> text.
    """

    name: str
    patient: str
    image_files: Mapping[str, Path]
    annotation_file: Path | None
    info: Mapping[str, str] = field(default_factory=dict, kw_only=True)

    @abstractmethod
    def read_channels(self) -> dict[str, Volume]:
        """Read the images; raises `FileError` that names the file at fault."""

    @abstractmethod
    def load(self) -> AnnotatedScan:
        """Read images and annotation; raises `FileError` or `DataError` that names the file at fault."""

    def size(self) -> ScanSize:
        """Learn from the headers, and from the landmarks if they are points, how large the scan is.

        Voxels may be floats. Raises `FileError` if the image's header cannot be read.
        """
        from regforest.io import LANDMARK_SUFFIXES, read_grid, read_landmarks, split_name

        grid = read_grid(next(iter(self.image_files.values())))
        levels, masks = 0, self.annotation_file is not None
        if self.annotation_file is not None and split_name(self.annotation_file, LANDMARK_SUFFIXES)[1]:
            masks = False
            with suppress(RegForestError):  # said when the scan is read
                levels = len(read_landmarks(self.annotation_file, grid))
        channels = len(self.image_files)
        return ScanSize(grid, levels, _VOXEL_BYTES * (channels + masks), channels, masks)


def readable_sizes(cases: Iterable[Case]) -> dict[str, ScanSize]:
    """Return the sizes of scans by name, as their headers say; what cannot be read fails later, when it is."""
    sizes = {}
    for case in cases:
        with suppress(RegForestError, OSError):
            sizes[case.name] = case.size()
    return sizes


@dataclass(frozen=True)
class Fault:
    """A case that was found but cannot be used: a row of ``failures.csv``."""

    case: str
    stage: str
    error: str


@dataclass(frozen=True)
class Dataset:
    """The cases of one data set, sorted by name.

    Attributes
    ----------
    name, layout : str
        For people, and one of the layouts of the command line.
    root : Path
        Its folder.
    cases : tuple of Case
        Usable cases.
    faults : tuple of Fault
        Folders that look like cases and cannot be used, with the reason.
    terms, citation : str
        Licence terms and reference, shown on reports.
    notes : tuple of str
        What the user should know about how the data were understood (estimated patients, flipped matrices, ...).
    """

    name: str
    layout: str
    root: Path
    cases: tuple[Case, ...]
    faults: tuple[Fault, ...] = ()
    terms: str = ""
    citation: str = ""
    notes: tuple[str, ...] = field(default=())
