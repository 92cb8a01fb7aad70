from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.errors import DataError
from regforest.forest import _candidates, _columns, _splits
from regforest.forest._comparisons import FEW
from regforest.forest._gaps import note_gaps
from regforest.forest.binned import BinnedColumns
from regforest.forest.grow import _NO_FIELD as NO_FIELD
from regforest.forest.grow import TreeSettings, bag_counts, grow_forest
from regforest.forest.rows import MatrixRows
from tests.reference import exhaustive_split, nearest_values


def test_the_gap_around_a_threshold_is_that_of_the_values_in_the_bag():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 4)).astype(np.float32)
    tree = grow(X, rng.integers(0, 3, 300).astype(np.int32), 3, max_depth=5)
    in_bag = rng.random(300) < 0.6
    arrays = tree.feature, tree.threshold, tree.left, tree.right
    expected = nearest_values(X, in_bag, *arrays)
    found = np.full(len(tree.feature), -np.inf, np.float32), np.full(len(tree.feature), np.inf, np.float32)
    for first in (0, 77, 200):  # blocks may begin anywhere
        stop = {0: 77, 77: 200, 200: 300}[first]
        note_gaps(X[first:stop], first, np.packbits(in_bag), *arrays, *found)
    np.testing.assert_array_equal(found, expected)


def test_thresholds_lie_midway_between_the_values_of_their_node():
    X, y = class_data()
    forest = grow(X, y, 4)
    below, above = nearest_values(
        X, np.ones(len(X), bool), forest.feature, forest.threshold, forest.left, forest.right
    )
    inner = forest.feature >= 0
    np.testing.assert_array_equal(forest.threshold[inner], below[inner] / 2 + above[inner] / 2)


def split_case(seed, samples, classes, levels):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, levels, samples).astype(np.uint8)
    labels = rng.integers(0, classes, samples).astype(np.int32)
    weights = rng.integers(1, 4, samples).astype(np.float32)
    return codes, labels, weights, np.eye(8, dtype=np.float32)[labels]  # outputs are padded to eight


@given(st.integers(0, 10_000), st.integers(2, 70), st.integers(1, 5), st.sampled_from([2, 9, 256]), st.integers(1, 4))
def test_all_three_scans_find_the_split_that_trying_every_code_finds(seed, samples, classes, levels, min_leaf):
    codes, labels, weights, targets = split_case(seed, samples, classes, levels)
    codes = np.append(codes, np.zeros(FEW, np.uint8))[:samples]  # a few spare ones behind them
    totals, total = (weights[:, None] * targets).sum(axis=0).astype(float), float(weights.sum())
    squares = float((totals**2).sum())
    left, counts, order = np.zeros(8), np.zeros(256, np.int32), np.empty(samples, np.int32)
    no_targets, no_classes = np.empty((0, 8), np.float32), np.empty(0, np.int32)
    histogram, bins, cuts = np.zeros((256, 8)), np.zeros(256), np.empty((4, 256))

    def best(found):
        return _splits.best_of_cuts(cuts, found, total)

    _splits.sort_codes(codes, 0, 255, counts, order)
    np.testing.assert_array_equal(order, np.argsort(codes, kind="stable"))
    by_class = best(_splits.scan_classes(codes, order, labels, weights, totals, squares, min_leaf, left, cuts))
    by_target = best(_splits.scan_targets(codes, order, targets, weights, totals, min_leaf, left, cuts))
    _splits.fill_histogram(codes, labels, no_targets, weights, histogram, bins, counts)
    by_histogram = best(_splits.scan_histogram(histogram, bins, counts, 0, 255, samples, totals, min_leaf, cuts))
    histogram[:], bins[:], counts[:] = 0, 0, 0
    _splits.fill_histogram(codes, no_classes, targets, weights, histogram, bins, counts)
    by_soft_histogram = best(_splits.scan_histogram(histogram, bins, counts, 0, 255, samples, totals, min_leaf, cuts))

    score, code = exhaustive_split(codes, targets.astype(float), weights.astype(float), min_leaf)
    assert not left.any()  # the work space is as it was
    for found_score, found_code in (by_class, by_target, by_histogram, by_soft_histogram):
        assert found_score == pytest.approx(score, rel=1e-9)
        if code >= 0:  # of splits that are equally good any will do
            side = codes <= found_code
            again = exhaustive_split(side.astype(np.uint8) ^ 1, targets.astype(float), weights.astype(float))[0]
            assert again == pytest.approx(score, rel=1e-9)
        else:
            assert found_code == -1


def test_random_numbers_follow_splitmix64():
    state = np.array([1234567], np.uint64)
    drawn = [_candidates.random_below(state, 2**53) for _ in range(3)]
    # published sequence for this seed, without its 11 lowest bits
    assert drawn == [n >> 11 for n in (6457827717110365317, 3203168211198807973, 9817491932198370423)]


@pytest.mark.parametrize("count", [1, 30, _columns._MANY_ROWS])
def test_codes_are_the_same_whether_read_from_rows_or_from_columns(count):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (7, 3000)).astype(np.uint8)
    source = _candidates.Source(codes, codes.T.copy(), np.empty((3000, 0), np.float32), NO_FIELD)
    rows, features = np.sort(rng.choice(3000, count, replace=False)).astype(np.int32), np.array([5, 0, 2], np.int32)
    gathered = np.empty(3 * count, np.uint8)
    _columns.gather_codes(source, rows, features, gathered)
    np.testing.assert_array_equal(gathered.reshape(3, count), codes[features][:, rows])


