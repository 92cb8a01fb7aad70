"""The spine of the CT phantom: vertebrae with their processes, discs, sacrum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.ct_person import Person
from regforest.datasets.phantoms.ct_shapes import ShapeList
from regforest.datasets.phantoms.ct_tissue import BONES, TISSUES

__all__ = ["VertebraFrame", "add_discs", "add_vertebrae", "canal_mm", "transverse_reach_mm"]

FloatArray = NDArray[np.float64]

_BODY, _NECK, _FRACTURE, _ARCH, _SACRUM = (
    BONES.index(kind) for kind in ("body", "neck", "fracture", "arch", "sacrum")
)
_SIDES = (-1.0, 1.0)
# Along the spine (0 is C1, 7 T1, 19 L1, 24 S1), mm: half width and half depth of the canal, reach of the spinous
# process behind it and its drop, reach of the transverse process to the side, radius of the pedicle.
# fmt: off
_CANAL_X = ([0, 2, 6, 9, 16, 19, 23, 24, 25], [13, 11.5, 11.5, 8.5, 8.5, 11, 13, 14, 12])
_CANAL_Y = ([0, 2, 6, 9, 16, 19, 23, 24, 25], [9, 7.5, 7, 7.5, 7.5, 8, 8.5, 8, 6])
_SPINOUS = ([0, 1, 2, 5, 6, 7, 10, 16, 18, 19, 22, 23, 24, 25],
            [6, 16, 12, 18, 28, 28, 24, 20, 20, 26, 28, 20, 12, 8])
_DROP = ([0, 2, 6, 7, 10, 14, 16, 18, 23, 25], [0, 5, 10, 13, 26, 28, 16, 9, 6, 4])
_TRANSVERSE = ([0, 1, 6, 7, 10, 16, 17, 18, 19, 20, 21, 23, 24], [38, 26, 33, 36, 33, 28, 22, 20, 36, 42, 46, 44, 40])
_PEDICLE = ([1, 6, 7, 10, 16, 19, 22, 23], [3.2, 3.2, 3.6, 2.8, 4, 4.5, 6, 8])
# fmt: on


class VertebraFrame:
    """Places given from one vertebra's body centre, as (left, posterior, superior) mm, in the person's frame."""

    def __init__(self, person: Person, i: int) -> None:
        self.centre, self.axes, self.size = person.centres[i], person.axes[i], person.size

    def __call__(self, x: float, y: float, z: float) -> FloatArray:
        """Point in the person's frame, shape (3,)."""
        return np.asarray(self.centre + self.axes @ np.array([x, y, z]))


def canal_mm(person: Person, i: int) -> tuple[float, float, float]:
    """Half width and half depth of the spinal canal at a level, and how far behind the body centre it lies."""
    half_x, half_y = _along(person, i, _CANAL_X), _along(person, i, _CANAL_Y)
    return half_x, half_y, float(person.half_mm[i, 1]) + half_y - 0.5


def transverse_reach_mm(person: Person, i: int) -> float:
    """How far the transverse processes of a level reach to the side."""
    return _along(person, i, _TRANSVERSE)


def _along(person: Person, i: int, table: tuple[Sequence[float], Sequence[float]]) -> float:
    return float(np.interp(person.nominal[i], *table)) * person.size


def add_discs(shapes: ShapeList, person: Person) -> None:
    """Add the intervertebral discs, C2/C3 to L5/S1."""
    disc = TISSUES.index("disc")
    for i in range(1, person.index("S1")):
        centre = (person.centres[i] + person.centres[i + 1]) / 2
        half = (person.half_mm[i] + person.half_mm[i + 1]) / 2
        axes = person.axes[i] + person.axes[i + 1]
        axes = axes / np.linalg.norm(axes, axis=0)
        shapes.body(disc, centre, axes, (half[0], half[1], person.disc_mm[i] / 2 + 1), concavity_mm=-1, waist=0)


def add_vertebrae(shapes: ShapeList, person: Person) -> None:
    """Add C1 to L5 (or L6) and the sacrum with the tail bone."""
    _add_atlas(shapes, person)
    for i in range(1, person.index("S1")):
        _add_vertebra(shapes, person, i)
    _add_axis(shapes, person)
    _add_sacrum(shapes, person)


