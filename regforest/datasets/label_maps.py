"""Label images of other tools: their numbers become levels, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regforest.datasets.masks import centroids
from regforest.errors import DataError, UsageError
from regforest.io import read_label_names, read_volume
from regforest.spatial import LEVEL_TABLES, Landmarks, Volume, level_table, numbers_in

__all__ = ["LabelMap", "read_label_map", "select_levels"]


@dataclass(frozen=True)
class LabelMap:
    """A label image whose values are levels.

    Attributes
    ----------
    labels : Volume
        Integers (z, y, x), 0 for background and for what is no level.
    names : mapping of int to str
        Value -> level, for the values that occur.
    unknown : tuple of int
        Values of the file that are no level and were set to 0.
    """

    labels: Volume
    names: Mapping[int, str]
    unknown: tuple[int, ...]

    def centroids(self) -> Landmarks:
        """Centroid of each level's voxels, LPS millimetres."""
        return centroids(self.labels, self.names)

    def renumbered(self, table: str) -> LabelMap:
        """Return the same levels with the numbers of a table; `LevelError` names levels that it has none for."""
        numbers = numbers_in(table, self.names.values())
        lookup = np.zeros(max(self.names) + 1, np.uint8 if max(numbers.values()) < 256 else np.int32)
        for value, name in self.names.items():
            lookup[value] = numbers[name]
        names = {number: name for name, number in numbers.items()}
        return LabelMap(Volume(lookup[self.labels.voxels], self.labels.grid), names, self.unknown)


def read_label_map(path: str | Path, table: str | None = None) -> LabelMap:
    """Read a label image; what its values mean stands in a table or in its own header.

    Parameters
    ----------
    path : str or Path
        Label image.
    table : str, optional
        One of `regforest.spatial.LEVEL_TABLES`; without it the names that this package leaves in NIfTI headers.

    Raises
    ------
    UsageError
        If there is no such table, or no table and no names in the header.
    DataError
        If values are not whole numbers, or none of them is a level.
    FileError
        As in `regforest.io.read_volume`.
    """
    names = level_table(table) if table else read_label_names(path)
    if not names:
        raise UsageError(
            f"{path}: no names in its header; say whose numbers they are: --labels {'|'.join(LEVEL_TABLES)}"
        )
    return select_levels(read_volume(path), names, str(path))


def select_levels(volume: Volume, names: Mapping[int, str], source: str) -> LabelMap:
    """Keep the values of a label image that are levels.

    Parameters
    ----------
    volume : Volume
        Label image as read, of any number type.
    names : mapping of int to str
        Value -> level, more than occur perhaps.
    source : str
        File name for messages.

    Raises
    ------
    DataError
        If values are not whole numbers, or none of them is a level.
    """
    values = np.unique(volume.voxels)
    if not np.equal(values, np.rint(values)).all():
        raise DataError(f"{source}: expected whole numbers as labels, found fractions; is this an image?")
    present = [int(value) for value in values if value]
    known = {value: names[value] for value in present if value in names}
    if not known:
        wanted = f"{', '.join(map(str, sorted(names)[:3]))}, ..."
        found = ", ".join(map(str, present[:10])) or "none"
        raise DataError(f"{source}: expected the labels of levels ({wanted}), found {found}; is it another table?")
    kind = np.uint8 if max(known) < 256 else np.int32
    voxels = np.where(np.isin(volume.voxels, list(known)), volume.voxels, 0).astype(kind)
    unknown = tuple(value for value in present if value not in known)
    return LabelMap(Volume(voxels, volume.grid), known, unknown)
