"""Tags of one frame: where it lies, and what it shares with the other slices of its stack.

A tag is looked for in the functional groups (of the frame, then shared), then at the top of the file, whatever the
SOP class promises: there are single-frame files that call themselves Enhanced and hold no functional groups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = [
    "Groups",
    "StackTags",
    "TagError",
    "bits_of",
    "orientation_of",
    "position_of",
    "stack_tags",
    "thickness_of",
]

_LOCALIZER = re.compile(r"locali[sz]er|scout|topogram|survey|3-?plane|surview", re.IGNORECASE)
_WEIGHTING = re.compile(r"(?<![a-z0-9])t([12])(?![0-9])", re.IGNORECASE)  # not the levels T10 to T12
_LONG_ECHO_MS, _SHORT_ECHO_MS, _SHORT_REPETITION_MS = 60.0, 30.0, 1200.0
_UNIT_TOLERANCE = 1e-2
_SPACING_MM = (1e-3, 1e3)
_FARTHEST_MM = 1e5
_MAX_BITS = 32


class TagError(Exception):
    """A tag is absent or makes no sense."""


@dataclass(frozen=True)
class Groups:
    """The functional groups of one frame, before the tags at the top of the file."""

    dataset: Dataset
    index: int

    def get(self, keyword: str, group: str = "") -> Any:
        """Value of a tag in a group of this frame, of all frames, or at the top; None where it is empty."""
        for items in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
            sequence = self.dataset.get(items) or ()
            item = sequence[min(self.index, len(sequence) - 1)] if sequence else {}
            inner = item.get(group) if group else None
            if inner and inner[0].get(keyword) is not None:
                return inner[0].get(keyword)
        return self.dataset.get(keyword)

    def numbers(self, keyword: str, group: str, tag: str, count: int) -> NDArray[np.float64]:
        """Finite numbers of a tag that must be there."""
        value = self.get(keyword, group)
        given = [value] if isinstance(value, (int, float, str)) else list(value or ())
        try:
            numbers = np.array([float(x) for x in given])
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if len(numbers) != count or not np.isfinite(numbers).all():
            found = f"{' '.join(map(str, given))!r}" if given else "none"
            raise TagError(f"{keyword} {tag} should be {count} numbers, found {found}")
        return numbers

    def number(self, keyword: str, group: str = "", default: float = 0.0) -> float:
        """Finite number of a tag that may be absent."""
        try:
            value = float(self.get(keyword, group))
        except (TypeError, ValueError):
            return default
        return value if np.isfinite(value) else default


@dataclass(frozen=True)
class StackTags:
    """What all slices of one stack share.

    Attributes
    ----------
    series_uid, series_number, description, modality
        Of the series.
    variant : str
        Image type, echo, phase: what tells images of one place apart.
    weighting : {"t1", "t2", ""}
        From the description, else from echo and repetition time.
    is_localizer : bool
        A scout, for planning only.
    size_xy : tuple of int
        Columns and rows.
    spacing_xy_mm : tuple of float
        Between columns and between rows.
    """

    series_uid: str
    series_number: int
    description: str
    modality: str
    variant: str
    weighting: str
    is_localizer: bool
    size_xy: tuple[int, int]
    spacing_xy_mm: tuple[float, float]


def position_of(groups: Groups) -> tuple[float, ...]:
    """Return the LPS place of the first pixel's centre, mm; raises `TagError` if there is none."""
    tag = "(0020,0032)"
    position = groups.numbers("ImagePositionPatient", "PlanePositionSequence", tag, 3)
    if np.abs(position).max() > _FARTHEST_MM:
        raise TagError(f"ImagePositionPatient {tag} should be millimetres in a room, found {position.tolist()}")
    return tuple(position.tolist())


