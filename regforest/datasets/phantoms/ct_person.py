"""The person that a CT phantom shows: the spine with its frames and diseases, size, age, fat.

Tables are given at nominal levels: 0 is C1, 6 C7, 7 T1, 18 T12, 19 L1, 24 S1, 25 S2; smaller numbers reach into the
head and greater ones into the pelvis.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regforest.datasets.phantoms.anatomy import sample_spine
from regforest.spatial import PAPER_LEVELS, sort_levels

__all__ = ["Person", "Traits", "coronal_tilt_deg", "draw_person"]

FloatArray = NDArray[np.float64]

_S1 = 24.0
# Vertebral bodies of an adult, C1 .. S2: width (x) and depth (y) in mm, share of the step below that is disc.
# fmt: off
_WIDTH_MM = (
    18, 17, 20, 20.5, 21.5, 23, 26, 29, 28, 27, 26.5, 27, 28, 29.5, 31, 32.5, 34.5, 37.5, 40, 42, 44, 46.5, 48.5, 51,
    51, 38,
)
_DEPTH_MM = (
    14, 15, 16, 16.5, 16.5, 17, 17.5, 17.5, 18.5, 20, 22, 24, 26, 28, 29.5, 30.5, 31, 31.5, 32, 32.5, 33.5, 34, 34.5,
    34.5, 32, 22,
)
_DISC_SHARE = (
    0.0, 0.27, 0.27, 0.27, 0.27, 0.27, 0.25, 0.2, 0.18, 0.17, 0.16, 0.16, 0.17, 0.18, 0.18, 0.19, 0.2, 0.21, 0.22,
    0.24, 0.26, 0.28, 0.3, 0.3, 0.08, 0.06,
)
# fmt: on


@dataclass(frozen=True)
class Traits:
    """What is decided about a person before the anatomy is drawn.

    Attributes
    ----------
    variant : {"", "T13", "L6"}
        Additional vertebra.
    cobb_deg : float
        Angle of the scoliosis wanted; 0 for a straight spine.
    apex : float
        Nominal level of the apex of the curve.
    kyphosis_deg : float
        Additional thoracic kyphosis.
    fractures : mapping of str to float
        Level -> share of height lost in front.
    """

    variant: str = ""
    cobb_deg: float = 0.0
    apex: float = 16.0
    kyphosis_deg: float = 0.0
    fractures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Person:
    """One person in his own LPS frame: the body centre of L1 near the origin.

    Attributes
    ----------
    levels : tuple of str
        Vertebrae, cranial to caudal, S1 and S2 included.
    nominal : ndarray, shape (n,)
        Nominal level of each.
    centres : ndarray, shape (n, 3)
        Vertebral body centres, LPS mm.
    axes : ndarray, shape (n, 3, 3)
        Columns: the vertebra's left, posterior, superior direction.
    half_mm : ndarray, shape (n, 3)
        Half width, depth and height of the vertebral body.
    disc_mm : ndarray, shape (n,)
        Height of the disc below.
    traits : Traits
        Diseases and variants.
    size, girth, fat, age, trabecular_hu, hollow : float
        Scale of the skeleton, of the trunk's width, of the fat layers; years; density of vertebral bodies; how hollow
        their endplates are, as a share of the usual.
    """

    levels: tuple[str, ...]
    nominal: FloatArray
    centres: FloatArray
    axes: FloatArray
    half_mm: FloatArray
    disc_mm: FloatArray
    traits: Traits
    size: float
    girth: float
    fat: float
    age: float
    trabecular_hu: float
    hollow: float

    def index(self, name: str) -> int:
        """Row of a level."""
        return self.levels.index(name)

    def height_of(self, nominal: ArrayLike) -> FloatArray:
        """Heights (z, mm) of nominal levels, head and pelvis included."""
        outside = np.clip(nominal, 0, self.nominal[-1])
        inside = np.interp(outside, self.nominal, self.centres[:, 2])
        return np.asarray(inside - 19.0 * self.size * (np.asarray(nominal) - outside))

    def nominal_of(self, height_mm: FloatArray) -> FloatArray:
        """Nominal level at given z in mm; continues beyond C1 and S2."""
        z = self.centres[::-1, 2]
        inside = np.interp(height_mm, z, self.nominal[::-1])
        beyond = (np.clip(height_mm, z[0], z[-1]) - height_mm) / (19.0 * self.size)
        return np.asarray(inside + beyond)

    def path(self, height_mm: FloatArray, smooth: bool = False) -> tuple[FloatArray, FloatArray]:
        """Course (x and y, mm) of the spine at given z; `smooth`: of the trunk, which follows the spine less."""
        z, x, y = self.centres[::-1, 2], self.centres[::-1, 0], self.centres[::-1, 1]
        if smooth:
            x = 0.6 * np.convolve(np.pad(x, 3, mode="edge"), np.full(7, 1 / 7), mode="valid")
        return np.interp(height_mm, z, x), np.interp(height_mm, z, y)


def draw_person(rng: np.random.Generator, traits: Traits) -> Person:
    """Draw a person with given traits."""
    levels = tuple(sort_levels([*PAPER_LEVELS, *([traits.variant] if traits.variant else [])]))
    nominal = _nominal(levels)
    size = float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.12))
    age = float(rng.uniform(18, 88))
    steps = _plain_steps(rng, levels, size)
    steps = _curve(steps, nominal, traits)
    for name, loss in traits.fractures.items():
        i = levels.index(name)
        steps[[i - 1, i]] *= 1 - 0.25 * loss
    steps = _lying(rng, steps, levels.index("T1"), levels.index("S1"))
    centres = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    centres -= centres[levels.index("L1")]
    half, disc = _sizes(rng, levels, nominal, steps, size, age)
    girth = size * float(np.clip(rng.normal(1.0, 0.05), 0.9, 1.12))
    fat = float(np.clip(rng.lognormal(0.0, 0.5), 0.3, 2.6))
    density = float(np.clip(245 - 1.9 * age + rng.normal(0, 28), 40, 290))
    frames = _frames(steps, nominal, traits)
    hollow = float(rng.uniform(0.2, 1.1))
    return Person(levels, nominal, centres, frames, half, disc, traits, size, girth, fat, age, density, hollow)


def coronal_tilt_deg(steps: FloatArray) -> FloatArray:
    """Angle of smoothed steps (n, 3) to the vertical in the frontal plane, degrees; its range is the Cobb angle."""
    smooth = _smoothed(steps)
    return np.asarray(np.degrees(np.arctan2(smooth[:, 0], -smooth[:, 2])))


def _nominal(levels: tuple[str, ...]) -> FloatArray:
    """Nominal level of each: an additional vertebra takes room from its region."""
    thorax_end = levels.index("L1")
    last = len(levels) - 1
    upper = np.interp(np.arange(thorax_end), [0, 7, thorax_end - 1], [0, 7, 18])
    lumbar = np.interp(np.arange(thorax_end, last + 1), [thorax_end, last - 1, last], [19, _S1, _S1 + 1])
    return np.concatenate([upper, lumbar])


def _smoothed(steps: FloatArray) -> FloatArray:
    padded = np.pad(steps, ((1, 1), (0, 0)), mode="edge")
    return np.asarray((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4)


def _plain_steps(rng: np.random.Generator, levels: tuple[str, ...], size: float) -> FloatArray:
    """Draw the steps of a spine without scoliosis: the statistics' sideways spread is that of patients with it."""
    centres = sample_spine(rng, levels, spread=(0.45, 0.8, 0.55), scale=size)
    steps = np.diff(np.array(list(centres.values())), axis=0)
    tilt = np.ptp(coronal_tilt_deg(steps))
    steps[:, 0] *= min(1.0, 11.0 / max(float(tilt), 1e-6))
    return np.asarray(steps)


