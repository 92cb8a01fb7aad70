"""Everything that one CT phantom scan shows, in painting order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.ct_organs import add_organs
from regforest.datasets.phantoms.ct_person import Person
from regforest.datasets.phantoms.ct_shapes import TABLE_STEP_MM, ShapeList
from regforest.datasets.phantoms.ct_skeleton import add_skeleton
from regforest.datasets.phantoms.ct_tissue import TISSUES, bone_table, tissue_table
from regforest.datasets.phantoms.ct_trunk import Trunk, column_heights
from regforest.datasets.phantoms.ct_variety import varied_bone_table, varied_tissue_table
from regforest.datasets.phantoms.ct_vertebrae import add_discs, add_vertebrae, canal_mm

__all__ = ["Scene", "build_scene"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scene:
    """Shapes and tissues of one scan, in the person's LPS mm.

    Attributes
    ----------
    soft, bones, metal : ndarray, shape (n, row length)
        Rows of shapes: soft tissue in painting order, bone to be united, implants on top.
    tables : ndarray, shape (columns, heights, 5)
        Ovals of the columns.
    table_frame : ndarray, shape (2,)
        Height of the first oval and distance to the next one down, mm.
    tissues, bone_kinds : ndarray
        HU and texture by material, see `ct_tissue`.
    """

    soft: FloatArray
    bones: FloatArray
    metal: FloatArray
    tables: FloatArray
    table_frame: FloatArray
    tissues: FloatArray
    bone_kinds: FloatArray


def build_scene(
    person: Person,
    body_seed: np.random.SeedSequence,
    rng: np.random.Generator,
    contrast: str,
    implants: tuple[str, ...],
    varied: bool = False,
) -> Scene:
    """Lay out the scene of one scan.

    Parameters
    ----------
    person : Person
        Whose anatomy it is.
    body_seed : numpy.random.SeedSequence
        Seed of the soft body: the same for all scans of the person.
    rng : numpy.random.Generator
        For what differs from scan to scan.
    contrast : {"none", "arterial", "venous"}
        Phase of the contrast medium.
    implants : tuple of str
        Neighbouring levels that are held by screws and rods.
    varied : bool
        Whether bones and discs differ more from person to person.
    """
    body_rng = np.random.default_rng(body_seed)
    trunk = Trunk(person, column_heights(person), body_rng)
    soft, bones, metal = (ShapeList(trunk.z) for _ in range(3))
    trunk.add_wall(soft)
    add_organs(soft, trunk, body_rng)
    _add_canal(soft, person)
    add_discs(soft, person)
    add_vertebrae(bones, person)
    add_skeleton(bones, person, trunk)
    if implants:
        _add_implants(metal, person, implants, rng)
    frame = np.array([trunk.z[0], TABLE_STEP_MM])
    draw_tissues, draw_bones = (varied_tissue_table, varied_bone_table) if varied else (tissue_table, bone_table)
    tissues, kinds = draw_tissues(rng, person, contrast), draw_bones(rng, person)
    return Scene(soft.rows(), bones.rows(), metal.rows(), soft.tables(), frame, tissues, kinds)


def _add_canal(shapes: ShapeList, person: Person) -> None:
    """Fat and fluid of the spinal canal, the cord down to L1."""
    z = shapes.heights_mm
    places = [canal_mm(person, i) for i in range(len(person.levels))]
    middle = np.array([person.centres[i] + person.axes[i] @ np.array([0, p[2], 0]) for i, p in enumerate(places)])
    half = np.array(places)[:, :2]
    inside = (z < middle[0, 2] + 25) & (z > middle[-1, 2] - 20)
    x, y, a, b = (np.interp(-z, -middle[:, 2], v) for v in (middle[:, 0], middle[:, 1], half[:, 0], half[:, 1]))
    cord_end = float(person.height_of(19.3))
    for kind, share, shown in (("fat", 1.0, inside), ("csf", 0.85, inside), ("cord", 0.6, inside & (z > cord_end))):
        shapes.column(TISSUES.index(kind), x, y, np.where(shown, share * a, 0), np.where(shown, share * b, 0))


def _add_implants(shapes: ShapeList, person: Person, levels: tuple[str, ...], rng: np.random.Generator) -> None:
    """Pedicle screws (lateral mass screws in the neck) on both sides of each level, joined by two rods."""
    metal = TISSUES.index("metal")
    for side in (-1.0, 1.0):
        heads = []
        for name in levels:
            i = person.index(name)
            half, axes, centre = person.half_mm[i], person.axes[i], person.centres[i]
            half_x, half_y, canal_y = canal_mm(person, i)
            neck = name[0] == "C"
            lift = 0.0 if neck else 0.35 * half[2]
            out = half_x + (7.0 if neck else 3.5)
            tip = (side * (out + 3), canal_y - 2, lift) if neck else (side * 0.45 * half[0], -0.4 * half[1], lift)
            head = (
                side * (out + (0 if neck else 4)),
                canal_y + half_y + (8 if neck else 14) + rng.normal(0, 1),
                lift,
            )
            ends = [centre + axes @ np.array(place) for place in (tip, head)]
            shapes.capsule(metal, ends[0], ends[1], 1.7 if neck else 2.6, 1.9 if neck else 3.0)
            shapes.ellipsoid(metal, ends[1], np.full(3, 4.0 if neck else 6.0))
            heads.append(ends[1] + axes[:, 1] * 3)
        first, last = heads[0] - heads[1], heads[-1] - heads[-2]
        rod = [heads[0] + 0.4 * first, *heads, heads[-1] + 0.4 * last]
        shapes.chain(metal, rod, 1.8 if levels[0][0] == "C" else 2.8)
