from __future__ import annotations

import numpy as np
import pytest

from regforest.discs.voting import VoteMap


def test_modes_of_two_clouds_are_their_means_strongest_first() -> None:
    rng = np.random.default_rng(0)
    clouds = [rng.normal([10, 20, 30], 1.0, (60, 3)), rng.normal([10, 20, 65], 1.0, (40, 3))]
    votes = VoteMap(np.concatenate(clouds), np.ones(100), kernel_mm=4.0)
    points, density = votes.modes(5)
    assert len(points) == 2
    np.testing.assert_allclose(points[0], clouds[0].mean(axis=0), atol=0.3)
    np.testing.assert_allclose(points[1], clouds[1].mean(axis=0), atol=0.3)
    assert density[0] > density[1]


def test_weights_count_as_votes() -> None:
    votes = VoteMap(np.array([[0.0, 0, 0], [50, 0, 0]]), np.array([1.0, 3.0]), 2.0)
    points, density = votes.modes(1)
    np.testing.assert_allclose(points, [[50, 0, 0]], atol=1e-6)
    assert density[0] == pytest.approx(3.0)


def test_density_is_a_sum_of_gaussians() -> None:
    votes = VoteMap(np.array([[0.0, 0, 0], [3, 0, 0]]), np.array([1.0, 2.0]), 3.0)
    assert votes.density(np.array([[0.0, 0, 0]]))[0] == pytest.approx(1 + 2 * np.exp(-0.5))


def test_no_votes_give_no_modes() -> None:
    points, density = VoteMap(np.empty((0, 3)), np.empty(0), 3.0).modes(4)
    assert points.shape == (0, 3)
    assert len(density) == 0
