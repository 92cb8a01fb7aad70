"""The bones around the spine of the CT phantom: pelvis, skull, ribs, shoulders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.ct_person import Person
from regforest.datasets.phantoms.ct_shapes import ShapeList
from regforest.datasets.phantoms.ct_tissue import BONES
from regforest.datasets.phantoms.ct_trunk import Trunk
from regforest.datasets.phantoms.ct_vertebrae import VertebraFrame, canal_mm, transverse_reach_mm

__all__ = ["add_skeleton"]

FloatArray = NDArray[np.float64]

_RIB, _PELVIS, _SKULL, _TOOTH, _LIMB = (BONES.index(kind) for kind in ("rib", "pelvis", "skull", "tooth", "limb"))
_SIDES = (-1.0, 1.0)
# Iliac crest from back to front, from S1's centre: to the side, posterior, superior; mm.
# fmt: off
_CREST_MM = np.array([
    (44, 62, -12), (56, 56, 6), (72, 44, 22), (90, 26, 34), (106, 4, 38), (117, -18, 32), (122, -38, 18),
    (120, -52, -2),
], dtype=np.float64)
# fmt: on
# Ribs 1 .. 13: angle around the lung at which the bone ends, and how much lower that is, mm.
_RIB_END_DEG = (140, 150, 155, 160, 162, 164, 165, 158, 145, 132, 95, 60, 35)
_RIB_DROP_MM = (30, 42, 55, 66, 76, 86, 94, 98, 96, 88, 60, 36, 18)


def add_skeleton(shapes: ShapeList, person: Person, trunk: Trunk) -> None:
    """Add all bones but the spine."""
    _add_pelvis(shapes, person)
    _add_skull(shapes, person)
    _add_ribs(shapes, person, trunk)
    _add_shoulders(shapes, person, trunk)


def _add_pelvis(shapes: ShapeList, person: Person) -> None:
    """Iliac wings fanning out from the hip joints, femoral heads."""
    s1, s2 = person.centres[person.index("S1")], person.centres[person.index("S2")]
    s = person.size * (1 + 0.5 * (person.girth / person.size - 1))
    places = np.linspace(0, len(_CREST_MM) - 1, 20)
    crest = np.stack([np.interp(places, np.arange(len(_CREST_MM)), row) for row in _CREST_MM.T], axis=1) * s
    for side in _SIDES:
        flip = np.array([side, 1.0, 1.0])
        hip = s2 + flip * np.array([88.0, -50.0, -62.0]) * s
        notch = s1 + flip * np.array([52.0, 38.0, -42.0]) * s
        shapes.chain(_PELVIS, s1 + flip * crest, 6.0 * s)
        for k, point in enumerate(crest):
            foot = notch + (hip - notch) * min(1.0, k / 12)
            middle = (s1 + flip * point + foot) / 2 + flip * np.array([4.0, 3.0, 0.0])
            shapes.chain(_PELVIS, [s1 + flip * point, middle, foot], [6.0 * s, 4.5 * s, 8.0 * s])
        shapes.shell(_PELVIS, hip, np.full(3, 34.0) * s, 9 * s, (side * -1.0, 0.2, 0.1), 8.0)
        shapes.ellipsoid(_LIMB, hip, np.full(3, 24.0) * s)
        neck = hip + flip * np.array([48.0, 6.0, -28.0]) * s
        shapes.capsule(_LIMB, hip, neck, 15 * s, 20 * s)
        shapes.capsule(_LIMB, neck, neck + flip * np.array([4.0, 0.0, -150.0]), 18 * s, 14 * s)
        pubis = hip + flip * np.array([-74.0, -32.0, -34.0]) * s
        shapes.capsule(_PELVIS, hip + flip * np.array([-20.0, -14.0, -8.0]) * s, pubis, 10 * s, 8 * s)
        sit = hip + flip * np.array([-22.0, 32.0, -62.0]) * s
        shapes.capsule(_PELVIS, hip + flip * np.array([-14.0, 20.0, -10.0]) * s, sit, 13 * s, 13 * s)
        shapes.capsule(_PELVIS, sit, pubis, 9 * s, 8 * s)


def _add_skull(shapes: ShapeList, person: Person) -> None:
    c1, s = person.centres[0], person.size

    def at(x: float, y: float, z: float) -> FloatArray:
        return np.asarray(c1 + np.array([x, y, z]) * s)

    shapes.shell(_SKULL, at(0, 14, 76), np.array([73.0, 92.0, 72.0]) * s, 7 * s, (0, -0.25, -1), 64 * s)
    shapes.capsule(_SKULL, at(0, 30, 14), at(0, 72, 26), 26 * s, 30 * s, thin_along=(0, -0.3, 0.95), thin=6.5)
    shapes.capsule(_SKULL, at(0, -14, 15), at(0, -34, 42), 9 * s, 10 * s, thin_along=(0, 0.8, 0.6), thin=1.7)
    shapes.box(_SKULL, at(0, -76, 8), np.array([27.0, 24.0, 4.0]) * s)
    shapes.box(_SKULL, at(0, -55, 56), np.array([45.0, 35.0, 3.0]) * s)
    jaw = [at(46, -12, 24), at(46, -20, -8), at(44, -30, -22), at(30, -66, -34), at(12, -90, -40)]
    chain = jaw + [np.array([2 * c1[0] - p[0], p[1], p[2]]) for p in reversed(jaw)]
    shapes.chain(_SKULL, chain, np.array([5, 5.5, 7, 7, 8, 8, 7, 7, 5.5, 5]) * s)
    for side in _SIDES:
        shapes.ellipsoid(_SKULL, at(side * 21, 2, 13), np.array([8.0, 13.0, 8.0]) * s)
        petrous = [at(side * 17, -8, 30), at(side * 34, 2, 28), at(side * 56, 14, 26)]
        shapes.chain(_SKULL, petrous, np.array([8, 10, 12]) * s)
        shapes.ellipsoid(_SKULL, at(side * 54, 18, 12), np.array([10.0, 13.0, 16.0]) * s)
        shapes.shell(_SKULL, at(side * 27, -68, 28), np.array([18.0, 20.0, 20.0]) * s, 2 * s, (0, 0, 1), 99)
        shapes.capsule(_SKULL, at(side * 62, -60, 34), at(side * 64, -5, 32), 5 * s)
    for height, depth in ((0.0, -98.0), (-13.0, -96.0)):
        arc = np.linspace(-1.25, 1.25, 15)
        teeth = [at(30 * np.sin(t), depth + 34 * (1 - np.cos(t)), height) for t in arc]
        shapes.chain(_TOOTH, teeth, 4.2 * s, thin_along=(0, 0, 1), thin=0.75)
    shapes.chain(_RIB, [at(20, -22, -58), at(0, -44, -60), at(-20, -22, -58)], 3 * s)


def _add_ribs(shapes: ShapeList, person: Person, trunk: Trunk) -> None:
    """Twelve pairs (thirteen with T13): from the body past the transverse process around the lung and down."""
    thoracic = [i for i, name in enumerate(person.levels) if name[0] == "T"]
    for k, i in enumerate(thoracic):
        place, half = VertebraFrame(person, i), person.half_mm[i]
        above = 0.9 * half[2] if k < 10 else 0.2 * half[2]
        turn = np.linspace(np.radians(-12), np.radians(_RIB_END_DEG[k]), 14)
        drop = _RIB_DROP_MM[k] * person.size * ((turn - turn[0]) / np.radians(165)) ** 1.2
        heights = place.centre[2] + 0.35 * half[2] - drop
        for side in _SIDES:
            head = place(side * (half[0] + 1.5), 0.65 * half[1], above)
            joint = place(side * transverse_reach_mm(person, i) * 0.95, canal_mm(person, i)[2] + 8, 0.45 * half[2])
            around = [trunk.rib_point(side, z, t) for z, t in zip(heights, turn, strict=True)]
            flat = {"thin_along": (0.5 * side, 0.8, 0.3), "thin": 1.7}
            shapes.chain(_RIB, [head, joint, *around], 6.5 * person.size, **flat)


def _add_shoulders(shapes: ShapeList, person: Person, trunk: Trunk) -> None:
    """Sternum, clavicles, shoulder blades, upper arms."""
    s = person.size
    heights = [float(person.height_of(u)) for u in (9.0, 10.5, 12.0, 13.5, 15.0)]
    front = [trunk.sternum_point(z) for z in heights]
    shapes.chain(_RIB, front, np.array([22, 18, 15, 16, 12]) * s, thin_along=(0, 1, 0), thin=3.4)
    joint = trunk.shoulder_point()
    for side in _SIDES:
        flip = np.array([side, 1.0, 1.0])
        start = front[0] + flip * np.array([22.0, 2.0, 14.0]) * s
        shoulder = joint * flip
        middle = (start + shoulder) / 2 + np.array([0, -12, 6]) * s
        shapes.chain(_RIB, [start, middle, shoulder + np.array([0, 4, 18]) * s], 6.5 * s)
        shapes.ellipsoid(_LIMB, shoulder, np.full(3, 24.0) * s)
        shapes.capsule(_LIMB, shoulder, shoulder + trunk.arm_direction(side) * 260 * s, 14 * s, 11 * s)
        _add_blade(shapes, person, trunk, side, shoulder)


def _add_blade(shapes: ShapeList, person: Person, trunk: Trunk, side: float, shoulder: FloatArray) -> None:
    s = person.size
    socket = shoulder + np.array([-side * 24, 8, -4]) * s
    for u, degrees in ((8.5, 0), (10, 6), (11.5, 14), (13, 30)):
        z = float(person.height_of(u))
        edge = trunk.rib_point(side, z, np.radians(degrees)) + np.array([0.0, 15.0, 0.0])
        edge[2] = z
        shapes.capsule(_PELVIS, edge, socket, 14 * s, 10 * s, thin_along=(0.35 * side, 0.93, 0.1), thin=4.5)
    ridge = trunk.rib_point(side, float(person.height_of(9.0)), 0.0) + np.array([0.0, 22.0, 0.0])
    ridge[2] = float(person.height_of(9.0))
    shapes.capsule(_PELVIS, ridge, shoulder + np.array([0, 20, 16]) * s, 4.5 * s, 6 * s)