def orientation_of(groups: Groups) -> tuple[float, ...]:
    """Return the unit LPS directions along a row and along a column; raises `TagError` if there are none."""
    tag = "(0020,0037)"
    axes = groups.numbers("ImageOrientationPatient", "PlaneOrientationSequence", tag, 6).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(axes[0] @ axes[1]) > _UNIT_TOLERANCE:
        found = " ".join(f"{x:.4g}" for x in axes.ravel())
        raise TagError(f"ImageOrientationPatient {tag} should be two perpendicular unit vectors, found {found}")
    return tuple((axes / lengths[:, None]).ravel().tolist())


def thickness_of(groups: Groups) -> float:
    """Return the distance of slices that is declared, mm; 1 if none is."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        thickness = abs(groups.number(keyword, "PixelMeasuresSequence"))
        if _is_spacing(thickness):
            return thickness
    return 1.0


def bits_of(dataset: Dataset) -> int:
    """Return the number of bits of a stored value, the lowest ones of each; raises `TagError` if it is otherwise."""
    bits = int(dataset.get("BitsStored") or 16)
    if not 1 <= bits <= _MAX_BITS:
        raise TagError(f"BitsStored (0028,0101) should be 1 to {_MAX_BITS}, found {bits}")
    high = int(dataset.get("HighBit", bits - 1))
    if high != bits - 1:  # withdrawn from the standard; decoders overlook it
        raise TagError(f"HighBit (0028,0102) should be {bits - 1}, one below BitsStored, found {high}")
    return bits


def stack_tags(dataset: Dataset, groups: Groups) -> StackTags:
    """Read what a frame shares with its neighbours; raises `TagError` for a tag that is absent or makes no sense."""
    down, across = groups.numbers("PixelSpacing", "PixelMeasuresSequence", "(0028,0030)", 2)
    if not (_is_spacing(down) and _is_spacing(across)):
        raise TagError(f"PixelSpacing (0028,0030) should be millimetres above 0, found {down:g} {across:g}")
    if dataset.get("ModalityLUTSequence"):
        raise TagError("stored values should turn into real ones by slope and intercept, found a Modality LUT")
    text = " ".join(str(dataset.get(key) or "") for key in ("SeriesDescription", "ProtocolName"))
    image_type = _image_type(groups)
    return StackTags(
        str(dataset.get("SeriesInstanceUID", "")),
        int(groups.number("SeriesNumber")),
        str(dataset.get("SeriesDescription") or dataset.get("ProtocolName") or ""),
        str(dataset.get("Modality") or ""),
        " ".join([*image_type, *_echo_and_phase(groups)]),
        _weighting(text, groups),
        "LOCALIZER" in image_type or bool(_LOCALIZER.search(text)),
        (int(dataset.Columns), int(dataset.Rows)),
        (float(across), float(down)),
    )


def _image_type(groups: Groups) -> list[str]:
    for group in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"):
        value = groups.get("FrameType", group)
        if value:
            break
    else:
        value = groups.get("ImageType")
    return [value] if isinstance(value, str) else [str(part) for part in value or ()]


def _echo_and_phase(groups: Groups) -> list[str]:
    echo = groups.number("EffectiveEchoTime", "MREchoSequence") or groups.number("EchoTime")
    phase = groups.number("TemporalPositionIndex", "FrameContentSequence")
    phase = phase or groups.number("TemporalPositionIdentifier")
    weight = groups.number("DiffusionBValue", "MRDiffusionSequence")
    return [f"{name}{value:g}" for name, value in (("TE", echo), ("phase", phase), ("b", weight)) if value]


def _weighting(text: str, groups: Groups) -> str:
    named = _WEIGHTING.search(text)
    if named:
        return f"t{named[1]}"
    echo = groups.number("EffectiveEchoTime", "MREchoSequence") or groups.number("EchoTime")
    repetition = groups.number("RepetitionTime", "MRTimingAndRelatedParametersSequence")
    if echo >= _LONG_ECHO_MS:
        return "t2"
    return "t1" if 0 < echo < _SHORT_ECHO_MS and 0 < repetition < _SHORT_REPETITION_MS else ""


def _is_spacing(number: float) -> bool:
    return _SPACING_MM[0] <= number <= _SPACING_MM[1]
