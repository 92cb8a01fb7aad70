import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.vertebrae.mean_shift import find_modes, kernel_mean, shift_to_modes, strongest_apart
from tests import reference
from tests.reference import mean_shift_mode

pytestmark = pytest.mark.without_jit


def blob(shape, centre, sigma, height=1.0):
    z, y, x = np.indices(shape)
    d2 = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
    return (height * np.exp(-d2 / (2 * sigma**2))).astype(np.float32)


@given(st.tuples(*[st.floats(8, 15)] * 3))
def test_the_mode_of_a_blob_is_its_centre_between_the_voxels(centre):
    modes, _ = find_modes(blob((24, 24, 24), centre, 2.5), 2.0)
    assert len(modes) == 1
    np.testing.assert_allclose(modes[0], centre, atol=0.1)


def test_two_blobs_give_two_modes_the_stronger_first():
    weights = blob((20, 20, 40), (10, 10, 8), 2, 0.6) + blob((20, 20, 40), (9, 10, 30), 2, 1.0)
    modes, density = find_modes(weights, 2.0)
    np.testing.assert_allclose(modes, [[9, 10, 30], [10, 10, 8]], atol=0.1)
    assert density[0] > density[1]


def test_an_empty_map_has_no_mode():
    modes, density = find_modes(np.zeros((5, 6, 7), np.float32), 2.0)
    assert modes.shape == (0, 3)
    assert density.shape == (0,)


def test_a_window_around_the_weights_changes_nothing():
    weights = blob((16, 16, 16), (8.3, 7.6, 8.1), 1.5)
    padded = np.pad(weights, 20)
    np.testing.assert_allclose(find_modes(padded, 1.5)[0] - 20, find_modes(weights, 1.5)[0], atol=1e-6)


def test_mean_shift_equals_its_slow_twin():
    noise = np.random.default_rng(3).random((9, 10, 11)).astype(np.float32)
    weights = blob((9, 10, 11), (5, 5.5, 4), 1.2) * (1 + noise)
    start = np.array([[4.0, 5.0, 5.0]])
    modes, density = shift_to_modes(weights, start, np.array([1.5]))
    slow_mode, slow_density = mean_shift_mode(weights, start[0], 1.5)
    np.testing.assert_allclose(modes[0], slow_mode, atol=0.02)
    assert density[0] == pytest.approx(slow_density, rel=1e-3)


def test_the_kernel_mean_of_a_constant_map_is_the_constant_inside():
    maps = np.full((2, 21, 21, 21), 0.25, np.float32)
    means = kernel_mean(maps, np.array([[10.0, 10.0, 10.0], [10.2, 9.9, 10.0]]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(means, 0.25, rtol=1e-6)


@given(st.tuples(*[st.floats(-1, 6)] * 3), st.floats(0.6, 2.0))
def test_the_kernel_mean_equals_its_slow_twin_at_the_border_too(place, sigma):
    maps = np.random.default_rng(5).random((2, 6, 7, 8)).astype(np.float32)
    means = kernel_mean(maps, np.array([place]), np.array([sigma, 1.2]))
    slow = [reference.kernel_mean(maps[0], place, sigma), reference.kernel_mean(maps[1], place, 1.2)]
    np.testing.assert_allclose(means[0], slow, rtol=1e-9, atol=1e-12)


def test_the_strongest_of_each_cluster_is_kept():
    points = np.array([[0.0, 0, 0], [0.5, 0, 0], [5, 0, 0]])
    assert strongest_apart(points, np.array([1.0, 2.0, 0.5]), np.ones(3)).tolist() == [1, 2]
