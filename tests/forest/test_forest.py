from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from regforest.errors import DataError, ModelError
from regforest.forest import Forest
from regforest.forest.bridge import round_down
from tests.reference import walk


def two_stumps():
    """Tree 0 asks feature 1 at 0.5, tree 1 is a single leaf."""
    return {
        "roots": np.array([0, 3], np.int32),
        "feature": np.array([1, -1, -1, -1], np.int32),
        "threshold": np.array([0.5, 0, 0, 0], np.float32),
        "left": np.array([1, -1, -1, -1], np.int32),
        "right": np.array([2, -1, -1, -1], np.int32),
        "leaf": np.array([-1, 0, 1, 2], np.int32),
        "values": np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32),
        "n_features": np.array(2),
    }


def test_a_prediction_is_the_mean_of_the_leaves_and_equality_goes_left():
    forest = Forest.from_arrays(two_stumps())
    rows = [[9, 0.5], [9, np.nextafter(np.float32(0.5), np.float32(1))]]
    np.testing.assert_array_equal(forest.predict(rows), [[0.75, 0.25], [0.25, 0.75]])
    np.testing.assert_array_equal(forest.apply(rows), [[0, 2], [1, 2]])
    assert (forest.n_trees, forest.n_outputs, forest.depth) == (2, 2, 1)
    assert forest.used_features.tolist() == [1]


def test_leaves_sum_what_belongs_to_the_samples_that_reach_them():
    forest = Forest.from_arrays(two_stumps())
    moments = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    sums = forest.leaf_sums([[0, 0.2], [0, 0.9], [0, 0.1]], moments)
    np.testing.assert_array_equal(sums, [[5, 50], [2, 20], [7, 70]])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("roots", [0, 0]),
        ("roots", [1, 3]),
        ("roots", [0, 4]),
        ("roots", [0, -3]),
        ("roots", []),
        ("feature", [2, -1, -1, -1]),
        ("feature", [-2, -1, -1, -1]),
        ("feature", [1, -1, -1]),
        ("threshold", [np.nan, 0, 0, 0]),
        ("threshold", [np.inf, 0, 0, 0]),
        ("left", [1, 7, -1, -1]),  # of a leaf: found by fuzzing
        ("right", [2, -1, -1, 3]),
        ("leaf", [0, 0, 1, 2]),
        ("left", [0, -1, -1, -1]),  # a cycle
        ("left", [-1, -1, -1, -1]),
        ("left", [3, -1, -1, -1]),  # into the next tree
        ("right", [2**31 - 1, -1, -1, -1]),
        ("leaf", [-1, 0, 1, 3]),
        ("leaf", [-1, 0, 1, -1]),
        ("values", [[1, 0], [np.nan, 1], [0, 1]]),
        ("values", np.zeros((0, 2))),
        ("values", np.zeros((3, 0))),
        ("values", np.zeros(3)),
        ("n_features", 1),
    ],
)
def test_damaged_arrays_are_refused(name, value):
    arrays = two_stumps()
    damaged = np.array(value, arrays[name].dtype)
    with pytest.raises(ModelError):
        Forest.from_arrays(arrays | {name: damaged})


def test_missing_arrays_and_wrong_types_are_refused():
    arrays = two_stumps()
    for name in arrays:
        with pytest.raises(ModelError):
            Forest.from_arrays({key: array for key, array in arrays.items() if key != name})
    with pytest.raises(ModelError, match="int32"):
        Forest.from_arrays(arrays | {"left": arrays["left"].astype(np.int64)})
    with pytest.raises(ModelError):
        Forest.from_arrays(arrays | {"n_features": np.array([1, 2])})


