import numpy as np
import pytest
from scipy.stats import multivariate_normal

from regforest.errors import DataError, ModelError
from regforest.spatial import PAPER_LEVELS
from regforest.vertebrae.appearance import Appearance


def examples(count=400):
    """Features that grow with the level on bodies; elsewhere they scatter more around another place."""
    rng = np.random.default_rng(0)
    levels = rng.choice([i for i in range(len(PAPER_LEVELS)) if i != 10], count)
    rows = rng.normal(0, 1, (count, 4)) + np.stack([levels, 0 * levels, 5 + 0 * levels, -levels], axis=1)
    return rows.astype(np.float32), levels, rng.normal(0, 6, (count, 4)).astype(np.float32)


def test_the_ratio_is_that_of_two_gaussians():
    rows, levels, others = examples()
    model = Appearance.fit(rows, levels, others, components=4)
    place = np.array([[9.5, 0.3, 4.0, -9.0]], np.float32)
    found = (place - model.centre) @ model.basis
    by_hand = []
    for mean, whiten in [
        *((m, model.level_whiten) for m in model.level_means),
        (model.other_mean, model.other_whiten),
    ]:
        covariance = np.linalg.inv(whiten.T @ whiten)
        by_hand.append(multivariate_normal(mean, covariance).logpdf(found[0]))
    expected = np.array(by_hand[:-1]) - by_hand[-1]
    assert expected[10] > 0
    expected[10] = 0  # of which there is no example
    np.testing.assert_allclose(model.log_ratio(place)[0], expected, rtol=1e-6, atol=1e-8)


def test_bodies_are_told_from_other_places_and_from_one_another():
    rows, levels, others = examples()
    model = Appearance.fit(rows, levels, others, components=4)
    assert np.median(np.abs(model.log_ratio(rows).argmax(axis=1) - levels)) <= 1
    assert (model.log_ratio(rows).max(axis=1) > 0).mean() > 0.9
    assert (model.log_ratio(others).max(axis=1) < 0).mean() > 0.7


def test_a_vertebra_never_seen_looks_like_its_neighbours():
    rows, levels, others = examples(2000)
    model = Appearance.fit(rows, levels, others, components=4)
    back = model.level_means @ np.linalg.pinv(model.basis) + model.centre
    assert back[10, 0] == pytest.approx(10, abs=0.7)


def test_examples_that_are_all_alike_do_not_break_it():
    flat = np.ones((10, 3), np.float32)
    model = Appearance.fit(flat, np.zeros(10, np.int64), flat, components=3)
    assert np.isfinite(model.log_ratio(flat)).all()


def test_both_kinds_of_examples_are_needed():
    rows, levels, _ = examples()
    with pytest.raises(DataError, match="one of them is missing"):
        Appearance.fit(rows, levels, np.empty((0, 4), np.float32), components=2)


def test_arrays_that_do_not_fit_are_refused():
    arrays = Appearance.fit(*examples(), components=3).to_arrays()
    assert Appearance.from_arrays(arrays).to_arrays().keys() == arrays.keys()
    with pytest.raises(ModelError, match=r"level_means: .* shape"):
        Appearance.from_arrays(arrays | {"level_means": arrays["level_means"][:5]})
    with pytest.raises(ModelError, match="array basis: expected f8, found NoneType"):
        Appearance.from_arrays({k: v for k, v in arrays.items() if k != "basis"})