def _curve(steps: FloatArray, nominal: FloatArray, traits: Traits) -> FloatArray:
    """Bend the spine sideways to the wanted Cobb angle, and forward in the thorax."""
    middle = (nominal[1:] + nominal[:-1]) / 2
    bent = steps.copy()
    bent[:, 1] -= steps[:, 2] * np.tan(np.radians(traits.kyphosis_deg * _kyphosis_profile(middle)))
    if traits.cobb_deg:
        profile = _bend_profile(middle, traits.apex)
        low, high = 0.0, 3.0
        for _ in range(30):  # the plain spine leans too: find the strength that gives the wanted angle
            strength = (low + high) / 2
            bent[:, 0] = steps[:, 0] - steps[:, 2] * np.tan(np.radians(strength * traits.cobb_deg * profile))
            if np.ptp(coronal_tilt_deg(bent)) < abs(traits.cobb_deg):
                low = strength
            else:
                high = strength
    return bent


def _lying(rng: np.random.Generator, steps: FloatArray, top: int, bottom: int) -> FloatArray:
    """Turn the spine so that the trunk, from T1 to S1, lies along the table as people do."""
    lean = steps[top:bottom].sum(axis=0)
    wanted = np.array([rng.normal(0, 6), rng.normal(15, 10)])
    turned = steps.copy()
    for axis in (0, 1):
        angle = np.arctan2(lean[axis], -lean[2]) - np.arctan2(wanted[axis], -lean[2])
        c, s = np.cos(angle), np.sin(angle)
        turned[:, axis], turned[:, 2] = c * turned[:, axis] + s * turned[:, 2], c * turned[:, 2] - s * turned[:, axis]
    return turned


