"""What a method learns from: a scan in memory with its annotation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from regforest.errors import DataError
from regforest.spatial.grid import Grid
from regforest.spatial.landmarks import Landmarks
from regforest.spatial.volume import Volume

__all__ = ["AnnotatedScan", "ScanSize", "is_file_name"]


def is_file_name(name: str) -> bool:
    """Whether a name leads to a file or folder of a folder, and nowhere else.

    Examples
    --------
    >>> is_file_name("case 7"), is_file_name("../case 7"), is_file_name("")
    (True, False, False)
    """
    return name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)


class ScanSize(NamedTuple):
    """What decides how much memory it takes to learn from a scan.

    Attributes
    ----------
    grid : Grid
        Of its images.
    levels : int
        Annotated structures; 0 where that cannot be known before it is read.
    voxel_bytes : int
        Bytes of one voxel, all channels and the labels together.
    channels : int
        Number of images.
    masks : bool
        Whether there may be masks.
    """

    grid: Grid
    levels: int = 0
    voxel_bytes: int = 2
    channels: int = 1
    masks: bool = False

    @property
    def files_mb(self) -> float:
        """Megabytes of the images and labels in memory."""
        return float(np.prod(self.grid.shape_zyx, dtype=np.float64)) * self.voxel_bytes / 1e6


@dataclass(frozen=True)
class AnnotatedScan:
    """One scan: its channels, and the landmarks and masks that an expert gave it.

    Attributes
    ----------
    name, patient : str
        The name is one that a file can have: results are written under it. Scans of one patient never stand on both
        sides of a split.
    channels : mapping of str to Volume
        Aligned images on one grid; a scan with a single image calls it ``"image"``.
    landmarks : Landmarks
        Annotated centres in LPS millimetres (of masks: their centroids).
    labels : Volume or None
        Integer mask on the channels' grid, or None where only points were annotated.
    label_names : mapping of int to str
        Value in `labels` -> level.
    notes : tuple of str
        What the user should know about how this scan was read (headers that disagree, discs that were split, ...).

    Raises
    ------
    DataError
        If the name is that of another folder, there is no channel, or channels or labels differ in shape.
    """

    name: str
    patient: str
    channels: Mapping[str, Volume]
    landmarks: Landmarks
    labels: Volume | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not is_file_name(self.name):
            raise DataError(f"scan {self.name!r}: expected a name that a file can have, without folders")
        if not self.channels:
            raise DataError(f"{self.name}: a scan needs at least one channel")
        shapes = {name: volume.grid.shape_zyx for name, volume in self.channels.items()}
        if self.labels is not None:
            shapes["labels"] = self.labels.grid.shape_zyx
        if len(set(shapes.values())) > 1:
            raise DataError(f"{self.name}: channels and labels must have one shape, got {shapes}")

    @property
    def size(self) -> ScanSize:
        """What decides how much memory it takes to learn from this scan."""
        volumes = [*self.channels.values(), *([] if self.labels is None else [self.labels])]
        voxel_bytes = sum(volume.voxels.dtype.itemsize for volume in volumes)
        return ScanSize(
            self.image.grid, len(self.landmarks), voxel_bytes, len(self.channels), self.labels is not None
        )

    @property
    def image(self) -> Volume:
        """The scan's first channel."""
        return next(iter(self.channels.values()))

    def mask(self, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Boolean mask of one structure, shape (z, y, x), all False where it is absent; `DataError` without masks."""
        if self.labels is None:
            raise DataError(f"{self.name}: only points were annotated, there are no masks")
        values = [value for value, known in self.label_names.items() if known == name]
        return np.asarray(np.isin(self.labels.voxels, values))
