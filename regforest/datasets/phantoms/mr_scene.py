"""The picture of an MR phantom: what surrounds the discs, painted from the skin inwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from regforest.datasets.phantoms.mr_anatomy import Body, Disc, Frame, Person, Spine
from regforest.datasets.phantoms.mr_canvas import (
    Canvas,
    Field,
    Window,
    body_distance,
    disc_distance,
    smooth_noise,
    window_around,
)

__all__ = ["CHANNELS", "paint_person"]

FloatArray = NDArray[np.float64]

CHANNELS = {"dixon": ("water", "fat"), "t2": ("t2",), "t1": ("t1",)}
"""Signals that are painted for each contrast."""

# arbitrary units: water and fat of a Dixon gradient echo; T2- and T1-weighted spin echo
_SIGNALS = {
    "air": {"water": 0, "fat": 0, "t2": 0, "t1": 0},
    "skin": {"water": 300, "fat": 100, "t2": 120, "t1": 220},
    "fat": {"water": 50, "fat": 760, "t2": 620, "t1": 820},
    "muscle": {"water": 430, "fat": 25, "t2": 110, "t1": 260},
    "organ": {"water": 450, "fat": 30, "t2": 190, "t1": 320},
    "gas": {"water": 10, "fat": 5, "t2": 10, "t1": 10},
    "lung": {"water": 60, "fat": 5, "t2": 30, "t1": 25},
    "blood": {"water": 330, "fat": 10, "t2": 40, "t1": 60},
    "ligament": {"water": 130, "fat": 15, "t2": 45, "t1": 70},
    "cortex": {"water": 70, "fat": 30, "t2": 35, "t1": 45},
    "marrow": {"water": 300, "fat": 270, "t2": 260, "t1": 400},
    "vein": {"water": 480, "fat": 120, "t2": 480, "t1": 250},
    "csf": {"water": 330, "fat": 0, "t2": 900, "t1": 120},
    "cord": {"water": 470, "fat": 20, "t2": 380, "t1": 330},
    "roots": {"water": 400, "fat": 20, "t2": 560, "t1": 230},
    "annulus": {"water": 400, "fat": 15, "t2": 90, "t1": 230},
    "young nucleus": {"water": 640, "fat": 10, "t2": 560, "t1": 250},
    "worn nucleus": {"water": 420, "fat": 15, "t2": 110, "t1": 230},
}

_CANAL = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2")
_RIBBED = ("T9", "T10", "T11", "T12")


@dataclass(frozen=True)
class _Palette:
    channels: tuple[str, ...]
    marrow_fat: float

    def __call__(self, name: str) -> FloatArray:
        return np.array([self._signal(name, channel) for channel in self.channels])

    def mixed(self, first: str, second: str, share: float) -> FloatArray:
        return (1 - share) * self(first) + share * self(second)

    def _signal(self, name: str, channel: str) -> float:
        if name == "marrow" and channel in ("water", "fat"):
            share = self.marrow_fat if channel == "fat" else 1 - self.marrow_fat
            return 570.0 * share
        return float(_SIGNALS[name][channel])


def paint_person(canvas: Canvas, person: Person, spine: Spine, contrast: str, rng: np.random.Generator) -> None:
    """Paint a person whose spine has been placed in the scanner.

    Parameters
    ----------
    canvas : Canvas
        Empty image with the channels of `CHANNELS`.
    person : Person
        For the amounts of fat.
    spine : Spine
        In the frame of the canvas, LPS millimetres.
    contrast : {"dixon", "t2", "t1"}
        Which signals.
    rng : numpy.random.Generator
        For all that changes from scan to scan.
    """
    tissue = _Palette(CHANNELS[contrast], person.marrow_fat)
    grain = 1 + 0.05 * smooth_noise(rng, canvas.grid, 2.5)
    _paint_trunk(canvas, tissue, person, spine, rng, grain)
    _paint_beside_spine(canvas, tissue, spine, rng, grain)
    _paint_canal(canvas, tissue, spine)
    for body in spine.bodies:
        _paint_arch(canvas, tissue, body, grain)
    _paint_canal_content(canvas, tissue, spine, rng)
    marrow = grain * (1 + 0.07 * smooth_noise(rng, canvas.grid, 7.0))
    _paint_ligaments(canvas, tissue, spine)
    for body in spine.bodies:
        _paint_body(canvas, tissue, body, marrow * np.float32(rng.normal(1, 0.04)))
    for disc in spine.discs:
        _paint_disc(canvas, tissue, disc, grain)


def _paint_trunk(
    canvas: Canvas, tissue: _Palette, person: Person, spine: Spine, rng: np.random.Generator, grain: Field
) -> None:
    """Skin, fat under it, muscles of the back and the belly, and what fills the belly."""
    whole = canvas.everything()
    x, y, z = canvas.coordinates()
    anchors = [spine.body(name).frame.centre_lps_mm for name in ("T9", "T12", "L2", "L4", "S1", "S3")]
    anchors.insert(0, 2 * anchors[0] - spine.body("T11").frame.centre_lps_mm)  # goes on above T9 as below it
    height = np.array([point[2] for point in anchors])[::-1]
    back = np.array([point[1] for point in anchors])[::-1]
    thick = person.fatness
    middle = float(spine.body("L2").frame.centre_lps_mm[0])

    def along(offsets: Sequence[float], base: FloatArray = back) -> Field:
        curve = PchipInterpolator(height, base + np.array(offsets[::-1]), extrapolate=False)
        inside = np.clip(z, height[0], height[-1])
        table = np.linspace(height[0], height[-1], 256)
        return np.asarray(np.interp(inside, table, curve(table)), dtype=np.float32)

    groove = 5 * np.exp(-(((x - middle) / 14) ** 2)).astype(np.float32)
    layer = along([6, 7, 10, 16, 22, 24, 20], np.zeros(7)) * np.float32(thick)
    fascia = along([64, 64, 67, 70, 71, 52, 26]) - groove
    skin_back = fascia + layer
    belly = along([-95, -95, -100, -105, -100, -115, -150]) - np.float32(25 * (thick - 1))
    skin_front = belly - along([8, 8, 14, 20, 24, 24, 18], np.zeros(7)) * np.float32(thick)
    canvas.paint(whole, np.maximum(y - skin_back, skin_front - y), tissue("skin"))
    canvas.paint(whole, np.maximum(y - skin_back, skin_front - y) + np.float32(1.8), tissue("fat"), grain)
    canvas.paint(whole, np.maximum(y - fascia, belly - y), tissue("muscle"), grain)
    streaks = smooth_noise(rng, canvas.grid, 4.0) + np.float32(0.6) * smooth_noise(rng, canvas.grid, 12.0)
    deep = np.maximum(np.maximum(y - fascia, belly - y) + 4, np.float32(1.6 - 0.35 * (thick - 1)) - streaks)
    canvas.paint(whole, deep, tissue("fat"), grain)
    cavity = np.maximum(y - along([5, 5, 4, 2, 0, -5, 0]), belly + np.float32(10) - y)
    _paint_bowel(canvas, tissue, whole, cavity, z - float(spine.body("T12").frame.centre_lps_mm[2]), rng, grain)


def _paint_bowel(
    canvas: Canvas,
    tissue: _Palette,
    whole: Window,
    cavity: Field,
    height_mm: Field,
    rng: np.random.Generator,
    grain: Field,
) -> None:
    """Mesenteric fat with loops of bowel in it; a solid organ above (liver, stomach)."""
    canvas.paint(whole, cavity, tissue("fat"), grain)
    loops = smooth_noise(rng, canvas.grid, 22.0) + np.float32(0.3) * smooth_noise(rng, canvas.grid, 7.0)
    solid = np.clip((height_mm + 10) / 40, 0, 1.6)
    canvas.paint(whole, np.maximum(cavity, (0.1 - solid - loops) * np.float32(5)), tissue("organ"), grain)
    pockets = np.maximum(cavity, (1.55 + solid - loops) * np.float32(5))
    canvas.paint(whole, pockets, tissue("gas" if rng.random() < 0.7 else "csf"))


def _paint_beside_spine(
    canvas: Canvas, tissue: _Palette, spine: Spine, rng: np.random.Generator, grain: Field
) -> None:
    """Fat around the bodies, psoas, lungs, aorta and vena cava."""
    around = [body.frame.centre_lps_mm for body in spine.bodies]
    widths = [body.above.shape.half_depth_mm + 6 for body in spine.bodies]
    canvas.paint_tubes([around], [widths], tissue("fat"), flat=1.25, texture=grain)
    lumbar = [spine.body(name) for name in ("T12", "L1", "L2", "L3", "L4", "L5", "S1")]
    psoas = np.array([5.0, 9, 12, 15, 17, 18, 15]) * rng.normal(1, 0.08)
    for side in (-1, 1):
        path = [_beside(body, side, radius * 0.75 + 1.5, 2) for body, radius in zip(lumbar, psoas, strict=True)]
        canvas.paint_tubes([path], [psoas], tissue("muscle"), flat=0.75, texture=grain)
        lungs = [_beside(spine.body(name), side, 13, 6) for name in ("T9", "T10", "T11")]
        canvas.paint_tubes([lungs], [[13, 11, 6]], tissue("lung"), flat=0.8)
    _paint_vessels(canvas, tissue, spine, rng)


def _beside(body: Body, side: int, away_mm: float, back_mm: float) -> FloatArray:
    half = body.above.shape.half_width_mm
    return body.frame.world(np.array([side * (half + away_mm), back_mm, 0.0]))


def _paint_vessels(canvas: Canvas, tissue: _Palette, spine: Spine, rng: np.random.Generator) -> None:
    wander = rng.normal(0, 2, (2, 2))
    for vessel, (side, radius) in enumerate(((12.0, 8.5), (-13.0, 9.5))):
        across, along = wander[vessel]
        trunk = [
            body.frame.world(np.array([side + across, along - body.above.shape.half_depth_mm - radius - 2.5, 0.0]))
            for body in spine.bodies
            if body.name in ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4")
        ]
        hand = 1 if side > 0 else -1
        fork = [trunk[-1], _beside(spine.body("L5"), hand, -4, -22), _beside(spine.body("S1"), hand, 6, -24)]
        # muscle-like wall, then flowing blood
        for grow, name in ((1.2, "muscle"), (0.0, "blood")):
            paths = [np.array(trunk), np.array(fork)]
            radii = [np.full(len(trunk), radius + grow), np.array([radius, 6.5, 5.5]) + grow]
            canvas.paint_tubes(paths, radii, tissue(name))


def _canal_path(spine: Spine, behind_mm: float) -> FloatArray:
    """Points behind bodies and discs, cranial to caudal."""
    frames: list[tuple[Frame, float]] = []
    for body in spine.bodies:
        if body.name in _CANAL:
            frames.append((body.above.frame, body.above.shape.half_depth_mm + 0.6))
            depth = (body.above.shape.half_depth_mm + body.below.shape.half_depth_mm) / 2
            frames.append((body.frame, depth * (1 - body.waist) + 0.4))
    return np.array([frame.world(np.array([0.0, depth + behind_mm, 0.0])) for frame, depth in frames])


def _paint_canal(canvas: Canvas, tissue: _Palette, spine: Spine) -> None:
    path = _canal_path(spine, 9.5)
    canvas.paint_tubes([path], [np.linspace(9.5, 8.5, len(path))], tissue("ligament"), flat=1.35)
    canvas.paint_tubes([path], [np.linspace(8.6, 7.8, len(path))], tissue("fat"), flat=1.35)


def _paint_canal_content(canvas: Canvas, tissue: _Palette, spine: Spine, rng: np.random.Generator) -> None:
    """Thecal sac with cord down to L1 and nerve roots behind the middle below it."""
    path = _canal_path(spine, 7.8)
    radius = np.linspace(7.2, 6.8, len(path))
    radius[-3:] = (5.0, 3.5, 1.0)
    canvas.paint_tubes([path], [radius], tissue("csf"), flat=1.25)
    end = int(np.clip(round(9 + rng.normal(0, 0.7)), 7, 11))  # the cone ends behind T12 to L2
    cord = _canal_path(spine, 8.2)[:end]
    thickness = np.linspace(4.2, 4.0, end)
    thickness[-2:] = (3.2, 0.8)
    canvas.paint_tubes([cord], [thickness], tissue("cord"), flat=1.1)
    roots = _canal_path(spine, 10.6)[end - 3 : -3]
    canvas.paint_tubes([roots], [np.linspace(2.2, 2.6, len(roots))], tissue("roots"), flat=1.9)


def _paint_arch(canvas: Canvas, tissue: _Palette, body: Body, grain: Field) -> None:
    """Pedicles, laminae, articular, transverse and spinous processes: cortex around marrow."""
    back = body.above.shape.half_depth_mm
    side = body.above.shape.half_width_mm
    sacral = body.name[0] == "S"
    reach, fall = (10.0, 0.0) if sacral else ((21.0, -16.0) if body.name in _RIBBED else (29.0, -9.0))

    def world(u: float, v: float, w: float) -> FloatArray:
        return body.frame.world(np.array([u, v, w]))

    ring, thin, wide = back + 20, 4.2, 5.2
    paths = [[world(0, ring, -4), world(0, ring + reach * 0.5, -6 + fall * 0.5), world(0, ring + reach, -6 + fall)]]
    radii: list[list[float]] = [[4.2, 4.6, 5.2 if not sacral else 3.0]]
    for s in (-1, 1):
        pedicle, joint = world(s * side * 0.62, back + 6, 5), world(s * side * 0.68, back + 15, 0)
        paths += [[world(s * side * 0.55, back - 4, 5), pedicle], [pedicle, joint], [joint, world(0, ring, -4)]]
        radii += [[wide, wide], [wide, 6.0], [6.0, thin]]
        paths += [[world(s * side * 0.68, back + 13, 12), world(s * side * 0.6, back + 15, -16)]]
        radii += [[4.5, 4.5]]
        far = world(s * (side + 16), back + 12, 4)
        paths += [[joint, far]]
        radii += [[5.0, 4.0]]
        if sacral:
            paths += [[world(s * side * 0.5, back * 0.3, 0), world(s * (side + 8), back * 0.8, 0)]]
            radii += [[back * 0.8, back * 0.8]]
    canvas.paint_tubes(paths, radii, tissue("cortex"))
    canvas.paint_tubes(paths, [np.array(radius) - 1.5 for radius in radii], tissue("marrow"), texture=grain)


def _paint_ligaments(canvas: Canvas, tissue: _Palette, spine: Spine) -> None:
    """Longitudinal ligaments: dark bands along the front and the back of the column, yellow ones between laminae."""
    front, back = [], []
    for body in spine.bodies:
        if body.name not in _CANAL[:-1]:
            continue
        depth = body.above.shape.half_depth_mm
        front += [
            body.above.frame.world(np.array([0.0, -depth - 0.6, 0.0])),
            body.frame.world(np.array([0.0, -depth * (1 - body.waist) + 0.3, 0.0])),
        ]
        back += [body.above.frame.world(np.array([0.0, depth + 0.2, 0.0]))]
    canvas.paint_tubes([front], [np.full(len(front), 1.1)], tissue("ligament"), flat=11)
    canvas.paint_tubes([back], [np.full(len(back), 0.8)], tissue("ligament"), flat=7)


def _paint_body(canvas: Canvas, tissue: _Palette, body: Body, texture: Field) -> None:
    reach = body.above.shape.half_width_mm + 4
    window = window_around(canvas.grid, [body.above.frame.centre_lps_mm, body.below.frame.centre_lps_mm], reach)
    if window is None:
        return
    canvas.paint(window, body_distance(body, window, 0.0), tissue("cortex"))
    inner = body_distance(body, window, 1.0) + np.float32(0.9)
    canvas.paint(window, inner, tissue("marrow"), texture[window.slices])
    if body.name[0] != "S":
        depth = body.above.shape.half_depth_mm
        path = [body.frame.world(np.array([0, v * depth, 0.0])) for v in (0.92, 0.45, 0.1)]
        canvas.paint_tubes([path], [[2.0, 1.5, 0.6]], tissue("vein"), flat=2.5)


def _paint_disc(canvas: Canvas, tissue: _Palette, disc: Disc, grain: Field) -> None:
    shape = disc.shape
    window = window_around(canvas.grid, disc.frame.centre_lps_mm, shape.half_width_mm + 5)
    if window is None:
        return
    distance = disc_distance(disc, window)
    texture = grain[window.slices]
    canvas.paint(window, distance, tissue.mixed("annulus", "ligament", 0.35), texture)
    canvas.paint(window, distance + np.float32(1.5), tissue.mixed("annulus", "ligament", 0.0), texture)
    u, v, w = window.local(disc.frame)
    a, b = np.float32(0.68 * shape.half_width_mm), np.float32(0.62 * shape.half_depth_mm)
    radius = np.hypot(u / a, (v - np.float32(0.08 * shape.half_depth_mm)) / b)
    nucleus = np.maximum((radius - 1) * np.float32(0.5 * shape.half_depth_mm), distance + np.float32(1.2))
    soft = nucleus * np.float32(0.45)  # no sharp border between nucleus and annulus
    canvas.paint(window, soft, tissue.mixed("young nucleus", "worn nucleus", shape.degeneration), texture)
    cleft = np.maximum(np.abs(w) - np.float32(0.5), nucleus + np.float32(2))
    canvas.paint(window, cleft, tissue.mixed("young nucleus", "annulus", 0.6), texture)
