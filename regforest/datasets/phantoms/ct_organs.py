"""What the body of the CT phantom holds: abdomen, lungs, heart, great vessels, throat and brain.

Places are nominal levels (0 is C1, 7 T1, 18 T12, 19 L1, 24 S1) and millimetres to the left and posterior from the
trunk's course.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regforest.datasets.phantoms.ct_shapes import ShapeList
from regforest.datasets.phantoms.ct_tissue import TISSUES
from regforest.datasets.phantoms.ct_trunk import Trunk

__all__ = ["add_organs"]

FloatArray = NDArray[np.float64]

_SIDES = (-1.0, 1.0)
_M = {name: i for i, name in enumerate(TISSUES)}
_DOME_CURVATURE = 0.0085  # of the diaphragm, 1 / mm


def add_organs(shapes: ShapeList, trunk: Trunk, rng: np.random.Generator) -> None:
    """Add the organs in painting order: abdomen, then lungs above the diaphragm, then what lies between them."""
    _add_abdomen(shapes, trunk)
    _add_bowel(shapes, trunk, rng)
    _add_upper_abdomen(shapes, trunk, rng)
    _add_lungs(shapes, trunk, rng)
    _add_mediastinum(shapes, trunk)
    _add_aorta(shapes, trunk)
    _add_other_vessels(shapes, trunk)
    _add_airway(shapes, trunk)
    _add_neck(shapes, trunk)
    _add_head(shapes, trunk)


def _turned(angle_rad: float) -> FloatArray:
    """Axes turned about z."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def _front_of_bodies(trunk: Trunk) -> FloatArray:
    """Posterior position of the front of the vertebral bodies at all heights, mm."""
    person = trunk.person
    return np.asarray(trunk.spine_y - np.interp(trunk.u, person.nominal, person.half_mm[:, 1]))


def _add_abdomen(shapes: ShapeList, trunk: Trunk) -> None:
    """Cavity with fat and small bowel down to the pelvis."""
    u, girth = trunk.u, trunk.person.girth
    half = np.interp(u, [14, 16, 18, 21, 23, 24, 26, 29, 31], [100, 126, 124, 112, 106, 100, 88, 62, 0], left=0)
    front = np.interp(u, [14, 18, 21, 23, 25, 30], [120, 124, 102, 98, 122, 125])
    rear = np.interp(u, [14, 18, 22, 24, 25, 27, 30], [30, 30, 24, 0, -14, 15, 25])
    y = trunk.y + (rear - front) / 2 * girth
    shapes.column(_M["viscera"], trunk.x, y, half * girth, (front + rear) / 2 * girth, square=0.4)


def _add_bowel(shapes: ShapeList, trunk: Trunk, rng: np.random.Generator) -> None:
    """Loops with fluid, stool or gas; colon on both sides; rectum."""
    for _ in range(26):
        place = trunk.place(rng.uniform(19.5, 27), rng.uniform(-85, 85), rng.uniform(-95, -48))
        size, kind = rng.uniform(12, 26, 3), str(rng.choice(["bowel", "bowel", "bowel", "stool", "gas"]))
        shapes.ellipsoid(_M["bowel"], place, size + 2.5)
        gas = kind == "gas"  # rises to the front of a person who lies on the back
        shapes.ellipsoid(_M[kind], place - (0, 4 if gas else 0, 0), size * (0.85 if gas else 1))
    for side in _SIDES:
        colon = [trunk.place(u, side * 92, -12 + rng.normal(0, 5)) for u in (20, 21, 22, 23, 24)]
        filled = colon[: int(rng.integers(2, 6))]
        shapes.chain(_M["bowel"], colon, 20)
        shapes.chain(_M[str(rng.choice(["stool", "gas"]))], filled, rng.uniform(12, 17))
    shapes.chain(_M["bowel"], [trunk.place(25.5, 15, 5), trunk.place(27, 5, 12), trunk.place(29.5, 0, 18)], 19)
    shapes.chain(_M[str(rng.choice(["stool", "gas"]))], [trunk.place(26, 10, 6), trunk.place(28, 3, 14)], 11)
    shapes.ellipsoid(_M["bladder"], trunk.place(28.5, 0, -78), (38, 32, 32))


def _add_upper_abdomen(shapes: ShapeList, trunk: Trunk, rng: np.random.Generator) -> None:
    """Kidneys, stomach, spleen, liver."""
    shift = rng.normal(0, 5, 5)
    lift = np.array([0.0, 0.0, shift[0]])
    for side in _SIDES:
        kidney = trunk.place(20.0 + 0.25 * (side < 0), side * 60, 12 + shift[1]) + lift
        shapes.ellipsoid(_M["kidney"], kidney, (25, 26, 54), _turned(side * -0.25))
        shapes.ellipsoid(_M["fat"], trunk.place(20.1, side * 54, 10 + shift[1]), (10, 10, 26))
    shapes.ellipsoid(_M["bowel"], trunk.place(20, 5, -48), (62, 14, 14))
    shapes.ellipsoid(_M["stomach"], trunk.place(18.3, 55, -62 + shift[2]), (44, 38, 52), _turned(0.3))
    shapes.ellipsoid(_M["gas"], trunk.place(17.8, 52, -80 + shift[2]), (26, 15, 26))
    shapes.ellipsoid(_M["spleen"], trunk.place(18.0, 88, 10 + shift[3]) + lift, (25, 36, 50), _turned(0.35))
    shapes.ellipsoid(_M["liver"], trunk.place(18.2, -58, -38) + lift, (70, 76, 85))
    shapes.ellipsoid(_M["liver"], trunk.place(17.6, 5, -85), (68, 34, 42))