def _add_vertebra(shapes: ShapeList, person: Person, i: int) -> None:
    name, place, half = person.levels[i], VertebraFrame(person, i), person.half_mm[i]
    loss = person.traits.fractures.get(name, 0.0)
    hollow = {"C": 0.6, "T": 1.0, "L": 1.5}[name[0]] * person.hollow + 4.0 * loss
    kind = _FRACTURE if loss else _NECK if name[0] == "C" else _BODY
    shapes.body(
        kind, person.centres[i], person.axes[i], half * (1, 1 + 0.15 * loss, 1 - 0.1 * loss),
        concavity_mm=hollow, wedge=loss, waist=0.04 if name[0] == "C" else 0.1,
    )  # fmt: skip
    _add_arch(shapes, person, i, place)


def _add_arch(shapes: ShapeList, person: Person, i: int, place: VertebraFrame) -> None:
    half = person.half_mm[i]
    region = person.levels[i][0]
    canal_x, canal_y, canal_at = canal_mm(person, i)
    pedicle = _along(person, i, _PEDICLE)
    below = float(np.linalg.norm(person.centres[i + 1] - person.centres[i]))
    above = float(np.linalg.norm(person.centres[i] - person.centres[i - 1]))
    lift = 0.0 if region == "C" else 0.35 * half[2]
    # the articular pillars of the neck are thick and stand beside the canal
    pillar_x = canal_x + (6.0 * person.size if region == "C" else pedicle + 1)
    pillar_y = canal_at + 0.6 * canal_y + (0 if region == "C" else 2)
    back = canal_at + canal_y + 2
    thick = {"C": 7.0, "T": 4.5, "L": 6.5}[region]
    spinous, drop = _along(person, i, _SPINOUS), _along(person, i, _DROP)
    for side in _SIDES:
        start = place(side * min(half[0] * 0.85, canal_x + pedicle * 0.6), half[1] * 0.55, lift)
        shapes.capsule(_ARCH, start, place(side * pillar_x, pillar_y, lift), pedicle, pedicle)
        pillar = [
            place(side * pillar_x, pillar_y - 1, 0.45 * above),
            place(side * pillar_x, pillar_y + 1, 0),
            place(side * pillar_x * 0.93, pillar_y + 3, -0.55 * below),
        ]
        shapes.chain(_ARCH, pillar, np.array([0.7, 0.85, 0.7]) * thick)
        lamina = place(side * pillar_x * 0.8, pillar_y + 2, -0.1 * below)
        middle = place(0, back + 1, -0.25 * below)
        plate = {"thin_along": place.axes[:, 1], "thin": 0.09 * below}
        shapes.capsule(_ARCH, lamina, middle, 0.32 * below, 0.3 * below, **plate)
        _add_transverse(shapes, person, i, place, side, (pillar_x, pillar_y))
    tip = place(0, back + spinous, -0.25 * below - drop)
    tall = {"C": 4.5, "T": 5.5, "L": 11.0}[region]
    root = place(0, back, -0.25 * below)
    shapes.capsule(_ARCH, root, tip, tall, tall * 0.9, thin_along=place.axes[:, 0], thin=tall / 3.0)


def _add_transverse(
    shapes: ShapeList, person: Person, i: int, place: VertebraFrame, side: float, pillar: tuple[float, float]
) -> None:
    half = person.half_mm[i]
    region, reach = person.levels[i][0], transverse_reach_mm(person, i)
    if region == "C":
        front = place(side * half[0] * 0.9, -0.2 * half[1], -1)
        outer = place(side * max(reach, pillar[0] + 4), 0.5 * half[1], -3)
        shapes.capsule(_ARCH, front, outer, 2.4)
        shapes.capsule(_ARCH, place(side * pillar[0], pillar[1] - 5, 0), outer, 2.8)
        return
    root = place(side * pillar[0], pillar[1], 0.3 * half[2])
    if region == "T":
        shapes.capsule(_ARCH, root, place(side * reach, pillar[1] + 11, 0.35 * half[2]), 4.0, 4.8)
    else:
        tip = place(side * reach, pillar[1] - 3, 0.25 * half[2])
        shapes.capsule(_ARCH, root, tip, 6.0, 4.0, thin_along=place.axes[:, 1], thin=2.0)


