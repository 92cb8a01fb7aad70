"""The body around the spine of the CT phantom: its course, outline, wall and muscles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.ct_person import Person
from regforest.datasets.phantoms.ct_shapes import TABLE_STEP_MM, ShapeList
from regforest.datasets.phantoms.ct_tissue import TISSUES

__all__ = ["Trunk", "column_heights"]

FloatArray = NDArray[np.float64]

_SIDES = (-1.0, 1.0)
_MATERIAL = {name: i for i, name in enumerate(TISSUES)}

# By nominal level, mm; rows: level, then the columns that are named.
# fmt: off
# outline of the muscles: half width, reach in front of and behind the vertebral body centre
_OUTLINE = np.array([
    (-3, 56, 62, 66), (0, 58, 55, 60), (2, 55, 50, 55), (4, 55, 46, 53), (5, 60, 46, 55), (6, 82, 48, 57),
    (7, 125, 54, 60), (8, 158, 66, 61), (9, 166, 80, 61), (10, 163, 94, 60), (12, 150, 118, 56), (14, 143, 134, 53),
    (16, 138, 140, 52), (18, 134, 137, 53), (19, 130, 130, 54), (20, 127, 122, 55), (21, 126, 114, 57),
    (22, 130, 110, 61), (23, 140, 112, 64), (24, 152, 124, 62), (25, 160, 142, 56), (27, 165, 152, 48),
    (29, 170, 150, 46), (32, 165, 130, 50), (36, 155, 110, 60),
])
# fat over the muscles at the side, in front and behind, at fat = 1
_FAT = np.array([
    (-3, 5, 5, 6), (4, 6, 5, 8), (7, 12, 10, 10), (10, 14, 12, 9), (14, 13, 12, 9), (18, 15, 16, 11),
    (21, 20, 20, 16), (23, 24, 22, 22), (25, 26, 24, 24), (28, 26, 24, 26), (36, 22, 16, 20),
])
# one lung: centre and half width to the side, reach in front of and behind the body centre
_LUNG = np.array([
    (6.4, 30, 0, 0, 0), (6.6, 31, 12, 4, 24), (7, 33, 20, 18, 34), (8, 45, 32, 36, 40), (9, 56, 42, 56, 43),
    (10, 63, 48, 76, 45), (12, 71, 54, 104, 46), (14, 75, 58, 120, 45), (16, 76, 59, 126, 44), (18, 76, 57, 124, 42),
    (19, 76, 54, 116, 38), (20, 75, 50, 100, 30), (21, 75, 0, 0, 0),
])
# fmt: on


def column_heights(person: Person) -> FloatArray:
    """Falling heights, `TABLE_STEP_MM` apart, that cover the person from above the head to the thighs."""
    top, bottom = person.centres[0, 2] + 180, person.centres[-1, 2] - 230
    return np.arange(top, bottom, -TABLE_STEP_MM)


class Trunk:
    """The body around a spine: its course, and where lungs, ribs and shoulders are.

    Parameters
    ----------
    person : Person
        Whose body it is.
    heights_mm : ndarray, shape (n,)
        Falling heights at which everything is described (`column_heights`).
    rng : numpy.random.Generator
        Posture of the arms and place of the organs.

    Attributes
    ----------
    z, u : ndarray, shape (n,)
        Heights in mm and nominal levels there.
    spine_x, spine_y, x, y : ndarray, shape (n,)
        Course of the spine, and of the trunk, which follows the spine's bends less; mm.
    dome_z : float
        Height of the top of the right diaphragm.
    """

    def __init__(self, person: Person, heights_mm: FloatArray, rng: np.random.Generator) -> None:
        self.person, self.z = person, heights_mm
        self.u = person.nominal_of(heights_mm)
        self.spine_x, self.spine_y = person.path(heights_mm)
        self.x, y = person.path(heights_mm, smooth=True)
        pelvis = np.clip(self.u - 25, 0, None)
        y = np.where(pelvis > 0, y + 8 * np.minimum(pelvis, 1.5) - 6 * np.clip(pelvis - 2, 0, 6), y)
        self.y = np.where(self.u < 0, y - 3 * self.u, y)
        self._arms_up = bool(rng.random() < 0.7)
        self.dome_z = float(person.height_of(15.6 + 0.5 * rng.normal()))

    def _by_level(self, table: FloatArray) -> list[FloatArray]:
        return [np.interp(self.u, table[:, 0], column, left=0.0) for column in table[:, 1:].T]

    def lung_oval(self, side: float) -> list[FloatArray]:
        """Centre x, y and half widths of one lung (the right one has side -1) at all heights, mm."""
        at, wide, front, rear = self._by_level(_LUNG)
        girth, size = self.person.girth, self.person.size
        rear, front = rear * size, front * (0.5 * girth + 0.5 * size)
        return [self.x + side * at * girth, self.y + (rear - front) / 2, wide * girth, (front + rear) / 2]

    def rib_point(self, side: float, z: float, turn: float) -> FloatArray:
        """Point 6 mm outside a lung: `turn` 0 behind, 90 degrees at the side, 180 in front; shape (3,)."""
        bottom = float(self.person.height_of(19.5))
        place = max(z, bottom)  # ribs go on below the lungs
        x, y, a, b = (float(np.interp(-place, -self.z, values)) for values in self.lung_oval(side))
        towards = np.array([side * np.sin(turn) * (a + 6), np.cos(turn) * (b + 6)])
        square = 0.3
        level = (1 - square) + square * (np.sin(turn) ** 4 + np.cos(turn) ** 4) ** 0.25
        return np.array([x + towards[0] / level, y + towards[1] / level, z])

    def sternum_point(self, z: float) -> FloatArray:
        """Middle of the sternum at a height."""
        x, y = self.course_at(z)
        _, _, front, _ = (float(np.interp(-z, -self.z, v)) for v in (*self._by_level(_LUNG),))
        grow = 0.5 * self.person.girth + 0.5 * self.person.size
        return np.array([x, y - front * grow - 12, z])

    def shoulder_point(self) -> FloatArray:
        """Centre of the left humeral head (mirror x for the right)."""
        z = float(self.person.height_of(7.6))
        return np.array([158.0 * self.person.girth, self.course_at(z)[1] - 5.0, z])

    def arm_direction(self, side: float) -> FloatArray:
        """Return the unit direction from the shoulder to the elbow."""
        way = np.array([0.35 * side, -0.25, 0.9]) if self._arms_up else np.array([0.2 * side, 0.05, -0.98])
        return np.asarray(way / np.linalg.norm(way))

    def add_wall(self, shapes: ShapeList) -> None:
        """Table, skin and fat, muscular wall, head, arms."""
        person = self.person
        wide, front, rear = self._by_level(_OUTLINE)
        wide, front, rear = wide * person.girth, front * person.girth, rear * person.size
        fat_x, fat_front, fat_rear = (np.maximum(2.0, person.fat * f) for f in self._by_level(_FAT))
        back = float((self.y + rear + fat_rear)[(self.u > 8) & (self.u < 26)].max())
        for depth, half, kind in ((10, 4, "foam"), (22, 3, "table"), (55, 3, "table")):
            shapes.box(_MATERIAL[kind], (0, back + depth, 0), (230 - depth, half, 900), rounding=2)
        here = (self.u > -3) & (wide > 0)
        for kind, fatty, extra in (("skin", 1.0, 2.0), ("fat", 1.0, 0.0), ("wall", 0.0, -3.0)):
            ahead, behind = front + fatty * fat_front, rear + fatty * fat_rear
            half_x = np.where(here, wide + fatty * fat_x + extra, 0)
            half_y = np.where(here, (ahead + behind) / 2 + extra, 0)
            shapes.column(_MATERIAL[kind], self.x, self.y + (behind - ahead) / 2, half_x, half_y, square=0.35)
            self._add_head_and_arms(shapes, _MATERIAL[kind], 4 * person.fat * fatty + extra, extra)
        self._add_muscles(shapes)

    def _add_head_and_arms(self, shapes: ShapeList, material: int, arm_extra: float, extra: float) -> None:
        person, s = self.person, self.person.size
        head = person.centres[0] + np.array([0.0, 10.0, 74.0]) * s
        face = person.centres[0] + np.array([0.0, -48.0, 8.0]) * s
        shapes.ellipsoid(material, head, np.array([77, 96, 77.0]) * s + extra)
        shapes.ellipsoid(material, face, np.array([62, 64, 78.0]) * s + extra)
        for side in _SIDES:
            shoulder = self.shoulder_point() * np.array([side, 1, 1])
            elbow = shoulder + self.arm_direction(side) * 270 * s
            thick = (42 + arm_extra) * s
            shapes.capsule(material, shoulder, elbow, thick, thick * 0.9)
            shapes.ellipsoid(material, shoulder, (52 + extra, 48 + extra, 48 + extra))

    def _add_muscles(self, shapes: ShapeList) -> None:
        """Muscles along the spine behind it, and the psoas beside it."""
        size, u, muscle = self.person.size, self.u, _MATERIAL["muscle"]
        behind = np.interp(u, [0, 3, 6, 10, 16, 19, 23, 25, 27], [26, 30, 34, 34, 36, 46, 52, 44, 40])
        wide = np.interp(u, [-0.5, 0, 3, 6, 10, 16, 19, 23, 25, 26.5], [0, 22, 24, 26, 22, 24, 27, 26, 20, 0])
        deep = np.interp(u, [0, 3, 6, 10, 16, 19, 23, 26], [18, 18, 17, 14, 15, 20, 22, 14])
        off = np.interp(u, [0, 6, 10, 16, 19, 23, 25], [22, 28, 26, 28, 34, 36, 34])
        psoas = np.interp(u, [18.5, 19.5, 22, 24, 27, 29], [0, 12, 20, 23, 20, 18])
        psoas_x = np.interp(u, [18, 20, 22, 24, 26, 29], [24, 30, 38, 50, 62, 82])
        psoas_y = np.interp(u, [18, 22, 24, 26, 29], [6, 2, -22, -62, -85])
        root_y = np.where(u > 25, self.y, self.spine_y)
        for side in _SIDES:
            x, y = self.spine_x + side * off * size, self.spine_y + behind * size
            shapes.column(muscle, x, y, wide * size, deep * size)
            x, y = self.spine_x + side * psoas_x * size, root_y + psoas_y * size
            shapes.column(muscle, x, y, psoas * size, psoas * 1.15 * size)

    def place(self, u: float, x: float, y: float) -> FloatArray:
        """Point given by nominal level and left, posterior mm from the trunk's course there; shape (3,)."""
        z = float(self.person.height_of(u))
        cx, cy = self.course_at(z)
        return np.array([cx + x * self.person.girth, cy + y * self.person.girth, z])

    def course_at(self, z: float) -> tuple[float, float]:
        """Position (x, y) of the trunk's course at a height, mm."""
        return float(np.interp(-z, -self.z, self.x)), float(np.interp(-z, -self.z, self.y))
