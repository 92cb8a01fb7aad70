"""Slices to stacks: sorted by position along their normal, evenly spaced, each on a grid of its own.

File names and instance numbers order nothing. Slices of another orientation, size, echo or image type make a stack
of their own, and so do blocks of slices with a wide gap between them. Where slices shift sideways (a tilted gantry),
the grid is sheared, as `Grid` allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.io._dicom_frames import Frame
from regforest.io._dicom_tags import StackTags
from regforest.spatial import Grid

__all__ = ["DicomStack", "stacks_of"]

FloatArray = NDArray[np.float64]

_SAME_COSINE = 1e-3
_SAME_PLACE_MM = 0.01
_SIDEWAYS_MM = 1.0  # from one slice to the next, beside a constant tilt
_ROUNDED_MM = 0.1  # positions are often written with few digits: what a straight stack may seem to lean
_UNEVEN = 0.05  # of a step
_BRIDGED_STEPS, _BRIDGED_MM = 2.5, 5.0  # the widest gap that is filled by interpolation: the larger of the two


@dataclass(frozen=True, eq=False)
class DicomStack:
    """Evenly spaced slices of one series: what becomes a volume.

    Attributes
    ----------
    frames : tuple of Frame
        In order along the normal of the slices.
    grid : Grid
        x along the rows, y along the columns, z along the stack; LPS mm.
    places : ndarray, shape (z,)
        For each slice of the grid, where it lies among `frames`; fractions are interpolated.
    notes : tuple of str
        What was left out, filled in or is unusual.
    """

    frames: tuple[Frame, ...]
    grid: Grid
    places: FloatArray
    notes: tuple[str, ...] = ()

    @property
    def tags(self) -> StackTags:
        """What its slices share."""
        return self.frames[0].tags

    @property
    def plane(self) -> str:
        """``"sagittal"``, ``"coronal"`` or ``"axial"``, whichever is nearest."""
        return ("sagittal", "coronal", "axial")[int(np.abs(_normal(self.frames[0])).argmax())]

    @property
    def words(self) -> tuple[str, ...]:
        """What it is by modality, plane and weighting: ``("mr", "sagittal", "t2")``."""
        return tuple(word for word in (self.tags.modality.lower(), self.plane, self.tags.weighting) if word)


def stacks_of(frames: Iterable[Frame]) -> list[DicomStack]:
    """Arrange slices of any number of series in stacks, sorted by series and place.

    Parameters
    ----------
    frames : iterable of Frame
        In any order.

    Returns
    -------
    list of DicomStack
        Every slice is in one of them, or a note of its stack says why not.
    """

    def key(frame: Frame) -> Any:
        # the patient too: one series of two people must be seen as such, not as repeated slices
        return (frame.tags.series_number, *map(str, vars(frame.tags).values()), frame.patient)

    stacks: list[DicomStack] = []
    for _, alike in groupby(sorted(frames, key=key), key):
        for parallel in _by_orientation(list(alike)):
            singles, notes = _without_repeats(parallel)
            stacks += [_stack(block, notes) for one in singles for block in _blocks(one)]
    return stacks


def _normal(frame: Frame) -> FloatArray:
    row, column = np.reshape(frame.orientation, (2, 3))
    return np.cross(row, column)


def _along(frames: Sequence[Frame]) -> FloatArray:
    """Position of each slice along the normal of the first, mm."""
    return np.asarray([frame.position_lps_mm for frame in frames] @ _normal(frames[0]))


def _by_orientation(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Slices of one direction, in order along it; ties in the order of acquisition."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if np.abs(np.subtract(group[0].orientation, frame.orientation)).max() < _SAME_COSINE:
                group.append(frame)
                break
        else:
            groups.append([frame])
    return [_sorted(group) for group in groups]


def _sorted(frames: Sequence[Frame]) -> list[Frame]:
    along = np.round(_along(frames) / _SAME_PLACE_MM)
    rank = {id(frame): (mm, frame.acquisition, frame.instance) for frame, mm in zip(frames, along, strict=True)}
    return sorted(frames, key=lambda frame: (*rank[id(frame)], frame.file.name))


def _without_repeats(frames: Sequence[Frame]) -> tuple[list[list[Frame]], tuple[str, ...]]:
    """One slice for each place: copies are dropped, repeated acquisitions become stacks of their own."""
    # the place too, as some writers give one identifier to all
    unique = {(f.sop_uid or f.file.name, f.index, f.position_lps_mm): f for f in reversed(frames)}
    kept = list(unique.values())[::-1]
    copies = len(frames) - len(kept)
    notes = (f"copies of slices left out: {copies}",) if copies else ()
    first = _first_of_each_place(kept)
    if len(first) == len(kept):
        return [kept], notes
    numbers = sorted({frame.acquisition for frame in kept})
    acquisitions = [[frame for frame in kept if frame.acquisition == number] for number in numbers]
    if all(len(_first_of_each_place(one)) == len(one) for one in acquisitions):
        return acquisitions, notes
    repeated = len(kept) - len(first)
    return [first], (*notes, f"slices left out because an earlier one lies in their place: {repeated}")


def _first_of_each_place(frames: Sequence[Frame]) -> list[Frame]:
    places = np.array([frame.position_lps_mm for frame in frames])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    return [frames[0], *(frame for frame, step in zip(frames[1:], steps, strict=True) if step > _SAME_PLACE_MM)]


def _blocks(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Cut where a gap is too wide to be bridged, or where slices jump sideways."""
    if len(frames) == 1:
        return [list(frames)]
    steps = np.diff([frame.position_lps_mm for frame in frames], axis=0)
    normal = _normal(frames[0])
    forward = np.maximum(steps @ normal, _SAME_PLACE_MM)
    tilt = (steps - np.outer(steps @ normal, normal)) / forward[:, None]
    jump = np.linalg.norm((tilt - np.median(tilt, axis=0)) * forward[:, None], axis=1)
    cuts = (forward > max(_BRIDGED_STEPS * _step(forward), _BRIDGED_MM)) | (jump > _SIDEWAYS_MM)
    ends = [0, *(np.flatnonzero(cuts) + 1).tolist(), len(frames)]
    return [list(frames[start:end]) for start, end in pairwise(ends)]


