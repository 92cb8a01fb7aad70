"""Spines drawn from the statistics of real ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from regforest.datasets.phantoms.anatomy import lag_correlation, sample_spine, step_statistics
from regforest.errors import DataError, LevelError
from regforest.spatial import PAPER_LEVELS


@pytest.fixture(scope="module")
def steps() -> np.ndarray:
    """Steps of 1000 spines, shape (1000, 25, 3)."""
    rng = np.random.default_rng(7)
    return np.diff(np.array([list(sample_spine(rng).values()) for _ in range(1000)]), axis=1)


def test_the_tables_hold_what_was_measured() -> None:
    step = step_statistics("A")["T12", "L1"]
    assert step.n == 153
    np.testing.assert_array_equal(step.mean_mm, [1.52, -7.07, -30.72])
    np.testing.assert_array_equal(
        step.covariance_mm2, [[18.55, 3.92, 2.82], [3.92, 13.53, 1.33], [2.82, 1.33, 15.04]]
    )
    np.testing.assert_array_equal(lag_correlation("B")[1], [0.37, 0.81, 0.70])


def test_steps_have_the_mean_and_spread_of_the_table(steps: np.ndarray) -> None:
    table = [step_statistics("A")[pair] for pair in itertools.pairwise(PAPER_LEVELS)]
    np.testing.assert_allclose(steps.mean(axis=0), [step.mean_mm for step in table], atol=0.6)
    ratio = steps.std(axis=0) / np.sqrt([np.diag(step.covariance_mm2) for step in table])
    assert ratio.min() > 0.85  # lengths are limited, so the tails are a little short
    assert ratio.max() < 1.1


def test_neighbouring_steps_go_together_as_in_real_spines(steps: np.ndarray) -> None:
    z = (steps - steps.mean(axis=0)) / steps.std(axis=0)
    for lag, expected in enumerate([(0.62, 0.60, 0.41), (0.38, 0.42, 0.38), (0.16, 0.19, 0.31)], start=1):
        np.testing.assert_allclose((z[:, lag:] * z[:, :-lag]).mean(axis=(0, 1)), expected, atol=0.06)


def test_no_spread_gives_the_mean_spine() -> None:
    spine = sample_spine(np.random.default_rng(0), ["L1", "L2", "L3"], spread=0, scale=2)
    np.testing.assert_allclose(spine["L3"], 2 * np.array([1.36 + 0.47, -7.95 - 6.66, -32.42 - 33.91]))


def test_transitional_vertebrae_take_the_place_between_their_neighbours() -> None:
    spine = sample_spine(np.random.default_rng(0), ["T11", "T12", "T13", "L1"], spread=0)
    assert list(spine) == ["T11", "T12", "T13", "L1"]
    np.testing.assert_allclose(spine["T13"] - spine["T12"], spine["T12"] - spine["T11"])
    lower = sample_spine(np.random.default_rng(0), ["L4", "L5", "L6", "S1", "S2"], spread=0)
    np.testing.assert_allclose(lower["S1"] - lower["L6"], [-0.71, 21.48, -26.81])


def test_one_seed_gives_one_spine_and_never_a_collapsed_one(steps: np.ndarray) -> None:
    first, second = (sample_spine(np.random.default_rng(3))["S2"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.linalg.norm(steps, axis=2).min() > 12


def test_gaps_unknown_levels_and_sources_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="not neighbours"):
        sample_spine(rng, ["L1", "L3"])
    with pytest.raises(LevelError):
        sample_spine(rng, ["L1", "L7"])
    with pytest.raises(DataError, match="'A' or 'B'"):
        sample_spine(rng, source="C")
