from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import estimator_checks_generator

from regforest.forest import ForestClassifier, ForestRegressor

# Checks that cannot hold, and why.
IMPOSSIBLE = {
    "check_sample_weight_equivalence_on_dense_data": "a bag is drawn among rows, not among units of weight",
    "check_sample_weight_equivalence_on_sparse_data": "a bag is drawn among rows, not among units of weight",
    "check_class_weight_classifiers": "needs min_weight_fraction_leaf, which we lack; single rows make pure leaves",
}


@pytest.mark.parametrize("estimator", [ForestClassifier(4, random_state=0), ForestRegressor(4, random_state=0)])
def test_scikit_learns_checks_pass(estimator):
    failed = {}
    for checked, check in estimator_checks_generator(estimator):
        name = check.func.__name__
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(checked)
        except Exception as error:
            if type(error).__name__ not in ("SkipTest", "Skipped") and name not in IMPOSSIBLE:
                failed[name] = repr(error)[:300]
    assert failed == {}


def classification(rows=6000, **settings):
    settings = {"n_features": 30, "n_informative": 12, "n_classes": 6, "random_state": 0} | settings
    X, y = make_classification(2 * rows, **settings)
    return X[:rows].astype(np.float32), y[:rows], X[rows:].astype(np.float32), y[rows:]


def test_accuracy_is_that_of_scikit_learns_forest():
    X, y, new, truth = classification()
    settings = {"max_depth": 20, "random_state": 0}
    ours = np.mean([ForestClassifier(16, max_depth=20, random_state=s).fit(X, y).score(new, truth) for s in range(3)])
    theirs = RandomForestClassifier(48, **settings, n_jobs=1).fit(X, y)
    alone = np.mean(
        [RandomForestClassifier(16, max_depth=20, random_state=s).fit(X, y).score(new, truth) for s in range(3)]
    )
    assert ours == pytest.approx(alone, abs=0.01)
    assert ForestClassifier(48, **settings).fit(X, y).score(new, truth) == pytest.approx(
        theirs.score(new, truth), abs=0.012
    )


@pytest.mark.parametrize("targets", [1, 3])
def test_regression_is_as_good_as_scikit_learns(targets):
    X, y = make_regression(3000, 10, n_informative=5, n_targets=targets, random_state=0)
    y = y + 1e4  # far from zero
    settings = {"max_features": 0.4, "min_samples_leaf": 2, "random_state": 0}
    ours = ForestRegressor(16, **settings).fit(X[:2000], y[:2000])
    theirs = RandomForestRegressor(16, **settings).fit(X[:2000], y[:2000])
    assert ours.predict(X).shape == y.shape
    assert ours.score(X[2000:], y[2000:]) == pytest.approx(theirs.score(X[2000:], y[2000:]), abs=0.02)


@pytest.mark.parametrize("kind", [ForestClassifier, ForestRegressor])
def test_one_seed_gives_one_forest_whatever_the_number_of_threads(kind):
    X, y, *_ = classification(rows=1000)
    forests = [kind(6, random_state=3, n_jobs=jobs).fit(X, y).forest_ for jobs in (None, 1, 3)]
    other = kind(6, random_state=4).fit(X, y).forest_
    for forest in forests[1:]:
        for name, array in forests[0].to_arrays().items():
            np.testing.assert_array_equal(forest.to_arrays()[name], array)
    assert not np.array_equal(other.threshold[:50], forests[0].threshold[:50])


def test_soft_labels_are_learned_as_probabilities():
    rng = np.random.default_rng(0)
    X = rng.random((4000, 3)).astype(np.float32)
    soft = np.stack([X[:, 0], (1 - X[:, 0]) / 2, (1 - X[:, 0]) / 2], axis=1)
    model = ForestClassifier(20, min_samples_leaf=20, max_features=None, random_state=0).fit(X, soft)
    assert model.classes_.tolist() == [0, 1, 2]
    np.testing.assert_allclose(model.predict_proba(X), soft, atol=0.06)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "soft", [[[0.5, 0.6], [1, 0]], [[-0.5, 1.5], [1, 0]], [[1, 1], [0, 1]], [[0.0, 0.0], [1, 0]]]
)
def test_soft_labels_that_are_not_probabilities_are_refused(soft):
    with pytest.raises(ValueError, match="probabilities"):
        ForestClassifier(2).fit([[0.0], [1.0]], np.array(soft))


def test_balanced_class_weights_make_up_for_rare_classes():
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.03).astype(int)
    X = (rng.normal(size=(4000, 2)) + y[:, None]).astype(np.float32)
    shares = {}
    for weight in (None, "balanced", {0: 1, 1: 30}):
        model = ForestClassifier(10, min_samples_leaf=30, class_weight=weight, random_state=0).fit(X, y)
        shares[str(weight)] = model.predict_proba(X)[:, 1].mean()
    assert shares["None"] == pytest.approx(0.03, abs=0.01)
    assert shares["balanced"] > 0.2
    assert shares["{0: 1, 1: 30}"] > 0.2
    hard = ForestClassifier(10, min_samples_leaf=30, class_weight="balanced", random_state=0).fit(X, y)
    soft = ForestClassifier(10, min_samples_leaf=30, class_weight="balanced", random_state=0).fit(X, np.eye(2)[y])
    np.testing.assert_allclose(soft.predict_proba(X), hard.predict_proba(X), atol=1e-5)


def test_a_class_without_soft_mass_keeps_its_column():
    X = np.arange(8, dtype=np.float32)[:, None]
    soft = np.eye(3)[[0, 0, 0, 0, 2, 2, 2, 2]]
    model = ForestClassifier(4, class_weight="balanced", random_state=0).fit(X, soft)
    assert model.predict_proba(X)[:, 1].max() == 0


