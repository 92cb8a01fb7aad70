"""What makes a spine CT hard: metal, scoliosis, or few vertebrae in view.

Rates over all scans hide the ones that a clinic struggles with. The kinds are read off the annotated scan itself, so
that they mean the same in every data set.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from regforest.spatial import AnnotatedScan, Landmarks, Volume

__all__ = ["DIFFICULTIES", "difficulties", "lateral_cobb_deg"]

DIFFICULTIES = ("metal", "scoliosis", "few levels")
"""Metal beside the annotated vertebrae, a lateral Cobb angle above 20 degrees, at most six annotated levels."""

_METAL_HU = 2500.0  # enamel and cortical bone stay below
_METAL_MM3 = 150.0  # less are clips and markers
_METAL_NEAR_MM = 40.0  # from a body's centre to the end of its screws; teeth and hips lie further off
_COBB_DEG = 20.0
_FEW = 6


def difficulties(scan: AnnotatedScan) -> tuple[str, ...]:
    """Tell which of `DIFFICULTIES` an annotated CT scan has.

    Parameters
    ----------
    scan : AnnotatedScan
        Its first channel in HU, and its landmarks.

    Examples
    --------
    >>> from regforest.spatial import Grid
    >>> water = Volume(np.zeros((4, 4, 4), dtype=np.int16), Grid((4, 4, 4), np.eye(4)))
    >>> difficulties(AnnotatedScan("a", "a", {"image": water}, Landmarks({"L1": (1, 1, 1)})))
    ('few levels',)
    """
    found = (
        _metal_mm3(scan.image, scan.landmarks) >= _METAL_MM3,
        lateral_cobb_deg(scan.landmarks) > _COBB_DEG,
        len(scan.landmarks) <= _FEW,
    )
    return tuple(name for name, there in zip(DIFFICULTIES, found, strict=True) if there)


def lateral_cobb_deg(landmarks: Landmarks) -> float:
    """Angle in the coronal plane between the two most tilted parts of the line through the centres.

    The angle of Cobb is drawn at endplates; without them the line through three neighbouring centres stands for the
    axis of the middle one. Fewer than four centres have no angle: 0.

    Parameters
    ----------
    landmarks : Landmarks
        Centres, LPS mm, of neighbouring levels.

    Examples
    --------
    >>> bent = {"T10": (0, 0, 90), "T11": (0, 0, 60), "T12": (8, 0, 30), "L1": (24, 0, 0), "L2": (40, 0, -30)}
    >>> round(lateral_cobb_deg(Landmarks(bent)))
    20
    """
    points = landmarks.points
    if len(points) < 4:
        return 0.0
    chords = points[2:] - points[:-2]
    tilt_deg = np.degrees(np.arctan2(chords[:, 0], np.maximum(-chords[:, 2], 1e-6)))
    return float(np.ptp(tilt_deg))


def _metal_mm3(image: Volume, landmarks: Landmarks) -> float:
    """Volume of metal near the centres."""
    metal_xyz = np.argwhere(image.voxels >= _METAL_HU)[:, ::-1]
    if not len(landmarks) or not len(metal_xyz):
        return 0.0
    centres, metal_mm = KDTree(landmarks.points), image.grid.index_to_lps(metal_xyz)
    near = np.isfinite(centres.query(metal_mm, distance_upper_bound=_METAL_NEAR_MM)[0])
    return float(near.sum() * abs(np.linalg.det(image.grid.matrix[:3, :3])))