def _add_axis(shapes: ShapeList, person: Person) -> None:
    """Dens of C2."""
    axis, atlas = person.centres[1], person.centres[0]
    place = VertebraFrame(person, 1)
    length = float(np.linalg.norm(atlas - axis))
    shapes.chain(_ARCH, [place(0, -1, 4), place(0, -2, 0.7 * length), place(0, -2, 1.1 * length)], [6.5, 5.0, 5.5])
    for side in _SIDES:
        shapes.ellipsoid(_ARCH, place(side * 14, 1, 5), (9, 8, 5), place.axes)


def _add_atlas(shapes: ShapeList, person: Person) -> None:
    """Ring of C1 around the dens."""
    place, s = VertebraFrame(person, 0), person.size
    turn = np.linspace(-np.pi, np.pi, 25)
    ring = [place(24 * s * np.sin(t), (9 + 19.5 * np.cos(t)) * s, 0) for t in turn]
    shapes.chain(_ARCH, ring, 3.6 * s, thin_along=place.axes[:, 1], thin=1.1)
    for side in _SIDES:
        shapes.ellipsoid(_ARCH, place(side * 19 * s, 1 * s, 0), (8.5 * s, 10 * s, 8 * s), place.axes)
        shapes.capsule(_ARCH, place(side * 24 * s, 3 * s, 0), place(side * 38 * s, 5 * s, -2), 5 * s, 4 * s)


def _add_sacrum(shapes: ShapeList, person: Person) -> None:
    canal = 2 * canal_mm(person, person.index("S1"))[1]
    bodies = _sacral_bodies(person)
    for k, (centre, axes, half) in enumerate(bodies):
        shapes.body(_SACRUM, centre, axes, half, concavity_mm=1.5 if k == 0 else 0.2, waist=0.1)
        thick = 5.5 - 0.5 * k
        ridge = centre + axes @ np.array([0, half[1] + canal + 4 - 2.5 * k, 0])
        for side in _SIDES:
            inner = centre + axes @ np.array([side * half[0] * 0.8, 0.3 * half[1], 0.1 * half[2]])
            outer = centre + axes @ np.array([side * (1.9 - 0.16 * k) * half[0], 0.9 * half[1], -0.1 * half[2]])
            behind = centre + axes @ np.array([side * 0.5 * half[0], half[1] + canal - 2 * k, 0])
            shapes.capsule(_SACRUM, inner, outer, 0.85 * half[2], 0.95 * half[2])
            edge = outer + axes @ np.array([-side * 6, 6, 0])
            shapes.capsule(_SACRUM, edge, behind, thick, thin_along=axes[:, 1], thin=1.4)
            shapes.capsule(_SACRUM, behind, ridge, thick - 0.5)
    tail = bodies[-1][0] + bodies[-1][1] @ np.array([0.0, 0.0, -14.0])
    shapes.chain(_SACRUM, [bodies[-1][0], tail, tail + np.array([0, -14, -14])], [7, 6, 4])


def _sacral_bodies(person: Person) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    """Centre, axes and half sizes of S1 .. S5: below S2 the sacrum turns forward again."""
    first = person.index("S1")
    bodies = [(person.centres[i], person.axes[i], person.half_mm[i] * (1, 1, 1.08)) for i in (first, first + 1)]
    for _ in range(3):
        centre, axes, half = bodies[-1]
        tilt = np.radians(16.0)
        left, rear, up = axes.T
        up, rear = np.cos(tilt) * up + np.sin(tilt) * rear, np.cos(tilt) * rear - np.sin(tilt) * up
        smaller = half * (0.86, 0.8, 0.88)
        centre = centre - up * (half[2] + smaller[2]) * 0.97
        bodies.append((centre, np.stack([left, rear, up], axis=1), smaller))
    return bodies
