import numpy as np
import pytest

from regforest.features import BoxFeatures
from regforest.forest import Forest, ForestRegressor
from regforest.spatial import PAPER_LEVELS, Grid, Landmarks, Volume
from regforest.vertebrae.chain_prior import default_chain_prior
from regforest.vertebrae.regression_votes import (
    Votes,
    cast_votes,
    completed_spine,
    grow_vote_forest,
    with_leaf_votes,
)

PRIOR = default_chain_prior()
COUNT = len(PAPER_LEVELS)


def mean_spine(scale=1.0):
    return scale * np.vstack([np.zeros(3), np.cumsum(PRIOR.step_mean_mm[: COUNT - 1], axis=0)])


def test_annotated_centres_stay_and_the_rest_follows_the_mean_spine_at_the_person_s_size():
    truth = mean_spine(1.1) + [3, -7, 400]
    spine = Landmarks({name: truth[PAPER_LEVELS.index(name)] for name in ("T11", "T12", "L1", "L4")})
    centres, annotated = completed_spine(spine, PRIOR)
    np.testing.assert_allclose(centres, truth, atol=1e-9)
    assert [PAPER_LEVELS[i] for i in np.flatnonzero(annotated)] == ["T11", "T12", "L1", "L4"]


def test_a_gap_is_filled_in_proportion_and_the_ends_move_with_the_last_centre():
    truth = mean_spine()
    moved = truth[PAPER_LEVELS.index("L3")] + [10, 0, 0]
    centres, _ = completed_spine(Landmarks({"L1": truth[PAPER_LEVELS.index("L1")], "L3": moved}), PRIOR)
    aside = (centres - truth)[:, 0]
    level = PAPER_LEVELS.index
    assert aside[level("L2")] == pytest.approx(5, abs=1)
    assert aside[level("S2")] > 5
    assert abs(aside[level("C1")]) < 5


def test_one_vertebra_is_enough_and_transitional_ones_do_not_count():
    place = np.array([5.0, 6.0, 7.0])
    centres, annotated = completed_spine(Landmarks({"T7": place, "T13": (0, 0, -190), "L6": (0, 0, -400)}), PRIOR)
    assert annotated.sum() == 1
    np.testing.assert_allclose(centres - centres[0], mean_spine(), atol=1e-9)
    np.testing.assert_allclose(centres[PAPER_LEVELS.index("T7")], place)


def stump(values):
    """One tree that sends values above 0 right."""
    return Forest(
        roots=np.array([0], np.int32), feature=np.array([0, -1, -1], np.int32), threshold=np.zeros(3, np.float32),
        left=np.array([1, -1, -1], np.int32), right=np.array([2, -1, -1], np.int32),
        leaf=np.array([-1, 0, 1], np.int32), values=np.asarray(values, np.float32), n_features=1,
    )  # fmt: skip


def test_a_leaf_holds_the_mean_of_what_was_annotated_and_its_weight_falls_with_the_spread():
    rows = np.array([[-1], [-1], [-1], [1], [1]], np.float32)
    moved = np.zeros((5, COUNT, 3), np.float32)
    moved[:3, 0] = [[0, 0, 10], [0, 0, 14], [0, 0, 500]]  # the last one is filled in
    moved[3:, 0] = [[0, 0, -60], [0, 0, 60]]
    annotated = np.ones((5, COUNT), bool)
    annotated[2, 0] = False
    values = with_leaf_votes(stump(np.zeros((2, 1))), rows, moved, annotated, sharpness=3.0).values
    assert values.shape == (2, 4 * COUNT)
    weight = np.array([1, 1, 0.1])
    mean = (weight @ [10, 14, 500]) / weight.sum()
    spread = (weight @ (np.array([10, 14, 500]) - mean) ** 2) / weight.sum() / 3 + 16
    assert values[0, 0] == pytest.approx((16 / spread) ** 1.5, rel=1e-4)
    assert values[0, COUNT + 2] / values[0, 0] == pytest.approx(mean, rel=1e-5)
    assert values[1, COUNT + 2] == pytest.approx(0, abs=1e-6)
    assert values[1, 0] == pytest.approx((16 / (3600 / 3 + 16)) ** 1.5, rel=1e-5)
    assert values[0, 1] == pytest.approx(1)