def test_labels_of_any_type_come_back():
    X = np.arange(20, dtype=float)[:, None]
    names = np.array(["L1", "T12"])[(X[:, 0] > 9).astype(int)]
    model = ForestClassifier(5, random_state=0).fit(X, names)
    assert model.classes_.tolist() == ["L1", "T12"]
    assert model.predict([[0.0], [19.0]]).tolist() == ["L1", "T12"]


def test_a_single_class_is_predicted_with_certainty():
    model = ForestClassifier(2, random_state=0).fit(np.zeros((5, 2)), [7] * 5)
    assert model.predict_proba([[1.0, 1.0]]).tolist() == [[1.0]]
    assert model.predict([[1.0, 1.0]]).tolist() == [7]


def test_zero_weights_are_never_learned_from():
    X = np.arange(40, dtype=float)[:, None]
    y = np.arange(40) % 2
    model = ForestClassifier(5, random_state=0).fit(X, y, sample_weight=y)
    assert model.predict_proba(X)[:, 1].min() == 1
    with pytest.raises(ValueError, match="non-zero"):
        ForestClassifier(5).fit(X, y, sample_weight=np.zeros(40))


@pytest.mark.parametrize(
    "settings",
    [
        {"n_estimators": 0},
        {"n_estimators": 2.5},
        {"max_depth": 0},
        {"min_samples_leaf": 0},
        {"min_samples_split": 1},
        {"max_features": 0},
        {"max_features": 1.5},
        {"max_features": "all"},
    ],
)
def test_settings_out_of_range_are_refused_at_fit(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ForestClassifier(**settings).fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize(("rule", "tried"), [("sqrt", 10), ("log2", 6), (7, 7), (500, 100), (0.25, 25), (None, 100)])
def test_max_features_means_what_it_means_in_scikit_learn(rule, tried):
    assert ForestClassifier(max_features=rule)._tree_settings(100).max_features == tried


def test_columns_as_targets_warn_and_are_flattened():
    X, y = np.arange(10.0)[:, None], np.arange(10) % 2
    with pytest.warns(DataConversionWarning):
        model = ForestClassifier(2, random_state=0).fit(X, y[:, None])
    assert model.predict(X).shape == (10,)


def test_an_unfitted_forest_says_so():
    with pytest.raises(NotFittedError):
        ForestRegressor().predict([[0.0]])


def test_they_work_in_searches_and_clones():
    X, y, *_ = classification(rows=400)
    assert cross_val_score(ForestClassifier(8, random_state=0), X, y, cv=3).mean() > 0.3
    search = GridSearchCV(ForestClassifier(4, random_state=0), {"max_depth": [1, 8]}, cv=2).fit(X, y)
    assert search.best_params_ == {"max_depth": 8}
    assert clone(ForestRegressor(3, max_features=2)).get_params()["max_features"] == 2


@pytest.mark.parametrize("jobs", [1, 3])
def test_importances_are_those_of_scikit_learn(jobs):
    X, y = make_classification(3000, 8, n_informative=3, n_redundant=0, shuffle=False, random_state=0)
    settings = {"max_depth": 6, "max_features": 3, "random_state": 0, "n_jobs": jobs}
    ours = ForestClassifier(30, **settings).fit(X, y).feature_importances_
    theirs = RandomForestClassifier(30, **settings).fit(X, y).feature_importances_
    np.testing.assert_allclose(ours, theirs, atol=0.05)
    assert ours.sum() == pytest.approx(1)


def test_importances_of_a_forest_without_splits_are_zero():
    assert ForestClassifier(3).fit(np.zeros((5, 2)), [0, 1, 0, 1, 0]).feature_importances_.tolist() == [0, 0]


def test_out_of_bag_scores_are_those_of_scikit_learn():
    X, y, *_ = classification(rows=2000)
    model = ForestClassifier(40, oob_score=True, random_state=0).fit(X, y)
    assert model.oob_score_ < model.score(X, y) - 0.05  # rows in the bag are known by heart
    theirs = RandomForestClassifier(40, oob_score=True, random_state=0).fit(X, y)
    assert model.oob_score_ == pytest.approx(theirs.oob_score_, abs=0.03)
    np.testing.assert_allclose(model.oob_decision_function_.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("targets", [1, 3])
def test_out_of_bag_predictions_have_the_shape_of_the_targets(targets):
    X, y = make_regression(800, 6, n_targets=targets, random_state=0)
    model = ForestRegressor(30, oob_score=True, random_state=0).fit(X[:600], y[:600])
    assert model.oob_prediction_.shape == y[:600].shape
    assert model.oob_score_ == pytest.approx(model.score(X[600:], y[600:]), abs=0.08)


def test_soft_labels_are_judged_out_of_the_bag_by_their_most_probable_class():
    X, y, *_ = classification(rows=500)
    hard = ForestClassifier(20, oob_score=True, random_state=0).fit(X, y)
    soft = ForestClassifier(20, oob_score=True, random_state=0).fit(X, np.eye(6)[y])
    assert soft.oob_score_ == pytest.approx(hard.oob_score_, abs=0.02)


def test_rows_that_every_tree_has_seen_are_named_and_left_out_of_the_score():
    with pytest.warns(UserWarning, match="every tree"):
        model = ForestClassifier(1, oob_score=True, random_state=0).fit(np.arange(30.0)[:, None], np.arange(30) % 2)
    assert np.isnan(model.oob_decision_function_).any()
    assert 0 <= model.oob_score_ <= 1


def test_out_of_bag_scores_without_bags_are_refused():
    with pytest.raises(ValueError, match="bootstrap"):
        ForestClassifier(2, bootstrap=False, oob_score=True).fit([[0.0], [1.0]], [0, 1])
