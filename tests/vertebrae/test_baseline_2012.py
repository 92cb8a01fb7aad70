"""The 2012 method on a toy spine: bright balls in a row."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from regforest.errors import DataError, ModelError
from regforest.io.models import read_model, write_model
from regforest.spatial import PAPER_LEVELS, Grid, Landmarks, Volume
from regforest.vertebrae import Baseline2012, BaselineSettings
from regforest.vertebrae.vote_chain import ChainSettings
from tests.vertebrae.toy_spine import reordered, toy_scan

SETTINGS = replace(BaselineSettings.quick(), min_samples_leaf=10, votes=300, chain=ChainSettings(candidates=60))


@pytest.fixture(scope="module")
def baseline():
    return Baseline2012(SETTINGS).fit(toy_scan(i) for i in range(6))


def test_a_toy_spine_is_found_and_named(baseline):
    scan = toy_scan(100)
    answer = baseline.localize(scan.image)
    assert list(answer.landmarks) == list(scan.landmarks)
    assert max(np.linalg.norm(answer.landmarks[name] - scan.landmarks[name]) for name in scan.landmarks) < 6
    assert (answer.status, answer.reason) == ("uncertain", "no anchoring level in view")
    assert answer.shift_probability[0] > 0.5
    assert set(answer.probabilities) == set(answer.landmarks)
    assert baseline.locate(scan.image) == answer.landmarks


def test_centres_are_not_shifted_to_one_side(baseline):
    away = []
    for seed in range(100, 106):
        scan = toy_scan(seed)
        found = baseline.locate(scan.image)
        away += [found[name] - scan.landmarks[name] for name in found if name in scan.landmarks]
    assert len(away) >= 25
    assert np.abs(np.mean(away, axis=0)).max() < 2.0  # half a voxel; each model errs by itself, and less


def test_all_48_axis_orders_give_the_same_landmarks(baseline):
    scan = toy_scan(101)
    expected = baseline.locate(scan.image)
    for axes, flips in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        found = baseline.locate(reordered(scan.image, axes, flips))
        assert list(found) == list(expected)
        np.testing.assert_allclose(found.points_lps_mm, expected.points_lps_mm, atol=1e-6)


def test_a_part_of_the_spine_is_found_by_itself(baseline):
    scan = toy_scan(102)
    keep = int(np.rint(scan.image.grid.lps_to_index(scan.landmarks["L3"])[2] - 5))
    part = Volume(scan.image.voxels[keep:], scan.image.grid.cropped((0, 0, keep), (64 - keep, 30, 30)))
    assert list(baseline.locate(part)) == ["L1", "L2", "L3"]


def test_a_border_between_regions_makes_the_answer_certain():
    def renamed(seed):
        scan = toy_scan(seed)
        names = dict(zip(("L1", "L2", "L3", "L4", "L5"), ("T11", "T12", "L1", "L2", "L3"), strict=True))
        return replace(scan, landmarks=Landmarks({names[name]: point for name, point in scan.landmarks.items()}))

    answer = Baseline2012(SETTINGS).fit(renamed(i) for i in range(6)).localize(toy_scan(100).image)
    assert list(answer.landmarks) == ["T11", "T12", "L1", "L2", "L3"]
    assert (answer.status, answer.reason, answer.anchored) == ("ok", "", True)


def test_the_number_of_jobs_changes_nothing(baseline):
    again = Baseline2012(SETTINGS).fit((toy_scan(i) for i in range(6)), n_jobs=2)
    scan = toy_scan(103)
    assert baseline.localize(scan.image) == again.localize(scan.image, n_jobs=2)


def test_a_saved_model_gives_the_same_answer(baseline, tmp_path):
    baseline.save(tmp_path / "model.rfm")
    again = Baseline2012.load(tmp_path / "model.rfm")
    scan = toy_scan(104)
    assert again.settings == baseline.settings
    assert again.localize(scan.image) == baseline.localize(scan.image)


def test_a_model_that_does_not_fit_is_a_model_error_that_names_the_file(baseline, tmp_path):
    path = tmp_path / "model.rfm"
    baseline.save(path)
    settings, arrays = read_model(path, "vertebrae-2012")
    write_model(path, "vertebrae-2012", {**settings, "prior": {}}, arrays)
    with pytest.raises(ModelError, match=r"model\.rfm.*settings"):
        Baseline2012.load(path)
    write_model(path, "vertebrae-2012", settings, arrays | {"forest.values": arrays["forest.values"][:, :5]})
    with pytest.raises(ModelError, match=r"model\.rfm.*104"):
        Baseline2012.load(path)


def test_an_image_of_one_value_is_empty_with_the_reason(baseline):
    image = toy_scan(0).image
    answer = baseline.localize(Volume(np.zeros_like(image.voxels), image.grid))
    assert (answer.status, len(answer.landmarks)) == ("empty", 0)
    assert "one value" in answer.reason


def test_an_image_without_a_spine_is_empty(baseline):
    image = toy_scan(0).image
    noise = np.random.default_rng(0).normal(-100, 20, image.grid.shape_zyx).astype(np.int16)
    assert baseline.localize(Volume(noise, image.grid)).status == "empty"


def test_values_that_are_no_hounsfield_units_are_never_ok(baseline):
    image = toy_scan(105).image
    answer = baseline.localize(Volume(image.voxels + np.int16(1024), image.grid))
    assert answer.status != "ok"
    assert "no Hounsfield units" in answer.reason


def test_levels_of_which_no_training_scan_shows_one_can_still_be_named():
    def without_l3(seed):
        scan = toy_scan(seed)
        return replace(scan, landmarks=scan.landmarks.select(lambda name: name != "L3"))

    scan = toy_scan(100)
    found = Baseline2012(SETTINGS).fit(without_l3(i) for i in range(6)).locate(scan.image)
    assert "L3" in found
    assert np.linalg.norm(found["L3"] - scan.landmarks["L3"]) < 8


def test_scans_of_one_vertebra_take_part_in_training(baseline):
    def alone(seed):
        scan = toy_scan(seed)
        return replace(scan, landmarks=scan.landmarks.select(lambda name: name == "L2"))

    scan = toy_scan(100)
    found = Baseline2012(SETTINGS).fit([alone(9), *(toy_scan(i) for i in range(5))]).locate(scan.image)
    assert list(found) == list(scan.landmarks)


def test_training_without_scans_or_without_an_annotated_vertebra_is_an_error():
    with pytest.raises(DataError, match="at least one annotated scan"):
        Baseline2012(SETTINGS).fit([])
    with pytest.raises(DataError, match="no annotated vertebra"):
        Baseline2012(SETTINGS).fit([replace(toy_scan(0), landmarks=Landmarks({}))])


def test_a_single_voxel_is_no_spine(baseline):
    grid = Grid.from_parts((1, 1, 2), (3, 3, 3))
    assert baseline.localize(Volume(np.array([[[0, 50]]], np.int16), grid)).status != "ok"
    assert len(PAPER_LEVELS) == 26