def test_the_trees_split_where_displacements_change():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 5)).astype(np.float32)
    moved = np.where(rows[:, 3] > 0.2, 30, -30)[:, None, None] + rng.normal(0, 1, (300, COUNT, 3))
    model = ForestRegressor(3, max_depth=1, max_features=None, bootstrap=False, random_state=0)
    forest = grow_vote_forest(rows, moved.astype(np.float32), model)
    assert set(forest.used_features) == {3}


@pytest.mark.parametrize("degrees", [0, 20])
def test_votes_are_displacements_along_the_axes_of_the_image(degrees):
    a = np.radians(degrees)
    turned = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    grid = Grid.from_parts((5, 4, 7), (3, 3, 3), (10, 20, 30), turned)
    boxes = BoxFeatures(np.zeros((1, 2, 3)), np.full((1, 2, 3), 3.0), [[0, -1]])
    values = np.zeros((2, 4 * COUNT))
    values[:, :COUNT] = 0.25
    values[:, COUNT:] = 0.25 * np.tile([1, 2, -3], COUNT)
    votes = cast_votes(stump(values), boxes, Volume(np.zeros(grid.shape_zyx, np.int16), grid), stride=2, kept=99)
    assert votes.points_lps_mm.shape == (COUNT, 3 * 2 * 4, 3)
    np.testing.assert_allclose(votes.weights.sum(axis=1), 1)
    first, last = grid.index_to_lps([[0, 0, 0], [6, 2, 4]])
    np.testing.assert_allclose(votes.points_lps_mm[5, 0], first + turned @ [1, 2, -3], atol=1e-4)
    np.testing.assert_allclose(votes.points_lps_mm[5, -1], last + turned @ [1, 2, -3], atol=1e-4)


def test_only_the_surest_votes_for_each_vertebra_are_kept():
    grid = Grid.from_parts((3, 3, 3), (3, 3, 3))
    boxes = BoxFeatures(np.zeros((1, 2, 3)), np.full((1, 2, 3), 3.0), [[0, -1]])
    values = np.zeros((2, 4 * COUNT))
    values[0, :COUNT], values[1, :COUNT] = 0.1, 0.4
    image = np.zeros(grid.shape_zyx, np.int16)
    image[1, 2, 0] = image[2, 2, 2] = 50
    votes = cast_votes(stump(values), boxes, Volume(image, grid), stride=1, kept=3)
    np.testing.assert_allclose(votes.weights[7], np.array([0.4, 0.4, 0.1]) / 0.9)
    np.testing.assert_allclose(votes.points_lps_mm[7], [[0, 6, 3], [6, 6, 6], [0, 0, 0]])


def some_votes():
    rng = np.random.default_rng(2)
    points = rng.normal(0, 4, (COUNT, 200, 3)) + [100, -50, 1000]
    points[:, 150:] += [90, 0, 0]  # a quarter errs
    weights = rng.random((COUNT, 200))
    return Votes(points, weights / weights.sum(axis=1, keepdims=True))


def test_the_density_is_a_sum_of_gaussians():
    votes, places = some_votes(), np.array([[100.0, -50, 1000], [120.0, -45, 990]])
    by_hand = np.zeros((2, COUNT))
    for n, v in np.ndindex(2, COUNT):
        away = ((places[n] - votes.points_lps_mm[v]) ** 2).sum(axis=1)
        by_hand[n, v] = votes.weights[v] @ np.exp(-away / 200) / (2 * np.pi * 100) ** 1.5
    np.testing.assert_allclose(votes.density(places, 10.0), by_hand, rtol=1e-6)


def test_modes_leave_stray_votes_aside():
    np.testing.assert_allclose(some_votes().modes(15.0), np.tile([100, -50, 1000], (COUNT, 1)), atol=2)


def test_the_share_of_chosen_votes_counts_their_weights():
    votes = Votes(np.zeros((1, 3, 3)), np.array([[0.5, 0.3, 0.2]]))
    assert votes.share(np.array([[True, False, True]])) == pytest.approx([0.7])
