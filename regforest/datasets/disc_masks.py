"""A binary mask of seven lumbar discs taken apart, and scans of one patient recognised by their discs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.errors import DataError
from regforest.spatial import Volume

__all__ = ["DISC_NAMES", "disc_measures", "pair_scans", "split_discs"]

FloatArray = NDArray[np.float64]

DISC_NAMES: tuple[str, ...] = ("T11/T12", "T12/L1", "L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
"""The seven discs that the Dixon data sets label, cranial to caudal."""

_LARGE = 0.15  # share of the middle disc's volume from which a part counts as a disc and not as a speck
_EROSIONS = 3


def split_discs(mask: Volume, source: str) -> tuple[Volume, str]:
    """Give each of seven discs its number, 1 (T11/T12) to 7 (L5/S1), by its place along the spine.

    Discs are the seven largest connected parts; specks are dropped. Where discs touch, the mask is eroded until
    seven large parts are left, and each voxel goes to the nearest of them.

    Parameters
    ----------
    mask : Volume
        Non-zero inside discs.
    source : str
        File name, for messages.

    Returns
    -------
    labels : Volume
        uint8, 0 to 7.
    note : str
        What was done beyond dropping specks; empty for a clean mask.

    Raises
    ------
    DataError
        If the mask is empty or does not fall into seven discs.
    """
    inside = mask.voxels != 0
    parts, count = _large_parts(inside)
    note = ""
    if 0 < count < len(DISC_NAMES):
        cores, found = _eroded_parts(inside)
        if found == len(DISC_NAMES):
            whole = np.isin(parts, np.arange(1, count + 1))
            parts, note = _nearest_part(cores, whole, mask.grid.spacing_mm), f"{source}: touching discs were split"
            count = found
    if count != len(DISC_NAMES):
        raise DataError(
            f"{source}: expected a mask of seven separate discs, found {count} large connected parts; "
            "correct the mask, or number the discs and use the layout 'labelled-folder'"
        )
    order = _cranial_to_caudal(parts, mask)
    numbers = np.zeros(count + 1, np.uint8)
    numbers[order] = np.arange(1, count + 1)
    return Volume(numbers[parts], mask.grid), note


def disc_measures(labels: Volume) -> FloatArray:
    """Describe a person by the discs: logarithms of their three extents and of the distances between them.

    Parameters
    ----------
    labels : Volume
        Numbers 1 to 7 as from `split_discs`.

    Returns
    -------
    ndarray, shape (27,)
        Independent of position and, nearly, of posture.
    """
    centres, extents = [], []
    for number in range(1, len(DISC_NAMES) + 1):
        points = labels.grid.index_to_lps(np.argwhere(labels.voxels == number)[:, ::-1])
        centres.append(points.mean(axis=0))
        extents.append(np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 1e-3)))
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    return np.asarray(np.log(np.concatenate([np.ravel(extents), steps])))


def pair_scans(measures: Mapping[str, FloatArray]) -> list[tuple[str, str, float, float]]:
    """Find the scans of one patient: the pairing with the least sum of differences, two scans a patient.

    Parameters
    ----------
    measures : mapping of str to ndarray
        Case -> `disc_measures`.

    Returns
    -------
    list of (str, str, float, float)
        Two cases, how much their discs differ (1: as much as those of two people drawn at random, about), and the
        least difference that either has to a third case. Of an odd number of scans one is left out.
    """
    names = sorted(measures)
    if len(names) < 2:
        return []
    table = np.array([measures[name] for name in names])
    scaled = table / np.maximum(table.std(axis=0), 1e-6)
    distance = np.sqrt(((scaled[:, None] - scaled[None]) ** 2).mean(axis=2) / 2)
    return [
        (names[i], names[j], float(distance[i, j]), _least_other(distance, i, j)) for i, j in sorted(_match(distance))
    ]


def _large_parts(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the connected parts numbered from the largest on, specks 0, and their count."""
    parts, count = ndimage.label(inside)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[:count]
    usual = np.median(sizes[order[: len(DISC_NAMES)]]) if count else 0
    large = order[sizes[order] >= _LARGE * usual]
    numbers = np.zeros(count + 1, np.int32)
    numbers[large] = np.arange(1, len(large) + 1)
    return numbers[parts], len(large)


def _eroded_parts(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    for times in range(1, _EROSIONS + 1):
        parts, count = _large_parts(ndimage.binary_erosion(inside, iterations=times))
        if count == len(DISC_NAMES):
            break
    return parts, count


def _nearest_part(cores: NDArray[np.int32], inside: NDArray[np.bool_], spacing_mm: FloatArray) -> NDArray[np.int32]:
    nearest = ndimage.distance_transform_edt(
        cores == 0, sampling=spacing_mm[::-1], return_distances=False, return_indices=True
    )
    return np.where(inside, cores[tuple(nearest)], 0)


def _cranial_to_caudal(parts: NDArray[np.int32], mask: Volume) -> NDArray[np.int64]:
    """Part numbers in the order of their centres along the spine's main direction."""
    index = np.array(ndimage.center_of_mass(parts > 0, parts, range(1, parts.max() + 1)))
    centres = mask.grid.index_to_lps(index[:, ::-1])
    main = np.linalg.svd(centres - centres.mean(axis=0))[2][0]
    return np.argsort(-(centres @ main) * np.sign(main[2])) + 1


def _match(distance: FloatArray) -> list[tuple[int, int]]:
    """Pair by least distance first, then exchange partners while that lowers the sum."""
    free = set(range(len(distance)))
    pairs: list[tuple[int, int]] = []
    for flat in np.argsort(distance, axis=None, kind="stable"):
        i, j = divmod(int(flat), len(distance))
        if i < j and i in free and j in free:
            pairs.append((i, j))
            free -= {i, j}
    while _exchange(pairs, distance):
        pass
    return [(min(pair), max(pair)) for pair in pairs]


def _exchange(pairs: list[tuple[int, int]], distance: FloatArray) -> bool:
    for first, second in itertools.combinations(range(len(pairs)), 2):
        (a, b), (c, d) = pairs[first], pairs[second]
        for one, two in (((a, c), (b, d)), ((a, d), (b, c))):
            if distance[one] + distance[two] < distance[a, b] + distance[c, d] - 1e-9:
                pairs[first], pairs[second] = one, two
                return True
    return False


def _least_other(distance: FloatArray, i: int, j: int) -> float:
    others: Sequence[int] = [k for k in range(len(distance)) if k not in (i, j)]
    return float(distance[np.ix_([i, j], others)].min()) if others else float("inf")