def _step(forward: FloatArray) -> float:
    """Usual distance of neighbouring slices; the lower of two middle ones, as gaps only make it larger."""
    return float(np.sort(forward)[(len(forward) - 1) // 2])


def _stack(frames: Sequence[Frame], notes: tuple[str, ...]) -> DicomStack:
    along = _along(frames)
    places, filled = _even_places(along - along[0])
    first, last = (np.array(frame.position_lps_mm) for frame in (frames[0], frames[-1]))
    normal = _normal(frames[0])
    travel = last - first
    if np.linalg.norm(travel - (travel @ normal) * normal) < _ROUNDED_MM:
        travel = (travel @ normal) * normal
    row, column = np.reshape(frames[0].orientation, (2, 3))
    tags = frames[0].tags
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = row * tags.spacing_xy_mm[0], column * tags.spacing_xy_mm[1]
    matrix[:3, 2] = travel / (len(places) - 1) if len(places) > 1 else normal * frames[0].thickness_mm
    matrix[:3, 3] = first
    grid = Grid((len(places), tags.size_xy[1], tags.size_xy[0]), matrix)
    return DicomStack(tuple(frames), grid, places, (*notes, *filled, *_tilt_note(grid, normal)))


def _even_places(along_mm: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Where evenly spaced slices lie among those that are there, and a note if that takes interpolation."""
    present = np.arange(len(along_mm), dtype=np.float64)
    if len(along_mm) == 1 or _unevenness(along_mm) <= _UNEVEN:
        return present, ()
    step = _step(np.diff(along_mm))
    count = round(along_mm[-1] / step) + 1
    places = np.interp(np.linspace(0, along_mm[-1], count), along_mm, present)
    whole = np.abs(places - np.rint(places)) <= _UNEVEN
    places[whole] = np.rint(places[whole])
    what = f"missing slices: {count - len(along_mm)}" if whole.sum() == len(along_mm) else "uneven distances"
    step_mm = along_mm[-1] / (count - 1)
    return places, (f"{what}; interpolated: {count - whole.sum()} of {count}, {step_mm:.4g} mm apart",)


def _unevenness(along_mm: FloatArray) -> float:
    """Largest distance of a slice from its even place, in steps."""
    even = np.linspace(0, along_mm[-1], len(along_mm))
    return float(np.abs(along_mm - even).max() / (even[1] - even[0]))


def _tilt_note(grid: Grid, normal: FloatArray) -> tuple[str, ...]:
    if grid.is_orthogonal:
        return ()
    degrees = np.degrees(np.arccos(min(1.0, float(grid.direction[:, 2] @ normal))))
    return (f"slices shift sideways (gantry tilt of {degrees:.1f} degrees): the grid is sheared",)
