"""Annotations that make one look twice: reported, never dropped."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.anatomy import step_statistics
from regforest.spatial import LEVELS, Landmarks, Volume

__all__ = ["coordinate_remarks", "spine_remarks"]

# a step this many standard deviations from the mean is seen about once in 2000 normal steps
_MAX_STEP_DEVIATION = 3.5
# spongy bone of the old (40 HU) is not denser than muscle, but every body has a denser shell: look for that around it
_SHELL_HU = 150.0
_SHELL_SHARE = 0.1
_PROBE_MM = 12.0
_MIN_BONE_SHARE = 0.8
_BORDER_MM = 1.0
_MIN_DROP = 0.1  # of a step: only the sacrum is ever as near to horizontal
_RARE = ("T13", "L6")


def coordinate_remarks(image: Volume, landmarks: Landmarks) -> list[str]:
    """Check that annotated bodies of a CT scan lie in the field of view and nearly all in bone.

    Parameters
    ----------
    image : Volume
        CT, Hounsfield units.
    landmarks : Landmarks
        Body centres, LPS millimetres.

    Returns
    -------
    list of str
        What is wrong; empty when all is well.
    """
    inside = image.grid.contains(landmarks.points_lps_mm, _BORDER_MM)
    remarks = []
    outside = [name for name, fine in zip(landmarks.names, inside, strict=True) if not fine]
    if outside:
        remarks.append(f"outside the field of view: {', '.join(outside)}")
    near_bone = sum(_is_near_bone(image, point) for point in landmarks.points_lps_mm[inside])
    if near_bone < _MIN_BONE_SHARE * inside.sum():
        remarks.append(
            f"only {near_bone} of {inside.sum()} points lie in dense bone: weak bones, or coordinates that are not "
            "millimetres from the first voxel"
        )
    return remarks


def spine_remarks(landmarks: Landmarks) -> list[str]:
    """Look for gaps, unusual steps and wrong order along an annotated spine.

    Steps are compared with those of real spines (`phantoms.anatomy.step_statistics`).

    Returns
    -------
    list of str
        Remarks; empty when nothing is unusual.

    Examples
    --------
    >>> spine_remarks(Landmarks({"L1": (0, 0, 0), "L2": (0, -8, -33), "L4": (0, -15, -101)}))
    ['no L3 between L2 and L4']
    """
    statistics = step_statistics("A")
    remarks = []
    for upper, lower in itertools.pairwise(name for name in landmarks if "/" not in name):
        missing = [name for name in LEVELS[LEVELS.index(upper) + 1 : LEVELS.index(lower)] if name not in _RARE]
        if missing:
            remarks.append(f"no {', '.join(missing)} between {upper} and {lower}")
            continue
        step = landmarks[lower] - landmarks[upper]
        if (upper, lower) not in statistics:
            continue
        usual = statistics[upper, lower]
        length, mean = float(np.linalg.norm(step)), float(np.linalg.norm(usual.mean_mm))
        along = usual.mean_mm / mean
        deviation = (length - mean) / float(np.sqrt(along @ usual.covariance_mm2 @ along))
        if landmarks.frame == "LPS" and step @ along <= 0:
            remarks.append(f"{lower} does not lie below {upper}")
        elif upper != "S1" and abs(step[2]) < _MIN_DROP * length:
            remarks.append(f"{upper} and {lower} lie at one height")
        elif abs(deviation) > _MAX_STEP_DEVIATION:
            remarks.append(f"{upper} to {lower}: {length:.0f} mm, usually {mean:.0f} mm")
    return remarks


def _is_near_bone(image: Volume, point_lps_mm: NDArray[np.float64]) -> bool:
    centre = image.grid.lps_to_index(point_lps_mm)
    reach = _PROBE_MM / image.grid.spacing_mm
    first = np.maximum(np.rint(centre - reach), 0).astype(int)
    last = np.minimum(np.rint(centre + reach), np.asarray(image.grid.size_xyz) - 1).astype(int)
    (x0, y0, z0), (x1, y1, z1) = first, last
    block = image.voxels[z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1]
    return bool((block >= _SHELL_HU).mean() >= _SHELL_SHARE) if block.size else False
