"""DICOM in: a folder, a zip or a file becomes the volume of one series.

Nothing that identifies a person leaves this module: patients are told apart by tokens, and messages name files,
series and what is wrong.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from regforest.errors import FileError
from regforest.io._dicom_files import (
    DICOM_SUFFIXES,
    DicomFile,
    dicom_files,
    has_dicom_magic,
    may_be_dicom,
)
from regforest.io._dicom_frames import Frame, Skipped, import_pydicom, read_frames
from regforest.io._dicom_geometry import DicomStack, stacks_of
from regforest.io._dicom_pixels import read_voxels
from regforest.io._dicom_tags import StackTags
from regforest.io._folders import walk_files
from regforest.io._names import split_name
from regforest.spatial import Grid, Volume

__all__ = [
    "DicomContents",
    "DicomFile",
    "DicomScan",
    "DicomStack",
    "Frame",
    "Skipped",
    "StackTags",
    "choose_stack",
    "count_reasons",
    "dicom_stem",
    "holds_dicom",
    "import_pydicom",
    "list_dicom",
    "list_series",
    "may_be_dicom",
    "open_dicom",
    "read_dicom",
    "read_frames",
    "read_stack",
    "stacks_of",
]

_MAX_LISTED = 12


@dataclass(frozen=True, eq=False)
class DicomContents:
    """What a folder, zip or file holds.

    Attributes
    ----------
    path : Path
        Where.
    stacks : tuple of DicomStack
        Everything that can be read as a volume.
    skipped : tuple of Skipped
        Files without usable slices.
    notes : tuple of str
        What was passed over.
    """

    path: Path
    stacks: tuple[DicomStack, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, read: Iterable[list[Frame] | Skipped], notes: Sequence[str] = ()) -> DicomContents:
        """Arrange what `read_frames` found in some files."""
        skipped = []
        frames: list[Frame] = []
        for item in read:
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                frames += item
        passed_over = (f"files passed over, {text}" for text in count_reasons(skipped))
        return cls(path, tuple(stacks_of(frames)), tuple(skipped), (*notes, *passed_over))

    @property
    def lost(self) -> tuple[Skipped, ...]:
        """Slices of scanners that cannot be used, because a tag is absent or wrong."""
        return tuple(item for item in self.skipped if item.series_uid)

    @property
    def scans(self) -> tuple[DicomStack, ...]:
        """The stacks that are no localizers."""
        return tuple(stack for stack in self.stacks if not stack.tags.is_localizer)


@dataclass(frozen=True, eq=False)
class DicomScan:
    """One series, read.

    Attributes
    ----------
    volume : Volume
        Voxels (z, y, x), z along the stack, on a grid in LPS mm; sheared for a tilted gantry.
    stack : DicomStack
        Where it comes from.
    notes : tuple of str
        Why this series, and what was left out, filled in or is unusual.
    """

    volume: Volume
    stack: DicomStack
    notes: tuple[str, ...]


def read_dicom(
    path: str | Path,
    series_uid: str | None = None,
    prefer: Sequence[str] = (),
    admit: Callable[[Grid], None] | None = None,
) -> DicomScan:
    """Read one series of a folder (with its sub-folders), a zip (in place) or a single file.

    Slices are placed by ImagePositionPatient, ImageOrientationPatient and PixelSpacing, at the top of a file or in
    its functional groups, and sorted along their normal. Gaps of one slice (or up to 5 mm) are interpolated; wider
    ones divide a series. Without `series_uid` localizers are passed over and the series with most slices is taken,
    of equal ones that with the lowest number; the notes say so.

    Parameters
    ----------
    path : str or Path
        Folder, ``.zip``, or file.
    series_uid : str, optional
        SeriesInstanceUID; the largest stack of that series is read.
    prefer : sequence of str
        What matters more than the number of slices, the first most: modality, plane and weighting, as
        ``("mr", "sagittal", "t2")``.
    admit : callable, optional
        Is told where the voxels lie before they are read, and may raise an error.

    Returns
    -------
    DicomScan

    Raises
    ------
    FileError
        If pydicom is not installed, there is no image or no such series, the images are of several patients, a slice
        of the series lacks a tag, or pixels cannot be decoded. Nothing is read by halves.

    Examples
    --------
    >>> from regforest.errors import RegForestError
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory(prefix="empty") as folder:
    ...     try:
    ...         read_dicom(folder)
    ...     except RegForestError as error:
    ...         print(str(error).partition(": ")[2])
    expected DICOM images, found no files; name the folder that holds them, or an image file
    """
    with open_dicom(path) as contents:
        stack, reasons = choose_stack(contents, series_uid, prefer)
        if admit is not None:
            admit(stack.grid)
        return DicomScan(read_stack(stack), stack, (*reasons, *stack.notes, *contents.notes))


def list_dicom(path: str | Path) -> DicomContents:
    """Find what can be read, from the tags alone; raises `FileError` if there is no image."""
    with open_dicom(path) as contents:
        return contents


@contextmanager
def open_dicom(path: str | Path) -> Iterator[DicomContents]:
    """Like `list_dicom`, and keep a zip open, so that the files in it can be read."""
    place = Path(path)
    import_pydicom(place)
    notes: list[str] = []
    with dicom_files(place, notes) as files:
        read = [read_frames(file) for file in files]  # the notes are complete when all are read
        contents = DicomContents.of(place, read, notes)
        if not contents.stacks:
            found = "; ".join([*count_reasons(contents.skipped), *notes]) or "no files"
            raise FileError(place, "DICOM images", found, "name the folder that holds them, or an image file")
        yield contents


def read_stack(stack: DicomStack) -> Volume:
    """Read the voxels of a stack; raises `FileError` that names the file whose pixels cannot be decoded."""
    return Volume(read_voxels(stack), stack.grid)


def choose_stack(
    contents: DicomContents, series_uid: str | None = None, prefer: Sequence[str] = ()
) -> tuple[DicomStack, tuple[str, ...]]:
    """Choose the stack that `read_dicom` reads, and tell why; same parameters and errors."""
    path, stacks = contents.path, contents.stacks
    if series_uid is not None:
        candidates = [stack for stack in stacks if stack.tags.series_uid == series_uid]
        if not candidates:
            raise FileError(path, f"the series {series_uid}", list_series(stacks), "name one of these")
    else:
        candidates = list(contents.scans)
        if not candidates:
            found = f"only localizers: {list_series(stacks)}"
            raise FileError(path, "a scan", found, "name one by its series UID")
    _refuse_several_patients(path, candidates)

    def rank(stack: DicomStack) -> tuple[object, ...]:
        tags = stack.tags
        return (
            *(word not in stack.words for word in prefer),
            -len(stack.frames),
            tags.series_number,
            tags.series_uid,
        )

    chosen = min(candidates, key=rank)
    _refuse_loss(contents, chosen)
    return chosen, tuple(_reasons(chosen, candidates, prefer))


def count_reasons(skipped: Sequence[Skipped]) -> list[str]:
    """Tell how often each reason to pass over a file occurs, and the first such file."""
    counts = Counter(item.reason for item in skipped)
    first = {item.reason: item.file.name for item in reversed(skipped)}
    return [f"{reason}: {count}, the first {first[reason]}" for reason, count in counts.items()]


def dicom_stem(path: Path) -> str:
    """Name of a folder, zip or file for its results; never one of a tag."""
    if os.path.isdir(path):
        return path.resolve().name or "dicom"
    return split_name(path, (*DICOM_SUFFIXES, ".zip"))[0]


def holds_dicom(folder: Path) -> bool:
    """Tell whether there is a DICOM file in a folder or below; needs no pydicom."""
    return any(has_dicom_magic(path) for path in walk_files(folder, []))


def _refuse_several_patients(path: Path, stacks: Sequence[DicomStack]) -> None:
    people = {frame.patient: frame.file.name for stack in reversed(stacks) for frame in reversed(stack.frames)}
    if len(people) > 1:
        found = f"{len(people)} patients, in files such as {' and '.join(sorted(people.values())[:_MAX_LISTED])}"
        raise FileError(path, "images of one patient", found, "name the folder of one, or a series by its UID")


def _refuse_loss(contents: DicomContents, chosen: DicomStack) -> None:
    lost = [item for item in contents.lost if item.series_uid == chosen.tags.series_uid]
    if lost:
        expected = f"usable tags in all slices of series {chosen.tags.series_uid}"
        found = f"{lost[0].reason} ({len(lost)} such files)"
        raise FileError(lost[0].file.name, expected, found, "export the series again, or remove the files")


def _reasons(chosen: DicomStack, candidates: Sequence[DicomStack], prefer: Sequence[str]) -> Iterator[str]:
    uid = chosen.tags.series_uid
    rest = [len(stack.frames) for stack in candidates if stack.tags.series_uid == uid and stack is not chosen]
    if rest:
        why = "another direction, size, echo or image type, or beyond a gap"
        yield f"took {len(chosen.frames)} slices of series {uid}, not its other {sum(rest)} ({why})"
    others = [stack for stack in candidates if stack.tags.series_uid != uid]
    if others:
        rule = ", ".join([*(f"{word} before others" for word in prefer), "most slices first"])
        yield f"took series {list_series([chosen])}, by the rule: {rule}; not taken: {list_series(others)}"


def list_series(stacks: Sequence[DicomStack]) -> str:
    """List series with their numbers of slices, such as ``1.2.3 (T2_SAG: 15 slices, mr sagittal t2)``."""
    series: dict[str, list[DicomStack]] = {}
    for stack in stacks:
        series.setdefault(stack.tags.series_uid, []).append(stack)
    texts = []
    for uid, parts in series.items():
        slices = "+".join(str(len(stack.frames)) for stack in parts)
        words = dict.fromkeys(word for stack in parts for word in stack.words)
        texts.append(f"{uid} ({parts[0].tags.description or 'no description'}: {slices} slices, {' '.join(words)})")
    more = f" and {len(texts) - _MAX_LISTED} more" if len(texts) > _MAX_LISTED else ""
    return ", ".join(texts[:_MAX_LISTED]) + more
