from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regforest.forest.binned import BinnedColumns
from regforest.forest.rows import MatrixRows
from tests.reference import codes_of


@given(st.integers(0, 10_000), st.integers(1, 600), st.sampled_from([2, 30, 100_000]))
def test_codes_count_the_edges_below_a_value(seed, rows, distinct):
    rng = np.random.default_rng(seed)
    X = (rng.integers(0, distinct, (rows, 3)) / 7).astype(np.float32)
    columns = BinnedColumns.from_rows(MatrixRows(X), seed=0)
    np.testing.assert_array_equal(columns.codes, codes_of(X, columns.edges))
    np.testing.assert_array_equal(columns.row_codes, columns.codes.T)
    for f in range(3):  # what training means by code <= c is what prediction does with value <= edge
        for c in np.unique(columns.codes[f])[:-1]:
            np.testing.assert_array_equal(columns.codes[f] <= c, X[:, f] <= columns.edges[f, c])


def test_up_to_256_distinct_values_are_all_told_apart():
    X = np.random.default_rng(0).permutation(np.repeat(np.arange(256), 9))[:, None].astype(np.float32)
    codes = BinnedColumns.from_rows(MatrixRows(X), seed=0).codes[0]
    np.testing.assert_array_equal(codes, X[:, 0])


def test_neighbouring_float32_values_are_told_apart():
    X = np.array([[1.0], [np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    assert BinnedColumns.from_rows(MatrixRows(X), seed=0).codes.tolist() == [[0, 1]]


def test_bins_of_many_values_are_about_equally_full_and_ties_are_not_cut():
    rng = np.random.default_rng(1)
    X = np.where(rng.random(20_000) < 0.4, 0, rng.exponential(size=20_000)).astype(np.float32)[:, None]
    codes = BinnedColumns.from_rows(MatrixRows(X), seed=0).codes[0]
    assert len(np.unique(codes[X[:, 0] == 0])) == 1
    counts = np.bincount(codes)
    assert 100 < len(counts) <= 256
    assert np.sort(counts)[-2] < 3 * 20_000 / 256


def test_codes_do_not_depend_on_the_number_of_threads():
    X = np.random.default_rng(0).normal(size=(9001, 7)).astype(np.float32)
    one, three = (BinnedColumns.from_rows(MatrixRows(X), seed=3, n_jobs=jobs) for jobs in (1, 3))
    np.testing.assert_array_equal(one.codes, three.codes)
