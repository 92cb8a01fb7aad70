import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.spatial import Grid
from regforest.spatial.resampling import resample_labels, resample_linear
from tests import reference

steps = st.floats(0.3, 3.5)
shapes = st.tuples(*[st.integers(1, 6)] * 3)


@given(shapes, shapes, st.tuples(steps, steps, steps), st.tuples(*[st.floats(-4, 4)] * 3), st.integers(0, 99))
def test_resampling_equals_its_slow_twin(shape, target_shape, spacing, origin, seed):
    voxels = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    source, target = Grid.from_parts(shape), Grid.from_parts(target_shape, spacing, origin)
    expected = reference.resample_linear(voxels, source.matrix, target.matrix, target_shape)
    np.testing.assert_allclose(resample_linear(voxels, source, target), expected, atol=1e-5)


@pytest.mark.parametrize("spacing", [0.4, 1.0, 1.7, 3.0])
def test_a_constant_stays_constant_also_beyond_the_border(spacing):
    voxels = np.full((5, 6, 7), 42, np.int16)
    target = Grid.from_parts((9, 9, 9), (spacing,) * 3, (-3, -3, -3))
    np.testing.assert_allclose(resample_linear(voxels, Grid.from_parts((5, 6, 7)), target), 42, rtol=1e-6)


def test_halfway_between_two_voxels_is_their_mean():
    voxels = np.array([[[10.0, 20.0]]], np.float32)
    found = resample_linear(voxels, Grid.from_parts((1, 1, 2)), Grid.from_parts((1, 1, 1), origin_mm=(0.5, 0, 0)))
    assert found.item() == 15.0


def test_shrinking_averages_instead_of_picking():
    stripes = np.zeros((1, 1, 40), np.float32)
    stripes[..., ::2] = 100
    found = resample_linear(stripes, Grid.from_parts((1, 1, 40)), Grid.from_parts((1, 1, 9), (4, 1, 1), (4, 0, 0)))
    np.testing.assert_allclose(found, 50, atol=1e-4)


def test_an_oblique_target_agrees_with_interpolation_done_twice_by_hand():
    # a quarter turn about z: the values are those of the voxels, only in another order
    voxels = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    quarter = Grid.from_parts((2, 4, 3), origin_mm=(3, 0, 0), direction=[[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    found = resample_linear(voxels, Grid.from_parts((2, 3, 4)), quarter)
    np.testing.assert_allclose(found, voxels.transpose(0, 2, 1)[:, ::-1], atol=1e-4)


def test_labels_take_the_nearest_value_and_0_outside():
    labels = np.array([[[1, 2, 3]]], np.int32)
    target = Grid.from_parts((1, 1, 6), origin_mm=(-1, 0, 0), spacing_mm=(0.9, 1, 1))
    found = resample_labels(labels, Grid.from_parts((1, 1, 3)), target)  # at -1, -0.1, 0.8, 1.7, 2.6, 3.5
    np.testing.assert_array_equal(found, [[[0, 1, 2, 3, 0, 0]]])
    assert found.dtype == np.int32
