"""Whether the values of a CT can be Hounsfield units."""

from __future__ import annotations

import numpy as np

from regforest.spatial.volume import Volume

__all__ = ["hounsfield_doubt"]

# fat, lung and the partial volume at the skin; padding (-1024 and less) lies below
_FAT_AND_LUNG_HU = (-900, -20)
# scans of all regions and crops have more than 10 %; images without an offset or in other units have none
_LEAST_SHARE = 1e-3


def hounsfield_doubt(volume: Volume) -> str:
    """Say why the values do not look like Hounsfield units; ``""`` if they may be.

    Every CT of a body holds fat (-100 HU) and most hold lung (-800 HU). Stored values without the offset of -1024,
    values scaled to 0..1 and MR images hold nothing of the kind.

    Examples
    --------
    >>> import numpy as np
    >>> from regforest.spatial import Grid
    >>> grid = Grid.from_parts((1, 1, 3))
    >>> hounsfield_doubt(Volume(np.array([[[-1024, -100, 300]]], np.int16), grid))
    ''
    >>> hounsfield_doubt(Volume(np.array([[[0, 924, 1324]]], np.int16), grid))
    'values from 0 to 1324 are no Hounsfield units: neither fat nor lung is among them'
    """
    least, greatest = _FAT_AND_LUNG_HU
    # plane by plane: the masks stay in the cache
    inside = sum(np.count_nonzero((plane > least) & (plane < greatest)) for plane in volume.voxels)
    if inside >= _LEAST_SHARE * volume.voxels.size:
        return ""
    found = f"values from {volume.voxels.min():g} to {volume.voxels.max():g}"
    return f"{found} are no Hounsfield units: neither fat nor lung is among them"
