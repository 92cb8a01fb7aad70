"""The chain on candidates made by hand: votes that are roughly right, and looks that know a body from the rest."""

import numpy as np
import pytest

from regforest.spatial import PAPER_LEVELS, Grid
from regforest.vertebrae.chain_prior import default_chain_prior
from regforest.vertebrae.regression_votes import Votes
from regforest.vertebrae.vote_chain import (
    ChainSettings,
    neighbourhood,
    read_chain,
    spine_tube,
    strongest_places,
)

PRIOR = default_chain_prior()
LEVEL = PAPER_LEVELS.index
SPINE = np.vstack([np.zeros(3), np.cumsum(PRIOR.step_mean_mm[:25], axis=0)])


def field_of_view(upper, lower):
    """A grid that shows the spine from one vertebra to another, and the rows of these vertebrae."""
    first, last = LEVEL(upper), LEVEL(lower)
    top, bottom = SPINE[first, 2] + 12, SPINE[last, 2] - 12
    shape = (int((top - bottom) / 3) + 1, 60, 60)
    return Grid.from_parts(shape, (3, 3, 3), (SPINE[first, 0] - 90, SPINE[first, 1] - 90, bottom)), range(
        first, last + 1
    )


def votes_around(places, error_mm=(0, 0, 0), sd_mm=8.0):
    rng = np.random.default_rng(1)
    points = places[:, None] + rng.normal(0, sd_mm, (len(places), 300, 3)) + error_mm
    return Votes(points, np.full(points.shape[:2], 1 / 300))


def looks_of(points, bodies):
    """Alike for all vertebrae: +8 on a body, -8 elsewhere."""
    near = np.linalg.norm(points[:, None] - SPINE[bodies], axis=2).min(axis=1) < 6
    return np.where(near[:, None], 8.0, -8.0) * np.ones((1, 26))


def read(upper="T8", lower="L3", error_mm=(0, 0, 0), drop=()):
    grid, shown = field_of_view(upper, lower)
    rng = np.random.default_rng(0)
    kept = [v for v in shown if PAPER_LEVELS[v] not in drop]
    clutter = grid.index_to_lps(rng.uniform(0, 1, (40, 3)) * grid.size_xyz)
    points = np.concatenate([SPINE[kept] + rng.normal(0, 1, (len(kept), 3)), clutter])
    looks = looks_of(points, list(shown))
    found = read_chain(points, looks, votes_around(SPINE, error_mm), grid, PRIOR, ChainSettings())
    return found, {PAPER_LEVELS[v]: point for v, point in zip(kept, points, strict=False)}


def assert_found(landmarks, expected):
    assert list(landmarks) == list(expected)
    np.testing.assert_allclose(landmarks.points, list(expected.values()))


def test_exactly_the_vertebrae_in_view_are_found():
    found, shown = read()
    assert_found(found.landmarks, shown)
    assert found.landmarks.scores.min() > 0.9
    assert found.shift_probability[0] > 0.9
    assert sum(found.shift_probability.values()) == pytest.approx(1)


@pytest.mark.parametrize(("upper", "lower"), [("C1", "C7"), ("L1", "S2"), ("C1", "S2"), ("L2", "L2")])
def test_any_part_of_the_spine_may_be_in_view(upper, lower):
    found, shown = read(upper, lower)
    assert_found(found.landmarks, shown)


def test_rough_votes_are_settled_by_what_bodies_look_like():
    found, shown = read(error_mm=(6, -6, 9))
    assert_found(found.landmarks, shown)


def test_a_body_that_no_candidate_shows_ends_the_chain_and_the_rest_is_kept():
    found, shown = read("T1", "L5", drop=("T3",))
    below = list(shown)[2:]
    assert_found(found.landmarks.select(lambda name: name in below), {name: shown[name] for name in below})


def test_votes_between_two_levels_leave_the_names_in_doubt():
    half = SPINE[LEVEL("T12")] - SPINE[LEVEL("T11")]
    found, _ = read("T6", "T12", error_mm=half / 2)
    assert max(found.shift_probability.values()) < 0.999


def test_without_a_candidate_nothing_is_found():
    grid, _ = field_of_view("T8", "L3")
    found = read_chain(np.empty((0, 3)), np.empty((0, 26)), votes_around(SPINE), grid, PRIOR, ChainSettings())
    assert len(found.landmarks) == 0


def test_the_tube_holds_every_second_voxel_near_the_line():
    grid = Grid.from_parts((20, 24, 22), (3, 3, 3), (-30, -36, -30))
    rough = np.linspace([-10, 5, 40], [10, -5, -60], 26)
    index = spine_tube(rough, grid, 15.0)
    assert (index % 2 == 0).all()
    every = np.indices(grid.shape_zyx).reshape(3, -1).T
    every = every[(every % 2 == 0).all(axis=1)]
    line = np.linspace(rough[0], rough[-1], 2000)
    away = np.linalg.norm(grid.index_to_lps(every[:, ::-1])[:, None] - line, axis=2).min(axis=1)
    found = set(map(tuple, index))
    assert all(tuple(v) in found for v in every[away < 10])  # the line itself is rounded to a voxel
    assert all(tuple(v) not in found for v in every[away > 21])


def test_a_line_outside_the_image_leaves_no_tube():
    grid = Grid.from_parts((10, 10, 10), (3, 3, 3))
    assert spine_tube(np.full((26, 3), 900.0), grid, 15.0).shape == (0, 3)


def test_the_neighbourhood_stays_inside_the_image_and_names_a_voxel_once():
    grid = Grid.from_parts((4, 4, 4))
    index = neighbourhood(np.array([[0, 0, 0], [0, 0, 1]]), grid)
    assert sorted(map(tuple, index)) == [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1, 2)]


def test_only_the_strongest_of_a_neighbourhood_is_kept():
    grid = Grid.from_parts((9, 9, 9))
    index = np.array([[4, 4, 4], [4, 4, 5], [4, 4, 7], [0, 0, 0]])
    strength = np.array([1.0, 3.0, 2.0, 2.5])
    assert strongest_places(index, strength, grid, 1, 9).tolist() == [1, 3, 2]
    assert strongest_places(index, strength, grid, 2, 9).tolist() == [1, 3]
    assert strongest_places(index, strength, grid, 1, 1).tolist() == [1]
