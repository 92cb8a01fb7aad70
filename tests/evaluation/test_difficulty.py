"""What makes a scan hard, on chains and images whose answer is known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.evaluation import difficulties, lateral_cobb_deg
from regforest.spatial import LEVELS, AnnotatedScan, Grid, Landmarks, Volume

LUMBAR = Landmarks({name: (30.0, 40.0, 150.0 - 20 * i) for i, name in enumerate(LEVELS[16:23])})


def scan(voxels: np.ndarray, landmarks: Landmarks = LUMBAR, spacing_mm: float = 2.0) -> AnnotatedScan:
    grid = Grid(voxels.shape, np.diag([spacing_mm] * 3 + [1.0]))
    return AnnotatedScan("a", "a", {"image": Volume(voxels, grid)}, landmarks)


def water(shape_zyx: tuple[int, int, int] = (80, 40, 40)) -> np.ndarray:
    return np.zeros(shape_zyx, dtype=np.int16)


def test_a_straight_chain_of_seven_in_water_is_not_hard() -> None:
    assert difficulties(scan(water())) == ()


def test_metal_counts_near_the_vertebrae_alone() -> None:
    screw, filling = water(), water()
    screw[60:63, 20:23, 15:18] = 3000  # 27 voxels of 8 mm3 around (32, 42, 122)
    filling[60:63, 20:23, 37:40] = 3000  # 44 mm to the side of every centre
    assert difficulties(scan(screw)) == ("metal",)
    assert difficulties(scan(filling)) == ()


def test_a_clip_is_no_implant() -> None:
    clip = water()
    clip[60, 20, 15:18] = 3000  # 24 mm3
    assert difficulties(scan(clip)) == ()


def test_the_volume_of_metal_is_counted_in_millimetres() -> None:
    screw = water()
    screw[60:63, 20:23, 15:18] = 3000
    assert difficulties(scan(screw, spacing_mm=1.0)) == ()  # 27 mm3 beside the upper bodies


def test_six_levels_are_few_and_seven_are_not() -> None:
    assert difficulties(scan(water(), LUMBAR.select(lambda name: name != LEVELS[16]))) == ("few levels",)


@given(st.floats(1, 60), st.floats(-40, 40))
def test_the_angle_of_a_bend_is_found_whatever_the_tilt_of_the_whole(bend_deg: float, tilt_deg: float) -> None:
    tilts = np.radians(tilt_deg / 2 + np.array([-bend_deg / 2] * 4 + [bend_deg / 2] * 4))
    steps = 25 * np.stack([np.sin(tilts), 0 * tilts, -np.cos(tilts)], axis=1)
    points = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    chain = Landmarks(dict(zip(LEVELS[10:], points, strict=False)))
    assert lateral_cobb_deg(chain) == pytest.approx(bend_deg, abs=1e-6)


def test_kyphosis_is_no_scoliosis() -> None:
    angles = np.linspace(-0.6, 0.6, 9)
    points = np.cumsum(25 * np.stack([0 * angles, np.sin(angles), -np.cos(angles)], axis=1), axis=0)
    assert lateral_cobb_deg(Landmarks(dict(zip(LEVELS[10:], points, strict=False)))) == 0


def test_three_centres_have_no_angle() -> None:
    assert lateral_cobb_deg(Landmarks({"L1": (0, 0, 0), "L2": (20, 0, -30), "L3": (0, 0, -60)})) == 0