def _add_lungs(shapes: ShapeList, trunk: Trunk, rng: np.random.Generator) -> None:
    """Both lungs above the domes of the diaphragm, and the branches of their vessels, thinning twice."""
    girth, size = trunk.person.girth, trunk.person.size
    cx, cy = trunk.course_at(trunk.dome_z)
    for side in _SIDES:
        top = trunk.dome_z - (8.0 if side > 0 else 0.0)
        dome = (cx + side * 58 * girth, cy - 62 * girth, top, _DOME_CURVATURE)
        x, y, half_x, half_y = trunk.lung_oval(side)
        shapes.column(_M["lung"], x, y, half_x, half_y, square=0.3, above_dome=dome)
        hilum = trunk.place(11.8, side * 40, -38)
        for _ in range(16):
            way = rng.normal(0, 1, 3) * (0.8, 1.0, 1.2) + (0.9 * side, 0.0, -0.25)
            way /= np.linalg.norm(way)
            middle = hilum + way * rng.uniform(25, 45) * size
            shapes.capsule(_M["vein"], hilum, middle, 4.5 * size, 3.0 * size)
            for _ in range(2):
                end = middle + (way + rng.normal(0, 0.45, 3)) * rng.uniform(20, 40) * size
                shapes.capsule(_M["vein"], middle, end, 2.6 * size, 1.2 * size)


def _add_mediastinum(shapes: ShapeList, trunk: Trunk) -> None:
    """Tissue between the lungs, and the heart with its chambers."""
    u, girth = trunk.u, trunk.person.girth
    half = np.interp(u, [6, 7, 9, 11, 13, 16, 17, 17.5], [0, 18, 24, 24, 26, 30, 20, 0]) * girth
    front = np.interp(u, [6, 8, 10, 12, 14, 16, 18], [45, 52, 78, 106, 122, 126, 124]) * girth
    shapes.column(_M["mediastinum"], trunk.x, trunk.y - front / 2, half, front / 2 + 2, square=0.6)
    heart, turned = trunk.place(14.2, 22, -78), _turned(0.6)
    shapes.ellipsoid(_M["mediastinum"], heart, np.array([64, 56, 58]) * girth, turned)
    shapes.ellipsoid(_M["heart"], heart, np.array([58, 48, 54]) * girth, turned)
    chambers = (
        ((22, -8, -6), (24, 22, 32)),
        ((-22, -20, 0), (20, 26, 30)),
        ((0, 24, 14), (30, 15, 22)),
        ((2, -26, -4), (30, 14, 30)),
    )
    for offset, radii in chambers:
        shapes.ellipsoid(_M["chamber"], heart + np.array(offset) * girth, np.array(radii) * girth, turned)


def _add_aorta(shapes: ShapeList, trunk: Trunk) -> None:
    """Aorta from the heart over its arch to L4, and the vessels to the neck."""
    person, u = trunk.person, trunk.u
    side_x = np.interp(u, person.nominal, person.half_mm[:, 0])
    caliber = person.size * (0.9 + 0.003 * person.age)
    radius = np.interp(u, [9.9, 10.1, 15, 20, 22.2, 22.6], [0, 12.5, 12, 10, 9, 0]) * caliber
    beside = np.interp(u, [10, 13, 17, 19, 22], [1.0, 1.0, 0.5, 0.1, 0.05])  # 1 at the side of the bodies, 0 in front
    depth = trunk.spine_y - _front_of_bodies(trunk) + 9
    x = trunk.spine_x + (side_x * 0.95 + 6) * beside + 4
    y = trunk.spine_y - depth * (1 - 0.62 * beside) - 2 + 6 * beside
    shapes.column(_M["artery"], x, y, radius, radius)
    top_z = float(person.height_of(10.0))
    end = np.array([*(float(np.interp(-top_z, -trunk.z, v)) for v in (x, y)), top_z])
    root, rise = trunk.place(12.6, -2, -72), trunk.place(10.3, -14, -62)
    summit = np.array([*((rise + end) / 2)[:2], top_z + 14])
    shapes.chain(_M["artery"], [root, rise, summit, end], np.array([15, 15, 13.5, 12.5]) * caliber)
    for side, depth_mm in ((-12, -42), (4, -40), (14, -28)):
        low, high = trunk.place(9.6, side, depth_mm), trunk.place(6.5, 2.0 * side, depth_mm + 16)
        shapes.capsule(_M["artery"], low, high, 4.5 * person.size)


