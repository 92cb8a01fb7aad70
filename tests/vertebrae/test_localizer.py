"""The whole method on a toy spine: bright balls of three sizes in a row."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from regforest.errors import DataError, ModelError
from regforest.spatial import Volume
from regforest.vertebrae import VertebraLocalizer, VertebraSettings
from regforest.vertebrae.bodies import BodySettings
from regforest.vertebrae.sampling import SamplingSettings
from tests.vertebrae.toy_spine import reordered, toy_scan

SETTINGS = VertebraSettings(
    spacing_mm=4.0,
    features=150,
    trees=8,
    max_depth=12,
    bodies=BodySettings(trees=6, features=100, max_depth=12),
    sampling=SamplingSettings(per_vertebra=120, background_per_vertebra=100),
)


@pytest.fixture(scope="module")
def localizer():
    return VertebraLocalizer(SETTINGS, seed=1).fit(toy_scan(i) for i in range(6))


def errors_mm(found, scan):
    return [np.linalg.norm(found[name] - scan.landmarks[name]) for name in scan.landmarks]


def test_a_toy_spine_is_found_and_named(localizer):
    scan = toy_scan(100)
    answer = localizer.localize(scan.image)
    assert list(answer.landmarks) == list(scan.landmarks)
    assert max(errors_mm(answer.landmarks, scan)) < 4
    assert answer.shift_probability[0] > 0.5


def test_all_48_axis_orders_give_the_same_landmarks(localizer):
    scan = toy_scan(101)
    expected = localizer.locate(scan.image)
    for axes, flips in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        found = localizer.locate(reordered(scan.image, axes, flips))
        assert list(found) == list(expected)
        np.testing.assert_allclose(found.points_lps_mm, expected.points_lps_mm, atol=1e-6)


def test_the_number_of_jobs_changes_nothing(localizer):
    again = VertebraLocalizer(SETTINGS, seed=1).fit((toy_scan(i) for i in range(6)), n_jobs=2)
    scan = toy_scan(102)
    one, two = localizer.localize(scan.image), again.localize(scan.image, n_jobs=2)
    assert one.landmarks == two.landmarks
    assert one.probabilities == two.probabilities


def test_a_saved_model_gives_the_same_answer(localizer, tmp_path):
    localizer.save(tmp_path / "model.rfm")
    again = VertebraLocalizer.load(tmp_path / "model.rfm")
    scan = toy_scan(103)
    assert again.settings == localizer.settings
    assert again.localize(scan.image) == localizer.localize(scan.image)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.rfm"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"model\.rfm"):
        VertebraLocalizer.load(path)


def test_an_image_of_one_value_is_empty_with_the_reason(localizer):
    image = toy_scan(0).image
    answer = localizer.localize(Volume(np.zeros_like(image.voxels), image.grid))
    assert answer.status == "empty"
    assert "one value" in answer.reason


def test_an_image_without_a_spine_is_never_confident(localizer):
    image = toy_scan(0).image
    noise = np.random.default_rng(0).normal(-100, 20, image.grid.shape_zyx).astype(np.int16)
    answer = localizer.localize(Volume(noise, image.grid))
    assert answer.status != "ok"


@pytest.mark.parametrize("wrong", [lambda hu: hu + np.int16(1024), lambda hu: (hu + 1024) / np.float32(4000)])
def test_values_that_are_no_hounsfield_units_are_never_ok(localizer, wrong):
    image = toy_scan(105).image
    assert "Hounsfield" not in localizer.localize(image).reason
    answer = localizer.localize(Volume(wrong(image.voxels), image.grid))
    assert answer.status != "ok"
    assert "no Hounsfield units" in answer.reason


@pytest.mark.parametrize(
    "wrong",
    [{"trees": 0}, {"features": -1}, {"spacing_mm": 0.0}, {"spacing_mm": np.nan}, {"box_size_mm": (9.0, 3.0)}],
)
def test_settings_that_nothing_can_be_learned_with_are_refused_at_once(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        VertebraSettings(**wrong)


def test_training_without_scans_is_an_error():
    with pytest.raises(DataError, match="at least one annotated scan"):
        VertebraLocalizer(SETTINGS).fit([])


def test_an_anchor_decides_the_names(localizer):
    scan = toy_scan(104)
    answer = localizer.localize(scan.image, anchor={"L2": scan.landmarks["L3"]})
    assert np.linalg.norm(answer.landmarks["L2"] - scan.landmarks["L3"]) < 4
    assert answer.anchored


def test_features_drawn_at_every_node_find_the_spine_too(tmp_path):
    bodies = replace(SETTINGS.bodies, features=0, features_per_node=12)
    settings = replace(SETTINGS, features=0, features_per_node=12, bodies=bodies)
    VertebraLocalizer(settings, seed=1).fit((toy_scan(i) for i in range(6)), n_jobs=2).save(tmp_path / "m.rfm")
    scan = toy_scan(100)
    answer = VertebraLocalizer.load(tmp_path / "m.rfm").localize(scan.image)
    assert list(answer.landmarks) == list(scan.landmarks)
    assert max(errors_mm(answer.landmarks, scan)) < 4


def test_without_a_forest_of_the_bodies_each_vertebras_own_map_gives_the_candidates():
    settings = replace(SETTINGS, bodies=BodySettings(trees=0))
    scan = toy_scan(100)
    answer = VertebraLocalizer(settings, seed=1).fit(toy_scan(i) for i in range(6)).localize(scan.image)
    assert list(answer.landmarks) == list(scan.landmarks)
    assert max(errors_mm(answer.landmarks, scan)) < 4
