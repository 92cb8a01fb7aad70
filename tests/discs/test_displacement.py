from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regforest.discs.displacement import (
    Links,
    estimate_displacements,
    neighbour_weights,
    solve_joint,
)
from regforest.discs.settings import JointSettings
from tests.reference import joint_estimate_dense

pytestmark = pytest.mark.without_jit


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 25), st.integers(1, 3))
def test_the_sparse_solve_equals_a_dense_least_squares_solution(seed: int, count: int, dims: int) -> None:
    rng = np.random.default_rng(seed)
    data, confidence = rng.normal(size=(count, dims)), rng.uniform(0.1, 2, count)
    first = rng.integers(0, count, 3 * count)
    second = (first + rng.integers(1, count, 3 * count)) % count
    weight, offset = rng.uniform(0, 3, 3 * count), rng.normal(size=(3 * count, dims))
    links = [Links(first, second, weight, offset), Links(second[:2], first[:2], weight[:2])]
    expected = joint_estimate_dense(data, confidence, [(k.first, k.second, k.weight, k.offset) for k in links])
    np.testing.assert_allclose(solve_joint(data, confidence, links, tolerance=1e-10), expected, atol=1e-6)


def test_nodes_without_confidence_are_filled_in_by_their_links() -> None:
    links = [Links(np.array([0, 1]), np.array([1, 2]), np.array([1.0, 3.0]))]
    solved = solve_joint(np.array([[0.0], [50.0], [4.0]]), np.array([1e4, 0.0, 1e4]), links)
    assert solved[1, 0] == pytest.approx(3.0, abs=2e-3)  # (1 * 0 + 3 * 4) / 4


def test_a_lone_node_keeps_its_data() -> None:
    assert solve_joint(np.array([[7.0]]), np.array([0.5]), [])[0, 0] == pytest.approx(7.0)


def test_neighbour_weights_sum_to_one_and_fall_with_distance() -> None:
    weights = neighbour_weights(np.array([[0.0, 1.0, 4.0], [2.0, 2.0, 2.0]], np.float32))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert weights[0, 0] > weights[0, 1] > weights[0, 2]
    np.testing.assert_allclose(weights[1], 1 / 3)


def test_neighbours_that_were_not_found_have_no_weight() -> None:
    some, none = neighbour_weights(np.array([[1.0, 2.0, np.inf, np.inf], [np.inf] * 4], np.float32))
    np.testing.assert_allclose(some, [*neighbour_weights(np.array([[1.0, 2.0]], np.float32))[0], 0, 0])
    assert (none == 0).all()


def _pattern(noise_mm: float) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 40, (150, 3))
    centre = np.array([20.0, 15.0, 25.0])
    offsets = (centre - points)[:, None] + rng.normal(0, noise_mm, (150, 6, 3))
    return points, offsets, centre, rng.normal(size=(150, 4)).astype(np.float32)


def test_perfect_training_outputs_give_the_perfect_displacement() -> None:
    points, offsets, centre, features = _pattern(0.0)
    joint = JointSettings(6, 1.0, 0.0, 0.5, 10.0)
    away, presence = estimate_displacements(points, features, offsets, np.full((150, 6), 1 / 6), joint)
    np.testing.assert_allclose(points + away, np.broadcast_to(centre, points.shape), atol=1e-3)
    np.testing.assert_allclose(presence, 1.0)


def test_geometry_makes_noisy_outputs_agree() -> None:
    points, offsets, centre, features = _pattern(6.0)
    weights = np.full((150, 6), 1 / 6)

    def spread(b: float) -> float:
        away, _ = estimate_displacements(points, features, offsets, weights, JointSettings(6, 1.0, 0.0, b, 10.0))
        return float(np.linalg.norm(points + away - centre, axis=1).mean())

    assert spread(1.0) < 0.6 * spread(0.0)


def test_votes_for_two_levels_are_not_averaged_between_them() -> None:
    offsets = np.zeros((1, 5, 3))
    offsets[0, 3:, 2] = 34.0
    plain = JointSettings(5, 1.0, 0.0, 0.0, 10.0)
    away, presence = estimate_displacements(
        np.zeros((1, 3)), np.zeros((1, 2), np.float32), offsets, np.full((1, 5), 0.2), plain
    )
    np.testing.assert_allclose(away[0], 0.0, atol=0.1)
    assert presence[0] == pytest.approx(0.6, abs=0.01)


def test_patches_without_a_neighbour_in_reach_do_not_vote() -> None:
    away, presence = estimate_displacements(
        np.zeros((2, 3)), np.zeros((2, 2), np.float32), np.zeros((2, 3, 3)), np.zeros((2, 3)), JointSettings()
    )
    assert np.isnan(away).all()
    assert (presence == 0).all()
