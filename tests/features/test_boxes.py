from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.errors import DataError, ModelError
from regforest.features import BoxFeatures
from tests.reference import box_features

SPACING = (1.5, 2.0, 3.0)  # x y z


def random_case(seed, channels=1, n=30):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 12, 3))
    volumes = list(rng.integers(-2000, 3000, (channels, *shape)).astype(np.int16))
    pool = BoxFeatures.random(n, seed=rng, max_offset_mm=25, size_range_mm=(0.5, 20), channels=channels)
    index = rng.integers(0, shape, (40, 3))
    return volumes, pool, index


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_features_are_the_means_of_slices_of_the_padded_images(seed, channels):
    volumes, pool, index = random_case(seed, channels)
    found = pool.evaluate(volumes, SPACING, index)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, box_features(pool, volumes, SPACING, index), rtol=1e-5, atol=1e-2)


@given(st.integers(0, 10_000), st.integers(1, 2))
def test_gathered_and_dense_values_are_equal_bit_for_bit(seed, channels):
    volumes, pool, index = random_case(seed, channels)
    dense = pool.evaluate_dense(volumes, SPACING)
    assert dense.shape == (len(pool), *volumes[0].shape)
    np.testing.assert_array_equal(pool.evaluate(volumes, SPACING, index), dense[:, *index.T].T)


def test_the_order_of_points_does_not_change_their_values():
    volumes, pool, index = random_case(5)
    order = np.random.default_rng(0).permutation(len(index))
    found = pool.evaluate(volumes, SPACING, index)
    np.testing.assert_array_equal(pool.evaluate(volumes, SPACING, index[order]), found[order])


def test_features_move_with_the_image():
    rng = np.random.default_rng(1)
    pool = BoxFeatures.random(50, seed=1, max_offset_mm=8, size_range_mm=(1, 6))
    image = np.zeros((40, 40, 40), np.int16)
    image[15:25, 15:25, 15:25] = rng.integers(-500, 500, (10, 10, 10))
    moved = np.roll(image, (3, -4, 5), axis=(0, 1, 2))
    index = rng.integers(14, 26, (30, 3))
    np.testing.assert_array_equal(
        pool.evaluate([image], 1.0, index), pool.evaluate([moved], 1.0, index + np.array([3, -4, 5]))
    )


def test_offsets_and_sizes_are_millimetres_along_x_y_z():
    pool = BoxFeatures([[[4, 6, 9], [0, 0, 0]]], [[[1, 1, 1], [1, 1, 1]]], [[0, -1]])
    image = np.zeros((8, 8, 8), np.int16)
    image[1 + 3, 1 + 3, 1 + 2] = 77  # z 9 / 3, y 6 / 2, x 4 / 2
    assert pool.evaluate([image], (2.0, 2.0, 3.0), [[1, 1, 1]]).item() == 77


def test_a_box_of_even_size_lies_as_near_as_possible_and_holds_its_voxels():
    pool = BoxFeatures([[[0, 0, 0], [0, 0, 0]]], [[[4, 1, 1], [1, 1, 1]]], [[0, -1]])
    image = np.zeros((1, 1, 9), np.int16)
    image[0, 0] = [0, 0, 1, 2, 4, 8, 16, 0, 0]
    assert pool.evaluate([image], 1.0, [[0, 0, 4]]).item() in ((1 + 2 + 4 + 8) / 4, (2 + 4 + 8 + 16) / 4)


def test_a_two_box_feature_is_the_difference_of_means_on_its_own_channels():
    pool = BoxFeatures([[[0, 0, 0], [1, 0, 0]]], [[[1, 1, 1], [1, 1, 1]]], [[1, 0]])
    first, second = np.array([[[1, 2, 3]]], np.int16), np.array([[[10, 20, 30]]], np.int16)
    assert pool.evaluate([first, second], 1.0, [[0, 0, 1]]).item() == 20 - 3


def test_means_do_not_depend_on_the_grid_for_a_constant_image():
    pool = BoxFeatures.random(40, seed=2, max_offset_mm=30, size_range_mm=(2, 40), two_box_share=0)
    for spacing in (1.5, 2.0, (1, 2, 5)):
        found = pool.evaluate([np.full((3, 4, 5), 1234, np.int16)], spacing, [[1, 2, 3]])
        np.testing.assert_allclose(found, 1234, rtol=1e-6)


def test_extreme_values_in_the_largest_allowed_box_do_not_overflow():
    pool = BoxFeatures([[[0, 0, 0], [0, 0, 0]]], [[[40, 40, 40], [1, 1, 1]]], [[0, -1]])
    for value in (-32768, 32767):
        image = np.full((50, 50, 50), value, np.int16)
        assert pool.evaluate([image], 1.0, [[25, 25, 25]]).item() == pytest.approx(value)


def test_a_box_of_65536_voxels_is_refused_with_advice():
    pool = BoxFeatures([[[0, 0, 0], [0, 0, 0]]], [[[64, 32, 32], [1, 1, 1]]], [[0, -1]])
    with pytest.raises(DataError, match=r"65536 voxels is too large.*coarser"):
        pool.compile(1.0)
    pool.compile(2.0)


