from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regforest._jit import kernel
from regforest.discs._lanes import CHUNK, LANES, add_squares
from regforest.discs._nearest_kernels import order_in_blocks
from regforest.discs.nearest import NearestRows, PatchRows
from regforest.discs.patches import Projection
from tests.reference import nearest_by_sorting

pytestmark = pytest.mark.without_jit


@kernel
def compiled_squares(columns, start, query, first, distance, limit):
    return add_squares(columns, start, query, first, distance, limit)


@pytest.mark.parametrize("function", [compiled_squares, add_squares])
def test_squares_of_a_chunk_are_added_in_all_lanes_and_the_near_ones_named(function):
    rng = np.random.default_rng(0)
    columns = rng.normal(size=3 * CHUNK * LANES).astype(np.float32)
    query = rng.normal(size=2 * CHUNK).astype(np.float32)
    before = rng.uniform(0, 4, LANES).astype(np.float32)
    distance, limit = before.copy(), np.float32(16)
    near = function(columns, CHUNK * LANES, query, CHUNK, distance, limit)
    rows = columns[CHUNK * LANES : 2 * CHUNK * LANES].reshape(CHUNK, LANES).T
    expected = before + ((rows - query[CHUNK:]) ** 2).sum(axis=1)
    np.testing.assert_allclose(distance, expected, rtol=1e-5)
    assert 0 < (expected < limit).sum() < LANES
    assert int(near) == sum(1 << i for i in range(LANES) if expected[i] < limit)


def test_compiled_and_plain_squares_agree_to_the_bit():
    rng = np.random.default_rng(1)
    columns, query = rng.normal(size=CHUNK * LANES).astype(np.float32), rng.normal(size=CHUNK).astype(np.float32)
    first, second = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    near = [f(columns, 0, query, 0, d, np.float32(16)) for f, d in ((compiled_squares, first), (add_squares, second))]
    assert near[0] == near[1]
    np.testing.assert_array_equal(first, second)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 150), st.integers(1, 8), st.integers(1, 20))
def test_nearest_rows_are_those_of_a_full_sort(seed, count, k, width):
    rng = np.random.default_rng(seed)
    queries, rows = (rng.normal(size=(n, width)).astype(np.float32) for n in (7, count))
    squared, number = NearestRows.of(rows)(queries, k)
    expected, expected_number = nearest_by_sorting(queries, rows, np.ones((7, count), bool), k)
    np.testing.assert_allclose(squared, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(number, expected_number)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(-1, 3))
def test_cells_and_owners_narrow_the_search(seed, excluded):
    rng = np.random.default_rng(seed)
    cell_start = np.concatenate([[0], np.cumsum(rng.integers(0, 40, 6))])
    rows = rng.normal(size=(int(cell_start[-1]) + 1, 5)).astype(np.float32)
    cell_start = np.append(cell_start, len(rows))
    owners = rng.integers(0, 4, len(rows))
    nearest = NearestRows.of(rows, cell_start, owners)
    queries = rng.normal(size=(5, 5)).astype(np.float32)
    cells = np.sort(rng.integers(0, 8, (5, 2)), axis=1)
    squared, number = nearest(queries, 4, nearest.cell_blocks[cells][:, None], excluded)
    row = np.arange(len(rows))
    allowed = [(row >= cell_start[a]) & (row < cell_start[b]) & (owners != excluded) for a, b in cells]
    expected, expected_number = nearest_by_sorting(queries, rows, np.array(allowed), 4)
    np.testing.assert_allclose(squared, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(number, expected_number)


def test_blocks_hold_rows_that_lie_close_together():
    rows = np.repeat(np.random.default_rng(0).permutation(8), LANES).astype(np.float32)[:, None] * 10
    order = np.random.default_rng(1).permutation(len(rows))
    order_in_blocks(rows, order)
    assert sorted(order) == list(range(len(rows)))
    assert (np.ptp(rows[order].reshape(-1, LANES), axis=1) == 0).all()


def test_rows_that_are_all_alike_are_found_all_the_same():
    rows = np.ones((100, 3), np.float32)
    squared, number = NearestRows.of(rows)(rows[:2], 3)
    assert (squared == 0).all()
    assert len(set(number[0])) == 3


def test_rows_are_laid_out_once_for_all_channels_and_for_some():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 6)).astype(np.float32)
    projection = Projection.fit_parts([features], 3, rng)
    part = PatchRows(projection, projection(features))
    some = part.of_shown(np.array([True, True, False] * 2))
    assert some.nearest is part.nearest
    assert some.projection(features[:, [0, 1, 3, 4]]).shape == (60, 3)
