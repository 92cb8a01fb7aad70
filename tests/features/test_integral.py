from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from regforest.errors import DataError
from regforest.features import IntegralVolume, Quantisation, quantise
from tests.reference import summed_table

pytestmark = pytest.mark.without_jit

images = arrays(np.int16, st.tuples(*[st.integers(1, 6)] * 3))
paddings = st.tuples(*[st.integers(0, 4)] * 3)


@given(images, paddings)
def test_the_table_holds_the_sums_of_the_padded_image(image, padding):
    integral = IntegralVolume.build(image, padding)
    np.testing.assert_array_equal(integral.table[0], summed_table(image, padding))


@given(images, paddings, st.data())
def test_any_box_sum_equals_the_sum_of_the_slice(image, padding, data):
    padded = np.pad(image.astype(np.int64), [(p, p) for p in padding], mode="edge")
    bounds = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in padded.shape]
    (z0, z1), (y0, y1), (x0, x1) = bounds
    t = IntegralVolume.build(image, padding).table[0].astype(np.int64)
    total = t[z1, y1, x1] - t[z0, y1, x1] - t[z1, y0, x1] - t[z1, y1, x0]
    total += t[z0, y0, x1] + t[z0, y1, x0] + t[z1, y0, x0] - t[z0, y0, x0]
    assert total.astype(np.int32) == padded[z0:z1, y0:y1, x0:x1].sum()


def test_box_sums_stay_exact_where_the_table_has_wrapped_around():
    image = np.full((60, 60, 60), 32767, np.int16)
    table = IntegralVolume.build(image).table[0].astype(np.int64)
    assert 60**3 * 32767 > 2**32  # it has
    corner = table[40:, 40:, 40:][:1, :1, :1].item()
    assert corner != 40**3 * 32767 or 40**3 * 32767 < 2**31
    block = np.diff(np.diff(np.diff(table[[20, 60]][:, [20, 60]][:, :, [20, 60]], axis=0), axis=1), axis=2)
    assert block.astype(np.int32).item() == np.int64(40**3 * 32767)


def test_channels_are_integrated_one_by_one():
    a, b = np.random.default_rng(3).integers(-99, 99, (2, 3, 4, 5)).astype(np.int16)
    both = IntegralVolume.build([a, b], (1, 2, 3)).table
    np.testing.assert_array_equal(both, [summed_table(a, (1, 2, 3)), summed_table(b, (1, 2, 3))])


def test_a_view_with_strides_gives_what_its_copy_gives():
    image = np.arange(120, dtype=np.int16).reshape(4, 5, 6)[::-1, ::2, ::3]
    table = IntegralVolume.build(image, (1, 1, 1)).table
    np.testing.assert_array_equal(table, IntegralVolume.build(image.copy(), (1, 1, 1)).table)


@pytest.mark.parametrize(
    "volumes",
    [
        [],
        [np.zeros((2, 2, 2), np.float32)],
        [np.zeros((2, 2), np.int16)],
        [np.zeros((2, 2, 2), np.int16), np.zeros((2, 2, 3), np.int16)],
        [np.zeros((0, 2, 2), np.int16)],
    ],
)
def test_what_is_not_a_set_of_int16_images_of_one_shape_is_refused(volumes):
    with pytest.raises(DataError, match="int16"):
        IntegralVolume.build(volumes)


def test_a_table_beyond_32_bit_positions_is_refused_before_memory_is_taken():
    with pytest.raises(DataError, match="coarser"):
        IntegralVolume.build(np.zeros((2, 2, 2), np.int16), (700, 700, 700))


def test_int16_passes_unchanged_and_other_small_integers_keep_their_values():
    image = np.array([[[-3024, 32767]]], np.int16)
    numbers, quantisation = quantise(image)
    assert numbers.tolist() == image.tolist()
    assert quantisation == Quantisation()
    assert quantise(np.array([[[0, 255]]], np.uint8))[0].tolist() == [[[0, 255]]]


def test_the_bulk_of_a_float_image_gets_16384_steps():
    image = np.linspace(0.0, 1.0, 100_001).reshape(1, 1, -1)
    numbers, quantisation = quantise(image)
    assert quantisation.scale == pytest.approx(0.99 / 16384, rel=1e-6)
    assert quantisation.offset == pytest.approx(0.5)
    np.testing.assert_allclose(numbers * quantisation.scale + quantisation.offset, image, atol=quantisation.scale / 2)


