"""More variety than the CT phantom has by itself, for a model that is to meet real patients.

By itself a phantom's bone is as dense as its age suggests, with endplates that stand out, and it lies straight. Real
necks and upper spines are denser, their endplates often hardly show beside the marrow, and they lean further forward.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.ct_person import Person, Traits, draw_person
from regforest.datasets.phantoms.ct_tissue import BONES, TISSUES, bone_table, tissue_table

__all__ = ["POSE_FACTOR", "draw_varied_person", "varied_bone_table", "varied_tissue_table"]

FloatArray = NDArray[np.float64]

POSE_FACTOR = np.array([2.2, 2.0, 2.0])
"""How much further than usual a person is turned about the x, y and z axes."""

_TRABECULAR_HU = (40, 330)


def draw_varied_person(rng: np.random.Generator, traits: Traits) -> Person:
    """Draw a person who may be bent further forward, and whose vertebral bodies may be up to 1.9 times as dense."""
    own = _apart(rng)
    bent = dataclasses.replace(traits, kyphosis_deg=max(traits.kyphosis_deg, float(own.uniform(-8, 30))))
    person = draw_person(rng, bent)
    density = float(np.clip(person.trabecular_hu * own.uniform(0.75, 1.9), *_TRABECULAR_HU))
    return dataclasses.replace(person, trabecular_hu=density)


def varied_bone_table(rng: np.random.Generator, person: Person) -> FloatArray:
    """Like `bone_table`, with endplates from hardly visible to strong, and necks from dense to very dense."""
    table, own = bone_table(rng, person), _apart(rng)
    cortical = table[BONES.index("arch"), 0]
    table[BONES.index("body"), 0] = own.uniform(0.25, 0.8) * cortical
    neck = BONES.index("neck")
    table[neck, 0] = own.uniform(0.35, 0.9) * cortical
    table[neck, 1] = own.uniform(1.2, 2.0) * person.trabecular_hu + own.uniform(60, 200)
    return table


def varied_tissue_table(rng: np.random.Generator, person: Person, contrast: str) -> FloatArray:
    """Like `tissue_table`, with discs from soft to calcified."""
    table = tissue_table(rng, person, contrast)
    table[TISSUES.index("disc"), 0] = _apart(rng).uniform(65, 150)
    return table


def _apart(rng: np.random.Generator) -> np.random.Generator:
    """Return a generator of its own: how much is drawn of it does not move what `rng` gives next."""
    return np.random.default_rng(rng.integers(2**32))