def test_a_volume_thinner_than_a_box_and_a_single_voxel_are_padded():
    pool = BoxFeatures.random(20, seed=2, max_offset_mm=30, size_range_mm=(2, 40), two_box_share=0)
    found = pool.evaluate([np.full((1, 1, 1), -5, np.int16)], 1.5, [[0, 0, 0]])
    np.testing.assert_allclose(found, np.full((1, 20), -5), rtol=1e-6)


def test_padding_is_what_the_farthest_box_needs():
    pool = BoxFeatures([[[-10, 4, 0], [0, 0, 7]]], [[[1, 1, 1], [1, 1, 3]]], [[0, 0]])
    assert pool.padding_zyx(1.0) == (8, 4, 10)
    assert pool.padding_zyx((2, 1, 1)) == (8, 4, 5)


def test_one_seed_gives_one_pool_and_the_shares_are_kept():
    make = lambda seed: BoxFeatures.random(  # noqa: E731
        4000, seed=seed, max_offset_mm=(30, 20, 10), size_range_mm=(3, 24), two_box_share=0.3, local_share=0.25
    )
    pool = make(7)
    for name, array in pool.to_arrays().items():
        np.testing.assert_array_equal(array, make(7).to_arrays()[name])
    assert not np.array_equal(pool.offsets_mm, make(8).offsets_mm)
    assert (pool.channels[:, 1] >= 0).mean() == pytest.approx(0.3, abs=0.03)
    assert pool.sizes_mm.min() >= 3
    assert pool.sizes_mm.max() <= 24
    assert np.median(pool.sizes_mm) == pytest.approx(np.sqrt(3 * 24), rel=0.05)
    covers = (np.abs(pool.offsets_mm) <= pool.sizes_mm / 2).all(axis=2)
    inside = ((pool.offsets_mm / [30, 20, 10]) ** 2).sum(axis=2) <= 1
    assert (covers | inside).all()
    assert covers.mean() > 0.25


def test_a_pool_survives_its_arrays_and_damaged_ones_are_refused():
    pool = BoxFeatures.random(5, seed=0, max_offset_mm=9, size_range_mm=(1, 2), channels=3)
    arrays = pool.to_arrays()
    again = BoxFeatures.from_arrays(arrays)
    assert all(np.array_equal(a, b) for a, b in zip(again.to_arrays().values(), arrays.values(), strict=True))
    damage = {
        "missing": {k: v for k, v in arrays.items() if k != "channels"},
        "short": arrays | {"channels": arrays["channels"][:3]},
        "nan": arrays | {"offsets_mm": arrays["offsets_mm"] * np.nan},
        "flat": arrays | {"sizes_mm": arrays["sizes_mm"] * 0},
        "channel": arrays | {"channels": arrays["channels"] - 5},
        "text": arrays | {"sizes_mm": np.array(["a"])},
    }
    for damaged in damage.values():
        with pytest.raises(ModelError):
            BoxFeatures.from_arrays(damaged)


def test_a_subset_gives_the_chosen_columns():
    volumes, pool, index = random_case(9, channels=2)
    chosen = [4, 2, 2]
    part = pool.subset(chosen).evaluate(volumes, SPACING, index)
    np.testing.assert_array_equal(part, pool.evaluate(volumes, SPACING, index)[:, chosen])


def test_missing_channels_and_points_outside_are_refused():
    volumes, pool, _ = random_case(3, channels=2, n=50)
    with pytest.raises(DataError, match="2 channels"):
        pool.evaluate(volumes[:1], SPACING, [[0, 0, 0]])
    for outside in ([[-1, 0, 0]], [volumes[0].shape]):
        with pytest.raises(DataError, match="inside"):
            pool.evaluate(volumes, SPACING, outside)
    with pytest.raises(DataError, match="whole"):
        pool.evaluate(volumes, SPACING, [[0.5, 0, 0]])
    assert pool.evaluate(volumes, SPACING, []).shape == (0, 50)


@pytest.mark.parametrize("spacing", [0, -1, np.nan, np.inf])
def test_a_spacing_that_is_not_positive_is_refused(spacing):
    with pytest.raises(DataError, match="spacings"):
        random_case(0)[1].compile(spacing)


@pytest.mark.parametrize(
    "change",
    [{"n": 0}, {"channels": 0}, {"size_range_mm": (0, 5)}, {"size_range_mm": (5, 4)}, {"two_box_share": 1.1}],
)
def test_a_draw_from_nonsense_is_refused(change):
    settings = {"n": 3, "seed": 0, "max_offset_mm": 9, "size_range_mm": (1, 2)} | change
    with pytest.raises(DataError, match=r"cannot (be drawn|draw)"):
        BoxFeatures.random(settings.pop("n"), **settings)


def test_planes_of_the_dense_values_are_cut_out_of_them():
    volumes, pool, _ = random_case(7)
    integral = pool.compile(SPACING).integrate(volumes)
    whole, last = pool.compile(SPACING).evaluate_dense(integral), len(volumes[0])
    found = pool.compile(SPACING).evaluate_dense(integral, (last // 2, last))
    np.testing.assert_array_equal(found, whole[:, last // 2 :])
    with pytest.raises(DataError, match="planes"):
        pool.compile(SPACING).evaluate_dense(integral, (0, last + 1))
