from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest._jit import kernel
from regforest.forest._leaves import add_eight, add_leaves, column_of, columns_of, note_leaf


@kernel
def compiled_add_eight(sums, at, values, column, leaves, row):
    add_eight(sums, at, values, column, leaves, row)


@given(st.integers(0, 10_000), st.integers(8, 30))
def test_eight_outputs_of_the_leaves_are_added_tree_by_tree(seed, outputs):
    rng = np.random.default_rng(seed)
    values, sums = (rng.normal(size=(6, n)).astype(np.float32) for n in (outputs, 16))
    leaves, row, column = rng.integers(0, 6, (5, 9)).astype(np.int32), 3, outputs - 8
    expected, plain = sums.copy(), sums.copy()
    for leaf in leaves[:, row]:
        expected[2, 8:] += values[leaf, column:]
    add_eight(plain, 2 * 16 + 8, values, column, leaves, row)
    compiled_add_eight(sums, 2 * 16 + 8, values, column, leaves, row)
    np.testing.assert_array_equal(plain, expected)
    np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize("outputs", [1, 7, 8, 9, 27])
def test_each_output_has_a_column_that_holds_its_sum(outputs):
    values = np.random.default_rng(0).normal(size=(4, outputs)).astype(np.float32)
    leaves = np.array([[0, 3, 2], [1, 3, 0]], np.int32)
    sums = np.zeros((3, columns_of(outputs)), np.float32)
    add_leaves(values, leaves, 2, sums)
    found = sums[:, [column_of(k, outputs) for k in range(outputs)]]
    np.testing.assert_array_equal(found[:2], (values[leaves[0]] + values[leaves[1]])[:2])
    assert not sums[2].any()


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_leaf_is_noted_for_its_voxels_alone(word, chosen):
    voxels, leaves = word & chosen, np.zeros(70, np.int32)
    note_leaf(5, 3, np.uint64(word), np.uint64(voxels), leaves)
    members = [bit for bit in range(64) if word >> bit & 1]
    assert list(np.flatnonzero(leaves)) == [3 + i for i, bit in enumerate(members) if voxels >> bit & 1]
