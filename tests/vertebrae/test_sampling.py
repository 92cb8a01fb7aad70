from dataclasses import replace

import numpy as np
import pytest

from regforest.errors import DataError
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume
from regforest.vertebrae.dense_labels import BACKGROUND, class_of_level
from regforest.vertebrae.sampling import SamplingSettings, draw_background, draw_training_points, working_image

GRID = Grid.from_parts((60, 40, 40), (3, 3, 3), (-60, -60, -90))
SPINE = Landmarks({"T12": (0, 0, 40), "L1": (0, 0, 8), "L2": (0, 0, -26)})
SETTINGS = SamplingSettings(per_vertebra=100, background_per_vertebra=100)


def scan(landmarks=SPINE):
    return AnnotatedScan("a", "p", {"image": Volume(np.zeros(GRID.shape_zyx, np.int16), GRID)}, landmarks)


def draw(landmarks=SPINE, seed=0):
    return draw_training_points(scan(landmarks), GRID, SETTINGS, np.random.default_rng(seed))


def test_every_vertebra_gets_about_the_same_number_of_voxels():
    share = draw().labels.sum(axis=0)
    parts = [share[class_of_level(name)] for name in SPINE]
    assert max(parts) < 1.35 * min(parts)
    assert share[BACKGROUND] > max(parts)


def test_all_voxels_lie_inside_the_image():
    index = draw().index_zyx
    assert (index >= 0).all()
    assert (index < GRID.shape_zyx).all()


def test_no_voxel_lies_near_a_body_that_nobody_annotated():
    index = draw().index_zyx
    points = GRID.index_to_lps(index[:, ::-1])
    for guess in ((0, 0, 72), (0, 0, -60)):
        assert np.linalg.norm(points - guess, axis=1).min() >= 14


def test_hard_labels_are_the_likeliest_classes_of_the_same_voxels():
    settings, rng = replace(SETTINGS, soft_labels=False), np.random.default_rng(0)
    hard, soft = draw_training_points(scan(), GRID, settings, rng), draw()
    np.testing.assert_array_equal(hard.index_zyx, soft.index_zyx)
    assert set(np.unique(hard.labels)) == {0.0, 1.0}
    np.testing.assert_array_equal(hard.labels.argmax(axis=1), soft.labels.argmax(axis=1))


def test_soft_labels_is_true_or_false():
    with pytest.raises(ValueError, match="soft_labels"):
        SamplingSettings(soft_labels=1)


def test_one_seed_gives_one_draw():
    np.testing.assert_array_equal(draw(seed=5).index_zyx, draw(seed=5).index_zyx)
    assert not np.array_equal(draw(seed=5).index_zyx, draw(seed=6).index_zyx)


def test_landmarks_that_all_lie_outside_are_an_error_that_names_the_scan():
    with pytest.raises(DataError, match="a: no annotated vertebra"):
        draw(Landmarks({"L1": (900, 0, 0)}))


def test_padding_values_become_air_and_the_working_image_is_isotropic():
    voxels = np.full((10, 20, 20), -3024, np.int16)
    image = working_image(Volume(voxels, Grid.from_parts((10, 20, 20), (1, 1, 5))), 3.0)
    assert image.voxels.dtype == np.int16
    assert (image.voxels == -1024).all()
    np.testing.assert_allclose(image.grid.spacing_mm, 3)


def test_more_background_holds_no_vertebra_and_is_as_much_as_asked():
    drawn = draw_background(scan(), GRID, SETTINGS, 200, np.random.default_rng(0))
    assert 300 < len(drawn.index_zyx) <= 600
    assert drawn.labels[:, BACKGROUND].mean() > 0.8
