from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest._jit import kernel
from regforest.features import BoxFeatures
from regforest.features._lanes import LANES, bits_below, lanes_at_most, lowest_bit


@kernel
def compiled_lanes(table, corners, scales, position, feature, threshold):
    return lanes_at_most(table, corners, scales, position, feature, threshold)


@kernel
def compiled_lowest_bit(word):
    return lowest_bit(word)


@kernel
def compiled_bits_below(word, bit):
    return bits_below(word, bit)


@given(st.integers(0, 2**64 - 1), st.integers(0, 63))
def test_the_bits_below_one_are_counted(word, bit):
    expected = f"{word:064b}"[::-1][:bit].count("1")
    assert compiled_bits_below(np.uint64(word), np.uint64(1 << bit)) == bits_below(word, 1 << bit) == expected


@given(st.integers(1, 2**64 - 1))
def test_the_lowest_bit_is_found(word):
    assert compiled_lowest_bit(np.uint64(word)) == lowest_bit(word) == f"{word:b}"[::-1].index("1")


@pytest.mark.parametrize("two_box_share", [0, 1])
def test_lanes_compare_the_features_of_voxels_side_by_side(two_box_share):
    rng = np.random.default_rng(0)
    image = rng.integers(-3000, 3000, (4, 5, 40)).astype(np.int16)
    pool = BoxFeatures.random(30, seed=1, max_offset_mm=4, size_range_mm=(1, 5), two_box_share=two_box_share)
    boxes = pool.compile(1.0)
    integral = boxes.integrate([image])
    table = boxes.box_table(integral)
    values = boxes.evaluate_dense(integral)
    for feature in range(30):
        z, y, x = rng.integers(0, (4, 5, 40 - LANES))
        here = values[feature, z, y, x : x + LANES]
        position, threshold = int(integral.flat_index(np.array([z, y, x]))), here[3]  # the threshold itself goes left
        expected = sum(1 << i for i in range(LANES) if here[i] <= threshold)
        assert compiled_lanes(*table, position, feature, threshold) == expected
        assert lanes_at_most(*table, position, feature, threshold) == expected


def test_lanes_behind_the_last_voxel_stay_within_the_table():
    pool = BoxFeatures.random(5, seed=1, max_offset_mm=4, size_range_mm=(1, 5))
    boxes = pool.compile(1.0)
    integral = boxes.integrate([np.ones((2, 2, 3), np.int16)])
    table = boxes.box_table(integral)
    furthest = int(integral.flat_index(np.array([1, 1, 2]))) + table.corners.max() + LANES
    assert furthest <= table.table.size
