"""The lumbar spine of an MR phantom: discs and bodies as shapes in millimetres.

Bodies stand where `sample_spine` puts them; between two of them lies a disc in its own frame. Sizes follow common
morphometry (lumbar discs about 50 x 37 x 11 mm), scattered between people and levels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from regforest.datasets.phantoms.anatomy import sample_spine

__all__ = ["Body", "Disc", "DiscShape", "Frame", "Person", "Spine", "draw_person"]

FloatArray = NDArray[np.float64]

_BODIES = ("T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1", "S2", "S3", "S4", "S5")
# by the body below the disc: width, depth, height at the middle (mm), wedge (higher in front), mean degeneration
_DISCS = {
    "T9": (35.0, 28.5, 4.6, 0.00, 0.15), "T10": (37.0, 29.5, 5.0, 0.00, 0.15), "T11": (39.5, 31.0, 5.6, 0.02, 0.18),
    "T12": (42.0, 32.0, 6.6, 0.04, 0.20), "L1": (44.0, 33.0, 8.2, 0.07, 0.20), "L2": (46.5, 34.5, 9.6, 0.10, 0.22),
    "L3": (48.5, 36.0, 10.8, 0.14, 0.25), "L4": (50.5, 37.0, 11.7, 0.19, 0.32), "L5": (52.0, 37.5, 12.2, 0.25, 0.42),
    "S1": (51.5, 36.0, 11.4, 0.32, 0.45), "S2": (38.0, 23.0, 3.0, 0.0, 0.8), "S3": (30.0, 17.0, 2.0, 0.0, 0.9),
    "S4": (25.0, 13.0, 1.5, 0.0, 0.9), "S5": (21.0, 10.0, 1.5, 0.0, 0.9),
}  # fmt: skip
_SACRUM = ((20.5, 46.0), (18.0, 26.0), (15.0, 6.0))  # below S2: length (mm) and angle from vertical (degrees)


@dataclass(frozen=True, eq=False)
class DiscShape:
    """Form of a disc, whatever its place.

    Attributes
    ----------
    half_width_mm, half_depth_mm : float
        Half axes of the outline.
    rim_mm : float
        Height at the rim.
    rise_mm : tuple of float
        How much further the upper and the lower surface reach near the middle than at the rim.
    wedge : float
        Relative gain in height at the front rim, loss at the back.
    outline : ndarray, shape (3, 2)
        Cosine and sine coefficients of the outline's 2nd to 4th harmonic, relative to its radius.
    dent_mm : float
        Hollow of the outline towards the canal.
    bulge_mm : float
        How far the side wall stands out halfway between the bodies.
    degeneration : float
        0 young and full of water to 1 dry and thin.
    """

    half_width_mm: float
    half_depth_mm: float
    rim_mm: float
    rise_mm: tuple[float, float]
    wedge: float
    outline: FloatArray
    dent_mm: float
    bulge_mm: float
    degeneration: float


@dataclass(frozen=True, eq=False)
class Frame:
    """A place with three directions.

    Attributes
    ----------
    centre_lps_mm : ndarray, shape (3,)
        Origin.
    axes : ndarray, shape (3, 3)
        Rows: unit directions to the left, to the back and up along the spine, LPS.
    """

    centre_lps_mm: FloatArray
    axes: FloatArray

    def local(self, points_lps_mm: FloatArray) -> FloatArray:
        """Coordinates (left, back, up) of points (..., 3) in millimetres."""
        return np.asarray((points_lps_mm - self.centre_lps_mm) @ self.axes.T)

    def world(self, points_mm: FloatArray) -> FloatArray:
        """LPS position of points (..., 3) given as (left, back, up)."""
        return np.asarray(points_mm @ self.axes + self.centre_lps_mm)


@dataclass(frozen=True, eq=False)
class Disc:
    """A disc in its place; `name` as in ``"L3/L4"``, sacral ones included, which no data set labels."""

    name: str
    frame: Frame
    shape: DiscShape


@dataclass(frozen=True, eq=False)
class Body:
    """A vertebral body, bounded by the discs above and below; `waist`: how much narrower it is halfway, relative."""

    name: str
    frame: Frame
    above: Disc
    below: Disc
    waist: float


@dataclass(frozen=True, eq=False)
class Spine:
    """Discs T8/T9 to S4/S5 and the bodies between them, T9 to S4, cranial to caudal."""

    discs: tuple[Disc, ...]
    bodies: tuple[Body, ...]

    def disc(self, name: str) -> Disc:
        """Return the disc of this name."""
        return next(disc for disc in self.discs if disc.name == name)

    def body(self, name: str) -> Body:
        """Return the body of this level."""
        return next(body for body in self.bodies if body.name == name)


@dataclass(frozen=True, eq=False)
class Person:
    """All that was drawn for one person's spine.

    Attributes
    ----------
    centres_lps_mm : ndarray, shape (15, 3)
        Body centres T8 to S5; L2 is the origin.
    shapes : tuple of DiscShape
        Discs T8/T9 to S4/S5.
    tilts_rad : ndarray, shape (14,)
        Deviation of each disc from the spine's tangent.
    waists : ndarray, shape (15,)
        See `Body`.
    fatness : float
        Scales layers of fat, about 1.
    marrow_fat : float
        Fat fraction of the bone marrow.
    """

    centres_lps_mm: FloatArray
    shapes: tuple[DiscShape, ...]
    tilts_rad: FloatArray
    waists: FloatArray
    fatness: float
    marrow_fat: float

    def next_stage(self, rng: np.random.Generator) -> Person:
        """Return the same person after bed rest: the discs have swollen by some percent, the back bends a little."""
        swelling = 1 + np.clip(rng.normal(0.05, 0.02, len(self.shapes)), 0.0, 0.12)
        shapes = tuple(
            replace(shape, rim_mm=shape.rim_mm * factor, bulge_mm=shape.bulge_mm + float(rng.normal(0, 0.15)))
            for shape, factor in zip(self.shapes, swelling, strict=True)
        )
        centres = self.centres_lps_mm.copy()
        centres[:, 1] += rng.normal(0, 2.0) * (centres[:, 2] / 100) ** 2
        return replace(
            self,
            centres_lps_mm=centres,
            shapes=shapes,
            tilts_rad=self.tilts_rad + np.deg2rad(rng.normal(0, 0.4, len(shapes))),
            marrow_fat=self.marrow_fat + float(rng.normal(0, 0.01)),
        )

    def spine(self) -> Spine:
        """Put discs between the centres and bodies between the discs."""
        steps = np.linalg.norm(np.diff(self.centres_lps_mm, axis=0), axis=1)
        along = np.concatenate([[0], np.cumsum(steps)])
        curve = CubicSpline(along, self.centres_lps_mm)
        tangent = curve.derivative()
        discs = tuple(
            Disc(f"{upper}/{lower}", Frame(np.asarray(curve(at)), _axes(-tangent(at), tilt)), shape)
            for (upper, lower), at, tilt, shape in zip(
                itertools.pairwise(_BODIES), (along[1:] + along[:-1]) / 2, self.tilts_rad, self.shapes, strict=True
            )
        )
        inner = zip(_BODIES[1:-1], along[1:-1], itertools.pairwise(discs), self.waists[1:-1], strict=True)
        bodies = tuple(
            Body(name, Frame(np.asarray(curve(at)), _axes(-tangent(at), 0.0)), above, below, float(waist))
            for name, at, (above, below), waist in inner
        )
        return Spine(discs, bodies)


def draw_person(rng: np.random.Generator) -> Person:
    """Draw one person; the scatter is that of adults of both sexes."""
    stature = float(np.clip(rng.normal(1.0, 0.045), 0.9, 1.1))
    points = sample_spine(rng, _BODIES[:-3], source="B", spread=(0.4, 0.8, 0.8), scale=stature)
    girth = stature * float(np.clip(rng.normal(1.02, 0.06), 0.9, 1.14))
    height = stature * float(np.clip(rng.normal(1.05, 0.10), 0.85, 1.3))
    wear = float(rng.normal(0, 0.15))
    return Person(
        centres_lps_mm=_with_sacrum(np.array(list(points.values())) - points["L2"], rng),
        shapes=tuple(_draw_shape(rng, lower, girth, height, wear) for lower in _BODIES[1:]),
        tilts_rad=np.deg2rad(rng.normal(0, 1.5, len(_DISCS))),
        waists=np.clip(rng.normal(0.09, 0.02, len(_BODIES)), 0.03, 0.14),
        fatness=float(np.clip(rng.normal(1.0, 0.3), 0.5, 1.7)),
        marrow_fat=float(np.clip(rng.normal(0.46, 0.07), 0.3, 0.62)),
    )


def _draw_shape(rng: np.random.Generator, lower: str, girth: float, height: float, wear: float) -> DiscShape:
    width, depth, middle, wedge, usual_wear = _DISCS[lower]
    degeneration = float(np.clip(usual_wear + wear + rng.normal(0, 0.18), 0.0, 1.0))
    middle *= height * rng.normal(1.0, 0.05) * (1.08 - 0.35 * degeneration)
    rise = middle * (0.34 - 0.15 * degeneration)  # both surfaces together
    share = float(np.clip(rng.normal(0.6, 0.08), 0.4, 0.8))  # bodies are hollower below than above
    return DiscShape(
        half_width_mm=width / 2 * girth * float(rng.normal(1.0, 0.025)),
        half_depth_mm=depth / 2 * girth * float(rng.normal(1.0, 0.025)),
        rim_mm=middle - rise,
        rise_mm=(rise * share, rise * (1 - share)),
        wedge=wedge * float(rng.normal(1.0, 0.3)),
        outline=rng.normal(0, [[0.018], [0.012], [0.008]], (3, 2)),
        dent_mm=float(np.clip(rng.normal(1.6, 0.6), 0.0, 3.0)) * (1 - 0.8 * degeneration),
        bulge_mm=float(np.clip(rng.normal(0.6, 0.3), 0.0, 1.5)) + 0.8 * degeneration,
        degeneration=degeneration,
    )


def _with_sacrum(centres: FloatArray, rng: np.random.Generator) -> FloatArray:
    turn = rng.normal(0, 5)
    steps = [
        length * np.array([0, np.sin(np.deg2rad(angle + turn)), -np.cos(np.deg2rad(angle + turn))])
        for length, angle in _SACRUM
    ]
    return np.vstack([centres, centres[-1] + np.cumsum(steps, axis=0)])


def _axes(up: FloatArray, tilt_rad: float) -> FloatArray:
    """Directions left, back, up: `up` turned by a tilt about the left axis."""
    up = up / np.linalg.norm(up)
    left = np.cross([0.0, 1.0, 0.0], up)
    left /= np.linalg.norm(left)
    up = np.cos(tilt_rad) * up + np.sin(tilt_rad) * np.cross(left, up)
    return np.array([left, np.cross(up, left), up])
