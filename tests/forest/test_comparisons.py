from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regforest._jit import kernel
from regforest.forest._comparisons import FEW, LIMITS, count_below, place_among


@kernel
def compiled_count(numbers, first, limit):
    return count_below(numbers, first, limit)


@kernel
def compiled_place(codes, i):
    return place_among(codes, i)


@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(-1, 10))
def test_sixteen_numbers_are_compared_with_a_limit(seed, first, limit):
    numbers = np.random.default_rng(seed).integers(0, 10, first + LIMITS + 3).astype(np.float32)
    numbers[first + LIMITS - 1] = np.inf  # as behind the last edge
    expected = sum(number < limit for number in numbers[first : first + LIMITS].tolist())
    assert compiled_count(numbers, first, np.float32(limit)) == expected
    assert count_below(numbers, first, np.float32(limit)) == expected


@given(st.integers(0, 10_000), st.integers(1, FEW), st.sampled_from([2, 9, 256]))
def test_each_of_a_few_codes_knows_its_place_whatever_stands_behind_them(seed, count, levels):
    codes = np.random.default_rng(seed).integers(0, levels, count + FEW).astype(np.uint8)[:count]
    order = np.argsort(codes, kind="stable")
    for place, i in enumerate(order.tolist()):
        assert compiled_place(codes, i) == place
        assert place_among(codes, i) == place
