from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest import ForestClassifier, PoolRows, TrainingImage, TreeSettings, grow_on_pool

SPACING = (1.5, 2.0, 2.5)


@pytest.fixture(scope="module")
def pool():
    return BoxFeatures.random(30, seed=2, max_offset_mm=12, size_range_mm=(1.5, 12))


def training_set(voxels=(700, 900, 5)):
    rng = np.random.default_rng(0)
    images = []
    for count, shape in zip(voxels, ((9, 12, 20), (14, 8, 11), (6, 7, 8)), strict=True):
        smooth = (ndimage.gaussian_filter(rng.normal(size=shape), 1.5) * 9000).astype(np.int16)
        images.append(TrainingImage([smooth], rng.integers(0, shape, (count, 3))))
    values = [image.volumes[0][tuple(np.asarray(image.index_zyx).T)] for image in images]
    return images, np.digitize(np.concatenate(values), [-600, 0, 600])


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("soft", [False, True])
def test_the_forest_is_the_one_that_an_estimator_grows_on_all_features(pool, jobs, soft):
    images, labels = training_set()
    features = PoolRows(images, SPACING, pool).matrix()
    targets = 0.9 * np.eye(4, dtype=np.float32)[labels] + np.float32(0.025)
    estimator = ForestClassifier(5, min_samples_leaf=3, max_features=6, max_depth=9, random_state=4)
    expected = estimator.fit(features, targets if soft else labels).forest_.to_arrays()
    done = []
    forest = grow_on_pool(
        images, SPACING, pool, targets if soft else labels.astype(np.int32), TreeSettings(6, 9, min_samples_leaf=3),
        seed=4, n_trees=5, n_classes=0 if soft else 4, n_jobs=jobs, progress=lambda *step: done.append(step),
    )  # fmt: skip
    for name, array in forest.to_arrays().items():
        np.testing.assert_array_equal(array, expected[name])
    assert done[-1] == (5, 5)


def test_rows_are_those_of_the_pool_whole_or_in_part(pool):
    images, _ = training_set()
    rows = PoolRows(images, SPACING, pool)
    second = pool.evaluate(images[1].volumes, SPACING, images[1].index_zyx)
    np.testing.assert_array_equal(rows.block(1), second)
    np.testing.assert_array_equal(rows.block(1, np.array([7, 2])), second[[7, 2]])
    np.testing.assert_array_equal(rows.matrix()[700:1600], second)


def test_a_set_without_images_is_refused(pool):
    with pytest.raises(DataError, match="at least one image"):
        grow_on_pool([], SPACING, pool, np.zeros(0, np.int32), TreeSettings(1), seed=0, n_trees=1, n_classes=2)
