import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.vertebrae.hidden_markov import best_path, path_weight, state_probabilities
from tests.reference import markov_paths


def model(seed, variables=4, states=3):
    rng = np.random.default_rng(seed)
    begin, emission = rng.normal(0, 2, states), rng.normal(0, 2, (variables, states))
    step = rng.normal(0, 2, (variables - 1, states, states))
    step[rng.random(step.shape) < 0.2] = -np.inf
    step[:, 0, 0] = 0.0  # some path is always possible
    return begin, step, emission


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_best_path_and_its_weight_are_those_of_an_exhaustive_search(seed, variables):
    begin, step, emission = model(seed, variables)
    weights = markov_paths(begin, step, emission)
    path = best_path(begin, step, emission)
    assert weights[tuple(path)] == pytest.approx(max(weights.values()))
    assert path_weight(begin, step, emission, path) == pytest.approx(weights[tuple(path)])


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_probabilities_are_sums_over_all_paths(seed, variables):
    begin, step, emission = model(seed, variables)
    weights = markov_paths(begin, step, emission)
    expected = np.zeros(emission.shape)
    for path, weight in weights.items():
        expected[np.arange(variables), path] += np.exp(weight)
    found = state_probabilities(begin, step, emission)
    np.testing.assert_allclose(found, expected / np.exp(list(weights.values())).sum(), atol=1e-12)


def test_what_is_ruled_out_is_never_taken():
    step = np.full((1, 2, 2), -np.inf)
    step[0, 1, 0] = 0.0
    begin, emission = np.array([50.0, 0.0]), np.zeros((2, 2))
    assert best_path(begin, step, emission).tolist() == [1, 0]
    np.testing.assert_allclose(state_probabilities(begin, step, emission), [[0, 1], [1, 0]])