def grow(X, y, n_classes, seeds=(5,), weights=None, **settings):
    settings = {"max_features": X.shape[1], "bootstrap": False} | settings
    columns = BinnedColumns.from_rows(MatrixRows(X), seed=0)
    weights = np.ones(len(X), np.float32) if weights is None else np.asarray(weights, np.float32)
    return grow_forest(columns, y, weights, np.array(seeds), TreeSettings(**settings), n_classes=n_classes).forest


def class_data(rows=400, features=6, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features)).astype(np.float32)
    return X, rng.integers(0, classes, rows).astype(np.int32)


def test_a_tree_without_limits_fits_distinct_rows_exactly():
    X, y = class_data()
    forest = grow(X, y, 4)
    np.testing.assert_array_equal(forest.predict(X), np.eye(4, dtype=np.float32)[y])


def test_min_samples_leaf_and_max_depth_are_kept():
    X, y = class_data()
    forest = grow(X, y, 4, min_samples_leaf=7)
    assert np.bincount(forest.apply(X)[:, 0]).min() >= 7
    assert grow(X, y, 4, max_depth=3).depth == 3
    sizes = np.bincount(grow(X, y, 4, min_samples_split=60).apply(X)[:, 0])
    assert sizes.max() < 60


def test_one_hot_soft_labels_grow_the_same_tree_as_hard_ones():
    X, y = class_data(rows=3000)  # large enough for both split finders
    hard = grow(X, y, 4, max_features=2, max_depth=9)
    soft = grow(X, np.eye(4, dtype=np.float32)[y], 0, max_features=2, max_depth=9)
    for name, array in hard.to_arrays().items():
        np.testing.assert_allclose(soft.to_arrays()[name], array, err_msg=name, rtol=1e-6)


def test_a_weight_of_two_is_the_same_as_a_row_twice():
    X, y = class_data(rows=300)
    X = X.round(1)  # so few values that every one has its bin in either case
    twice = np.arange(300) % 3 == 0
    weighted = grow(X, y, 4, weights=1 + twice, max_depth=6)
    repeated = grow(np.concatenate([X, X[twice]]), np.concatenate([y, y[twice]]), 4, max_depth=6)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), atol=1e-6)


def test_rows_of_weight_zero_take_no_part():
    X, y = class_data(rows=300)
    keep = np.arange(300) % 4 > 0
    X[~keep] *= 1e-3  # codes change with the rows that are binned, leaves must not
    forest = grow(X, np.where(keep, y, 3).astype(np.int32), 4, weights=keep, min_samples_leaf=5)
    assert np.bincount(forest.apply(X[keep])[:, 0]).min() >= 5


def test_leaves_hold_the_weighted_means_of_their_targets():
    rng = np.random.default_rng(0)
    X, targets = rng.normal(size=(200, 3)).astype(np.float32), rng.normal(size=(200, 2)).astype(np.float32)
    weights = rng.uniform(0.5, 2, 200).astype(np.float32)
    forest = grow(X, targets, 0, weights=weights, min_samples_leaf=20)
    reached = forest.apply(X)[:, 0]
    for leaf in np.unique(reached):
        mean = np.average(targets[reached == leaf], axis=0, weights=weights[reached == leaf])
        np.testing.assert_allclose(forest.values[leaf], mean, atol=1e-6)


def test_the_root_splits_where_trying_everything_says():
    X, y = class_data(rows=500, features=5)
    forest = grow(X, y, 4, max_depth=1)
    columns = BinnedColumns.from_rows(MatrixRows(X), seed=0)
    found = [exhaustive_split(codes, np.eye(4)[y], np.ones(500)) for codes in columns.codes]
    best = int(np.argmax([score for score, _ in found]))
    assert forest.feature[0] == best
    goes_left = columns.codes[best] <= found[best][1]
    below, above = X[goes_left, best].max(), X[~goes_left, best].min()
    assert forest.threshold[0] == np.float32(below / 2 + above / 2)  # midway in the gap


def test_constant_features_are_passed_over_until_one_varies():
    X = np.zeros((60, 40), np.float32)
    X[:, 17] = np.arange(60)
    forest = grow(X, (np.arange(60) % 2).astype(np.int32), 2, max_features=1)
    assert forest.used_features.tolist() == [17]
    assert (forest.values.max(axis=1) == 1).all()


def test_each_tree_has_its_own_bag_and_features():
    X, y = class_data()
    forest = grow(X, y, 4, seeds=(1, 2), bootstrap=True, max_features=1)
    first, second = forest.apply(X).T
    assert not np.array_equal(first, second)
    ones = np.ones(400, np.float32)
    assert bag_counts(1, ones).sum() == 400
    assert not np.array_equal(bag_counts(1, ones), bag_counts(2, ones))
    assert bag_counts(1, np.where(np.arange(400) < 5, 0, ones))[:6].tolist()[:5] == [-1] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.array([0, 4] * 200, np.int32)}, "class numbers"),
        ({"y": np.array([0, -1] * 200, np.int32)}, "class numbers"),
        ({"y": np.zeros(399, np.int32)}, "400 rows"),
        ({"y": np.full((400, 2), np.nan, np.float32)}, "finite"),
        ({"weights": np.zeros(400, np.float32)}, "positive"),
        ({"weights": np.full(400, np.inf, np.float32)}, "finite"),
    ],
)
def test_targets_and_weights_that_make_no_sense_are_refused(change, message):
    X, y = class_data()
    weights = change.get("weights", np.ones(400, np.float32))
    columns = BinnedColumns.from_rows(MatrixRows(X), seed=0)
    with pytest.raises(DataError, match=message):
        grow_forest(columns, change.get("y", y), weights, np.array([1]), TreeSettings(2), n_classes=4)
