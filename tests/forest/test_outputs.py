from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest._jit import kernel
from regforest.forest._outputs import add_up, add_weighted, aligned_zeros, padded, split_squares


@kernel
def compiled_add(target, source, weight):
    add_weighted(target, source, weight)


@kernel
def compiled_add_up(rows, first, last):
    add_up(rows, first, last)


@kernel
def compiled_squares(left, totals):
    return split_squares(left, totals)


@pytest.mark.parametrize(("outputs", "room"), [(1, 8), (8, 8), (9, 16), (27, 32)])
def test_outputs_are_padded_to_a_multiple_of_eight(outputs, room):
    assert padded(outputs) == room


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([np.float32, np.float64]))
def test_weighted_rows_are_added_to_the_bit_as_numpy_adds_them(seed, chunks, dtype):
    rng = np.random.default_rng(seed)
    target, source, weight = rng.normal(size=8 * chunks), rng.normal(size=8 * chunks).astype(dtype), rng.random()
    plain = target.copy()
    add_weighted(plain, source, weight)
    expected = target + weight * source.astype(np.float64)
    compiled_add(target, source, weight)
    np.testing.assert_array_equal(target, expected)
    np.testing.assert_array_equal(plain, expected)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_squares_on_both_sides_of_a_split_are_summed_in_one_order(seed, chunks):
    rng = np.random.default_rng(seed)
    left, totals = rng.normal(size=(2, 8 * chunks))
    found = compiled_squares(left, totals)
    assert found == split_squares(left, totals)  # to the bit
    assert found == pytest.approx(((left**2).sum(), ((totals - left) ** 2).sum()))


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(0, 5), st.integers(5, 9))
def test_rows_are_turned_into_their_running_sums_to_the_bit_as_numpy_does(seed, chunks, first, last):
    rows = np.random.default_rng(seed).normal(size=(9, 8 * chunks))
    expected, plain = rows.copy(), rows.copy()
    expected[first:last] = np.cumsum(rows[first:last], axis=0)
    compiled_add_up(rows, first, last)
    add_up(plain, first, last)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(plain, expected)


@pytest.mark.parametrize("size", [8, 40, 2048])
def test_work_space_for_vectors_begins_where_they_cross_no_line_of_the_cache(size):
    zeros = aligned_zeros(size)
    assert zeros.shape == (size,)
    assert zeros.ctypes.data % 64 == 0
    assert not zeros.any()
