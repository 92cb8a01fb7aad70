"""HU of the tissues of one scan, and the noise that gives them texture."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regforest.datasets.phantoms.ct_person import Person

__all__ = ["BONES", "TISSUES", "bone_table", "texture_tiles", "tissue_table"]

FloatArray = NDArray[np.float64]

# fmt: off
TISSUES = (
    "table", "foam", "fat", "skin", "muscle", "wall", "viscera", "bowel", "gas", "stool", "stomach", "liver",
    "spleen", "kidney", "bladder", "mediastinum", "heart", "chamber", "artery", "vein", "lung", "cord", "csf", "disc",
    "brain", "gland", "cartilage", "metal",
)
# fmt: on
"""Soft (and hard but structureless) tissues, in the order of `tissue_table`'s rows."""

BONES = ("body", "fracture", "arch", "rib", "pelvis", "sacrum", "skull", "tooth", "limb", "neck")
"""Kinds of bone, in the order of `bone_table`'s rows."""


def tissue_table(rng: np.random.Generator, person: Person, contrast: str) -> FloatArray:
    """Draw the HU of one scan's tissues.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    person : Person
        Whose fat decides how marbled the muscles are.
    contrast : {"none", "arterial", "venous"}
        Phase of the contrast medium.

    Returns
    -------
    ndarray, shape (tissues, 8)
        Mean HU, fine grain, slow drift, cell of the slow noise in mm, mode of mixing, HU of the second component,
        threshold, softness: see `ct_kernels.paint`.
    """
    blood = {"none": 42.0, "arterial": 330.0, "venous": 160.0}[contrast] * rng.uniform(0.85, 1.4)
    vein = {"none": 42.0, "arterial": 110.0, "venous": 150.0}[contrast] * rng.uniform(0.9, 1.1)
    organ = {"none": 0.0, "arterial": 15.0, "venous": 50.0}[contrast]
    kidney = {"none": 32.0, "arterial": 150.0, "venous": 180.0}[contrast]
    liver = 58 + rng.normal(0, 8) + organ
    fat = -105 + rng.normal(0, 5)
    lung = float(np.clip(-835 + rng.normal(0, 40), -890, -740))
    marbling = 0.9 + 0.5 * (1.2 - min(person.fat, 1.6)) + 0.006 * (60 - person.age)
    plain: dict[str, tuple[float, ...]] = {
        "table": (-650, 10, 0),
        "foam": (-930, 5, 0),
        "fat": (fat, 4, 6),
        "skin": (10, 5, 0),
        "disc": (82, 5, 6),
        "stomach": (25, 6, 20),
        "liver": (liver, 4, 4),
        "spleen": (50 + 1.3 * organ, 4, 3),
        "kidney": (kidney, 5, 15),
        "bladder": (8, 3, 0),
        "heart": (48 + 1.2 * organ, 4, 6),
        "chamber": (blood, 4, 4),
        "artery": (blood, 4, 2),
        "vein": (vein, 4, 2),
        "cord": (38, 2, 0),
        "csf": (12, 3, 0),
        "brain": (34, 3, 4),
        "gland": (100 + organ, 5, 5),
        "cartilage": (130, 20, 40),
        "metal": (3071, 0, 0),
        "gas": (-930, 10, 30),
        "stool": (-20, 60, 120),
    }
    mixed: dict[str, tuple[float, ...]] = {
        "muscle": (56, 5, 3, 4.0, 1, fat + 20, marbling + 0.8, 0.8),
        "wall": (52, 5, 4, 5.0, 1, fat, marbling, 0.7),
        "viscera": (fat, 4, 5, 6.0, 1, 40 + organ / 2, 0.15, 0.5),
        "bowel": (38 + organ / 2, 6, 10, 5.0, 1, fat, 0.9, 0.4),
        "mediastinum": (fat + 15, 4, 6, 5.0, 1, 45, 0.1, 0.6),
        "lung": (lung, 18, 40, 6.5, 2, 30, 0.14, 0.12),
    }
    table = np.zeros((len(TISSUES), 8))
    for row, name in zip(table, TISSUES, strict=True):
        row[3], row[7] = 6.0, 1.0
        values = plain.get(name) or mixed[name]
        row[: len(values)] = values
    return table


def bone_table(rng: np.random.Generator, person: Person) -> FloatArray:
    """Draw cortical HU, trabecular HU, cortex in mm and grain in HU for each kind of bone; shape (bones, 4)."""
    cortical = 1230 - 3.5 * (person.age - 20) + rng.normal(0, 120)
    marrow = person.trabecular_hu
    grain = 14 + 0.16 * marrow
    endplate = rng.uniform(0.45, 0.8)
    return np.array(
        [
            (endplate * cortical, marrow, 0.9, grain),
            (0.85 * cortical, marrow + 120, 1.2, 1.6 * grain),
            (cortical, marrow + 130, 1.4, 1.5 * grain),
            (cortical, marrow + 20, 1.1, grain),
            (cortical, marrow + 10, 1.5, 1.2 * grain),
            (0.75 * cortical, marrow - 20, 1.1, grain),
            (1.25 * cortical, 650, 2.2, 60),
            (2300, 1900, 1.0, 100),
            (1.2 * cortical, marrow - 20, 3.0, grain),
            (endplate * cortical, 1.3 * marrow + 70, 1.0, 1.3 * grain),  # the neck is denser
        ]
    )


@cache
def texture_tiles() -> NDArray[np.float32]:
    """Periodic cubes of noise with unit variance: one fine, two slow; shape (3, 64, 64, 64)."""
    rng = np.random.default_rng(20130922)
    tiles = [ndimage.gaussian_filter(rng.standard_normal((64,) * 3), width, mode="wrap") for width in (0.6, 1.6, 1.6)]
    result = np.stack([tile / tile.std() for tile in tiles]).astype(np.float32)
    result.setflags(write=False)
    return result