def test_an_outlier_neither_compresses_the_rest_nor_wraps_around():
    image = np.append(np.linspace(0.0, 1.0, 9999), 1e30).reshape(1, 1, -1)
    numbers, _ = quantise(image)
    assert numbers.max() == 32767 == numbers[0, 0, -1]
    assert np.ptp(numbers[0, 0, :-1].astype(int)) > 16000


def test_a_few_bright_voxels_on_a_constant_ground_are_kept():
    image = np.zeros(10_000)
    image[5] = 3.0
    numbers, _ = quantise(image)
    assert np.ptp(numbers.astype(int)) == 16384


@pytest.mark.parametrize("value", [0.0, -7.25, 1e300])
def test_a_constant_image_becomes_zero(value):
    numbers, quantisation = quantise(np.full((2, 2, 2), value))
    assert (numbers == 0).all()
    assert quantisation.offset == value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_widest_range_of_a_type_does_not_overflow(dtype):
    largest = np.finfo(dtype).max
    numbers, _ = quantise(np.array([-largest, 0, largest], dtype))
    assert numbers[0] < numbers[1] == 0 < numbers[2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(bad):
    image = np.zeros((2, 2, 2), np.float32)
    image[1, 0, 1] = bad
    with pytest.raises(DataError, match="1 NaN or infinite values of 8"):
        quantise(image)
    with pytest.raises(DataError, match="NaN"):
        quantise(image, Quantisation(2.0))


@pytest.mark.parametrize("image", [np.zeros((0, 2)), np.array(["a"]), np.array([1j])])
def test_what_is_not_an_image_of_numbers_is_refused(image):
    with pytest.raises(DataError, match="numbers"):
        quantise(image)


def test_a_stored_quantisation_gives_another_image_the_same_steps():
    _, quantisation = quantise(np.linspace(0, 100, 1000))
    again = Quantisation.from_json(quantisation.to_json())
    assert again == quantisation
    assert quantise([10.0], again)[0] == quantise([10.0, 20.0], quantisation)[0][0]


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_a_quantisation_without_a_positive_scale_is_refused(scale):
    with pytest.raises(DataError, match="positive scale"):
        Quantisation(scale)


@given(images, paddings, st.integers(1, 4))
def test_any_number_of_threads_makes_the_same_table(image, padding, jobs):
    np.testing.assert_array_equal(
        IntegralVolume.build(image, padding, n_jobs=jobs).flat, IntegralVolume.build(image, padding).flat
    )


@given(images, paddings, st.data())
def test_boxes_around_some_planes_see_what_they_see_in_the_whole_image(image, padding, data):
    start = data.draw(st.integers(0, len(image) - 1))
    stop = data.draw(st.integers(start + 1, len(image)))
    whole = IntegralVolume.build(image, padding).table[0]
    part = IntegralVolume.build(image, padding, planes=(start, stop)).table[0]
    here = whole[start : stop + 2 * padding[0] + 1]
    np.testing.assert_array_equal(np.diff(part, axis=0), np.diff(here, axis=0))


@pytest.mark.parametrize("planes", [(0, 0), (2, 1), (-1, 2), (0, 5)])
def test_planes_outside_the_image_are_refused(planes):
    with pytest.raises(DataError, match="planes"):
        IntegralVolume.build(np.zeros((4, 2, 2), np.int16), planes=planes)


@given(images, paddings, st.integers(1, 5))
def test_reordered_tables_hold_the_same_corners(image, padding, step):
    integral = IntegralVolume.build(image, padding)
    every = integral.every(step)
    rng = np.random.default_rng(0)
    index = rng.integers(0, image.shape, (20, 3))
    index[:, 2] -= index[:, 2] % step
    corner = rng.integers(-np.array(padding), np.array(padding) + 2, (20, 3))
    channel = np.zeros(20, np.int64)
    here = integral.flat[integral.flat_index(index) + integral.flat_offset(corner, channel)]
    there = every.flat[every.flat_index(index) + every.flat_offset(corner, channel)]
    np.testing.assert_array_equal(here, there)
    np.testing.assert_array_equal(here, integral.table[0][tuple((index + padding + corner).T)])