def _add_other_vessels(shapes: ShapeList, trunk: Trunk) -> None:
    """Great veins, arteries of the lungs, vessels of the pelvis."""
    u, s = trunk.u, trunk.person.size
    cava = np.interp(u, [14.5, 15, 22.4, 22.8], [0, 12, 11, 0]) * s
    cava_y = _front_of_bodies(trunk) - 12 - np.clip(18 - u, 0, 3) * 7
    shapes.column(_M["vein"], trunk.spine_x - 18 * s, cava_y, cava, cava * 0.85)
    upper_cava = [trunk.place(7.5, -24, -36), trunk.place(9, -26, -46), trunk.place(13, -30, -62)]
    shapes.chain(_M["vein"], upper_cava, 9 * s)
    fork = trunk.place(11.2, 14, -62)
    pulmonary = [trunk.place(12.2, 12, -88), fork, trunk.place(11.6, -36, -42)]
    shapes.chain(_M["artery"], pulmonary, np.array([14, 12, 9]) * s)
    shapes.capsule(_M["artery"], fork, trunk.place(11.8, 46, -38), 11 * s, 8 * s)
    for side in _SIDES:
        course = ((22.5, 6, -30), (24, 28, -42), (26, 48, -78), (28.5, 66, -100))
        iliac = np.array([trunk.place(level, side * x, y) for level, x, y in course])
        shapes.chain(_M["artery"], iliac, np.array([7, 6, 5.5, 5]) * s)
        shapes.chain(_M["vein"], iliac + np.array([side * 4 - 5, 9, -4]), np.array([8, 7, 7, 6]) * s)


def _add_airway(shapes: ShapeList, trunk: Trunk) -> None:
    """Gullet, throat, windpipe and main bronchi."""
    u, s, front = trunk.u, trunk.person.size, _front_of_bodies(trunk)
    gullet = np.interp(u, [4.5, 5, 17.5, 18], [0, 6.5, 7.5, 0]) * s
    shapes.column(_M["muscle"], trunk.spine_x + 5, front - 7, gullet, gullet * 0.8)
    windpipe = np.interp(u, [4.2, 5, 10.8, 11], [0, 8.5, 8.5, 0]) * s
    y = front - np.interp(u, [4, 6, 9, 11], [17, 22, 24, 30]) * s
    wall = np.where(windpipe > 0, windpipe + 2, 0)
    shapes.column(_M["cartilage"], trunk.spine_x, y, wall, wall)
    shapes.column(_M["gas"], trunk.spine_x, y, windpipe, windpipe)
    for side in _SIDES:
        shapes.capsule(_M["gas"], trunk.place(11, 0, -46), trunk.place(12.2, side * 38, -36), 7 * s, 5.5 * s)
    throat = np.interp(u, [-1.8, -1.4, 1, 2.5, 4.4, 4.7], [0, 12, 12, 11, 9, 0]) * s
    y = front - np.interp(u, [-1, 1, 3, 5], [20, 12, 14, 18]) * s
    shapes.column(_M["gas"], trunk.spine_x, y, throat, throat * 0.6)


def _add_neck(shapes: ShapeList, trunk: Trunk) -> None:
    s = trunk.person.size
    for side in _SIDES:
        course = ((7.2, 26, -30), (5, 28, -24), (2, 30, -18), (0, 32, -14))
        vessel = np.array([trunk.place(u, side * x, y) for u, x, y in course])
        shapes.chain(_M["artery"], vessel, 3.6 * s)
        shapes.chain(_M["vein"], vessel + np.array([side * 9, 5, 0]), np.array([7, 6, 6, 5]) * s)
        shapes.ellipsoid(_M["gland"], trunk.place(5.8, side * 20, -34), (9, 10, 22))
        strap = [trunk.place(u, side * x, y) for u, x, y in ((6.8, 26, -52), (3, 46, -18), (-0.5, 54, 12))]
        shapes.chain(_M["muscle"], strap, np.array([9, 12, 9]) * s)


def _add_head(shapes: ShapeList, trunk: Trunk) -> None:
    """Brain, tongue, nose and its sinuses, orbits; from C1's centre."""
    c1, s = trunk.person.centres[0], trunk.person.size

    def ellipsoid(kind: str, place: tuple[float, float, float], radii: tuple[float, float, float]) -> None:
        shapes.ellipsoid(_M[kind], c1 + np.array(place) * s, np.array(radii) * s)

    ellipsoid("brain", (0, 14, 76), (67, 86, 66))
    ellipsoid("muscle", (0, -62, -12), (24, 26, 20))
    for side in _SIDES:
        ellipsoid("gas", (side * 27, -68, 28), (16, 18, 18))
        ellipsoid("fat", (side * 32, -72, 66), (17, 20, 16))
        shapes.box(_M["gas"], c1 + np.array([side * 7, -70, 28]) * s, np.array([3.5, 30, 14]) * s)
