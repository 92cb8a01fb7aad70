"""From a few annotated centres to a label for every voxel (Glocker et al. 2013, section 2.1).

Each vertebra v with centre c_v claims a point x with psi_v(x) = exp(-|x - c_v|^2 / h_v). The background has what
the best claim leaves, p(background | x) = 1 - max_v psi_v(x), and the vertebrae share the rest in proportion to
their claims. The labels are soft: halfway between two centres both have their part.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.spatial import LEVELS, PAPER_LEVELS, Landmarks

__all__ = [
    "BACKGROUND",
    "CLASSES",
    "body_radius_mm",
    "class_of_level",
    "hard_labels",
    "label_distribution",
    "unlabelled_bodies",
]

FloatArray = NDArray[np.float64]

CLASSES: tuple[str, ...] = (*PAPER_LEVELS, "background")
"""Columns of every label and probability array of this package: 26 vertebrae, then background."""

BACKGROUND = len(CLASSES) - 1
"""Column of the background."""

# disc diameters in mm, C1 to S2, that the paper's authors list as vertebra sizes
_DIAMETERS_MM = (
    14, 15, 16.5, 17, 17, 19, 20,  # C1 to C7
    19.3, 20, 22, 24, 25, 27, 29, 31, 33, 32, 33.5, 34,  # T1 to T12
    34, 37, 38, 36, 34, 34, 34,  # L1 to S2
)  # fmt: skip
_DIAMETER_MM = dict(zip(PAPER_LEVELS, _DIAMETERS_MM, strict=True))
# a supernumerary vertebra looks like the one above it
_STANDS_FOR = {"T13": "T12", "L6": "L5"}


def class_of_level(name: str) -> int:
    """Column of a level in `CLASSES`; T13 and L6 share those of T12 and L5.

    Examples
    --------
    >>> class_of_level("C1"), class_of_level("L6") == class_of_level("L5")
    (0, True)
    """
    return CLASSES.index(_STANDS_FOR.get(name, name))


def body_radius_mm(name: str) -> float:
    """Radius of a vertebral body seen from above: half the diameter of its disc."""
    return float(_DIAMETER_MM[_STANDS_FOR.get(name, name)] / 2)


def label_distribution(
    points_lps_mm: ArrayLike, landmarks: Landmarks, claim_share: float = 0.5
) -> NDArray[np.float32]:
    """Soft label of each point: the distribution over `CLASSES`.

    Parameters
    ----------
    points_lps_mm : array_like, shape (N, 3)
        Where labels are wanted.
    landmarks : Landmarks
        Annotated centres, LPS mm.
    claim_share : float
        Where a vertebra's claim falls to 1/e, as a share of its radius: h_v = (claim_share * radius)^2.

    Returns
    -------
    ndarray of float32, shape (N, len(CLASSES))
        Rows sum to 1.

    Examples
    --------
    >>> spine = Landmarks({"L1": (0, 0, 0), "L2": (0, 0, -34)})
    >>> label = label_distribution([(0, 0, 0), (0, 0, 200)], spine)
    >>> [CLASSES[i] for i in label.argmax(axis=1)]
    ['L1', 'background']
    """
    points = np.asarray(points_lps_mm, dtype=np.float64).reshape(-1, 3)
    claims = np.zeros((len(points), len(CLASSES)))
    for name, centre in landmarks.items():
        psi = np.exp(-((points - centre) ** 2).sum(axis=1) / (claim_share * body_radius_mm(name)) ** 2)
        column = class_of_level(name)
        np.maximum(claims[:, column], psi, out=claims[:, column])
    foreground = claims.max(axis=1)
    total = np.maximum(claims.sum(axis=1), np.finfo(np.float64).tiny)
    labels = claims * (foreground / total)[:, None]
    labels[:, BACKGROUND] = 1 - foreground
    return np.asarray(labels, dtype=np.float32)


def hard_labels(labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give all of each row (N, K) to its largest label, the first of equal ones: labels without doubt.

    Examples
    --------
    >>> hard_labels(np.array([[0.2, 0.5, 0.3]], dtype=np.float32)).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return np.asarray(np.eye(labels.shape[1], dtype=np.float32)[labels.argmax(axis=1)])


def unlabelled_bodies(landmarks: Landmarks) -> FloatArray:
    """Guess where bodies are that nobody annotated: one beyond each end, and those in gaps of the chain.

    Voxels there are neither a known vertebra nor background, so training leaves them out.

    Returns
    -------
    ndarray, shape (M, 3)
        LPS mm.
    """
    names, points = landmarks.names, landmarks.points_lps_mm
    guesses: list[FloatArray] = []
    if len(names) < 2:
        return np.empty((0, 3))
    if names[0] != LEVELS[0]:
        guesses.append(2 * points[0] - points[1])
    if names[-1] != LEVELS[-1]:
        guesses.append(2 * points[-1] - points[-2])
    places = [PAPER_LEVELS.index(CLASSES[class_of_level(name)]) for name in names]
    for (upper, p), (lower, q) in pairwise(zip(places, points, strict=True)):
        steps = max(lower - upper, 1)
        guesses.extend(p + (q - p) * i / steps for i in range(1, steps))
    return np.array(guesses).reshape(-1, 3)