def test_a_forest_keeps_its_own_read_only_arrays():
    arrays = two_stumps()
    forest = Forest.from_arrays(arrays)
    arrays["left"][0] = 0
    assert forest.left[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        forest.values[0, 0] = 3


def test_rows_of_another_width_are_refused():
    with pytest.raises(DataError, match=r"\(N, 2\)"):
        Forest.from_arrays(two_stumps()).predict(np.zeros((4, 3)))


def training_data(rng, rows, features, classes):
    X = rng.normal(size=(rows, features)).astype(np.float32)
    X[:, 0] = np.round(X[:, 0])  # ties
    y = rng.integers(0, classes, rows) + (X[:, 0] > 0)
    return X, y


@given(
    st.integers(0, 10_000),
    st.sampled_from([RandomForestClassifier, ExtraTreesClassifier]),
    st.integers(1, 8),
    st.sampled_from([1, 3, 12, None]),
    st.integers(2, 120),
    st.integers(1, 6),
    st.integers(1, 9),
)
def test_probabilities_equal_scikit_learns_for_forests_of_any_shape(
    seed, kind, trees, depth, rows, features, classes
):
    rng = np.random.default_rng(seed)
    X, y = training_data(rng, rows, features, classes)
    theirs = kind(trees, max_depth=depth, random_state=seed).fit(X, y)
    ours = Forest.from_sklearn(theirs)
    new = np.concatenate([X, rng.normal(size=(50, features)).astype(np.float32)])
    np.testing.assert_allclose(ours.predict(new), theirs.predict_proba(new), atol=1e-6)
    assert ours.depth == max(tree.get_depth() for tree in theirs.estimators_)


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
@pytest.mark.parametrize("outputs", [1, 3])
def test_means_equal_scikit_learns_regressors(kind, outputs):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(200, 5)).astype(np.float32)
    y = (X @ rng.normal(size=(5, outputs))).squeeze()
    theirs = kind(7, random_state=1).fit(X, y)
    np.testing.assert_allclose(Forest.from_sklearn(theirs).predict(X), theirs.predict(X).reshape(200, -1), atol=1e-5)


def test_a_single_tree_can_be_converted():
    X, y = training_data(np.random.default_rng(0), 90, 3, 4)
    tree = DecisionTreeClassifier(random_state=0).fit(X, y)
    np.testing.assert_allclose(Forest.from_sklearn(tree).predict(X), tree.predict_proba(X), atol=1e-6)


def test_what_cannot_be_converted_is_refused():
    X, y = training_data(np.random.default_rng(0), 90, 3, 4)
    with pytest.raises(ModelError, match="fitted"):
        Forest.from_sklearn(RandomForestClassifier())
    with pytest.raises(ModelError, match="fitted"):
        Forest.from_sklearn(LogisticRegression())
    with pytest.raises(ModelError, match="several outputs"):
        Forest.from_sklearn(RandomForestClassifier(2).fit(X, np.stack([y, y], axis=1)))


def test_walking_node_by_node_gives_the_same():
    X, y = training_data(np.random.default_rng(2), 300, 6, 5)
    forest = Forest.from_sklearn(RandomForestClassifier(5, random_state=0).fit(X, y))
    expected = [walk(forest, row).mean(axis=0) for row in X[:60]]
    np.testing.assert_allclose(forest.predict(X[:60]), expected, atol=1e-6)


@given(st.floats(-1e30, 1e30))
def test_thresholds_are_rounded_down_to_float32(number):
    below = round_down(np.array([number]))[0]
    assert np.float64(below) <= number
    assert np.float64(np.nextafter(below, np.float32(np.inf))) > number


def test_branches_that_meet_again_are_refused_at_once():
    # each node has the next one for both its children: a forest of 60 nodes with 2^59 ways through it
    nodes = 60
    following = np.append(np.arange(1, nodes), -1).astype(np.int32)
    chain = {
        "roots": np.array([0], np.int32), "feature": np.where(following > 0, 0, -1).astype(np.int32),
        "threshold": np.zeros(nodes, np.float32), "left": following, "right": following,
        "leaf": np.where(following > 0, -1, 0).astype(np.int32), "values": np.ones((1, 1), np.float32),
        "n_features": np.array(1),
    }  # fmt: skip
    with pytest.raises(ModelError, match="child of exactly one"):
        Forest.from_arrays(chain)


@pytest.mark.parametrize("count", [np.array(2.0), np.array([2]), np.array(0), np.array(True), "2", None])
def test_a_number_of_features_that_is_none_is_refused(count):
    with pytest.raises(ModelError, match="number of features"):
        Forest.from_arrays(two_stumps() | {"n_features": count})