def _bend_profile(nominal: FloatArray, apex: float) -> FloatArray:
    """Tilt along a scoliosis, from -1/2 above the apex to +1/2 below it and back to none."""
    away = np.clip((nominal - apex) / 3.5, -2, 2)
    return np.asarray(0.5 * np.sin(np.pi / 2 * away))


def _kyphosis_profile(nominal: FloatArray) -> FloatArray:
    away = np.clip((nominal - 13.5) / 4.5, -2, 2)
    return np.asarray(-0.5 * np.sin(np.pi / 2 * away))


def _frames(steps: FloatArray, nominal: FloatArray, traits: Traits) -> FloatArray:
    """Left, posterior, superior direction of each vertebra from the run of its neighbours."""
    padded = np.pad(_smoothed(steps), ((1, 1), (0, 0)), mode="edge")
    up = -(padded[:-1] + padded[1:])
    up[-2:] = -steps[-1] * (0.3, 1, 1) - steps[-2] * (0.2, 0, 0)  # the sacrum is one bone
    up[0] = up[1] = -(steps[0] + steps[1] + steps[2])  # and the dens stands in the ring of C1
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    twist = np.radians(0.35 * traits.cobb_deg) * np.exp(-(((nominal - traits.apex) / 4.0) ** 2))
    left = np.stack([np.cos(twist), np.sin(twist), np.zeros(len(up))], axis=1)
    left -= (left * up).sum(axis=1, keepdims=True) * up
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    return np.stack([left, np.cross(up, left), up], axis=2)


def _sizes(
    rng: np.random.Generator,
    levels: tuple[str, ...],
    nominal: FloatArray,
    steps: FloatArray,
    size: float,
    age: float,
) -> tuple[FloatArray, FloatArray]:
    places = np.arange(len(_WIDTH_MM))
    build = size * np.clip(rng.normal(1, 0.04, 2), 0.9, 1.1)
    width = np.interp(nominal, places, _WIDTH_MM) * build[0]
    depth = np.interp(nominal, places, _DEPTH_MM) * build[1]
    length = np.linalg.norm(steps, axis=1)
    # discs get thinner with age, some more than others
    left = np.clip(1.05 - 0.006 * (age - 20) + rng.normal(0, 0.12) + rng.normal(0, 0.13, len(levels)), 0.25, 1.2)
    share = np.interp(nominal, places, _DISC_SHARE) * left
    disc = share * np.append(length, length[-1])
    bone = length - disc[:-1]  # what a step holds of the two bodies
    height = np.array([(a + b) / 2 for a, b in itertools.pairwise(np.concatenate([bone[:1], bone, bone[-1:]]))])
    height[1] = 0.9 * bone[1]  # C2 below the dens
    return np.stack([width, depth, height], axis=1) / 2, disc
