from dataclasses import replace

import numpy as np
import pytest

from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest import ForestClassifier, predict_coarse_to_fine, predict_volume
from regforest.forest._refining import mark_planes, spread_planes
from tests.reference import interpolated_halfway

SPACING = (2.0, 2.0, 2.0)
SHAPE = (30, 31, 33)
_NODES = ("feature", "threshold", "left", "right", "leaf")


@pytest.fixture(scope="module")
def case():
    """Two bright balls on dark noise: class 0 is the background, 1 and 2 are the balls."""
    rng = np.random.default_rng(0)
    zyx = np.indices(SHAPE)
    labels = np.zeros(SHAPE, int)
    for value, centre in ((1, (8, 9, 10)), (2, (20, 20, 22))):
        labels[sum((axis - c) ** 2 for axis, c in zip(zyx, centre, strict=True)) < 16] = value
    image = (np.array([0, 900, 1800])[labels] + rng.normal(0, 60, SHAPE)).astype(np.int16)
    boxes = BoxFeatures.random(40, seed=1, max_offset_mm=8, size_range_mm=(2, 8))
    index = np.concatenate([np.argwhere(labels > 0), rng.integers(0, SHAPE, (2000, 3))])
    X = boxes.evaluate([image], SPACING, index)
    forest = ForestClassifier(8, random_state=0).fit(X, labels[tuple(index.T)]).forest_
    return forest, boxes, [image]


def test_foreground_labels_are_those_of_the_full_prediction(case):
    full = predict_volume(*case, SPACING).argmax(axis=0)
    fast = predict_coarse_to_fine(*case, SPACING, background=0).argmax(axis=0)
    foreground = full > 0
    assert foreground.sum() > 300
    np.testing.assert_array_equal(fast[foreground], full[foreground])


def test_when_nothing_is_certain_everything_is_predicted(case):
    fast = predict_coarse_to_fine(*case, SPACING, background=0, doubt=-1)
    np.testing.assert_array_equal(fast, predict_volume(*case, SPACING))


def test_when_all_is_certain_each_block_has_its_first_voxel(case):
    full = predict_volume(*case, SPACING)
    fast = predict_coarse_to_fine(*case, SPACING, background=0, doubt=99)
    z, y, x = np.indices(SHAPE) // 4 * 4
    np.testing.assert_array_equal(fast, full[:, z, y, x])


def test_the_number_of_threads_changes_nothing(case):
    one = predict_coarse_to_fine(*case, SPACING, background=0)
    np.testing.assert_array_equal(predict_coarse_to_fine(*case, SPACING, background=0, n_jobs=3), one)


def test_a_stride_of_one_is_the_full_prediction(case):
    fast = predict_coarse_to_fine(*case, SPACING, background=0, stride=1)
    np.testing.assert_array_equal(fast, predict_volume(*case, SPACING))


@pytest.mark.parametrize("stride", [0, 3, -4])
def test_strides_that_cannot_be_halved_are_refused(case, stride):
    with pytest.raises(DataError, match="stride"):
        predict_coarse_to_fine(*case, SPACING, background=0, stride=stride)


def test_voxels_where_the_interpolated_foreground_matters_have_their_own_values(case):
    full = predict_volume(*case, SPACING)
    fast = predict_coarse_to_fine(*case, SPACING, background=0, doubt=0.25, stride=2)
    doubtful = 1 - interpolated_halfway(full[0, ::2, ::2, ::2], SHAPE) > 0.101
    assert 0 < doubtful.mean() < 0.5
    np.testing.assert_array_equal(fast[:, doubtful], full[:, doubtful])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (5, 4, 7)])
def test_the_foreground_is_interpolated_and_values_are_repeated(shape):
    coarse = np.random.default_rng(0).random((3, *(-(-n // 2) for n in shape))).astype(np.float32)
    maps, wanted = np.empty((3, *shape), np.float32), np.empty(shape, bool)
    for start, stop in ((0, 1), (1, shape[0])):
        mark_planes(coarse[1], 0.45, start, stop, wanted)
        spread_planes(coarse, start, stop, maps)
    expected = 1 - interpolated_halfway(coarse[1], shape) > 0.45
    expected[::2, ::2, ::2] = False
    z, y, x = np.indices(shape) // 2
    np.testing.assert_array_equal(maps, coarse[:, z, y, x])
    np.testing.assert_array_equal(wanted, expected)


@pytest.mark.parametrize(("softness", "doubt"), [(0.0, 0.4), (0.8, 0.1)])
def test_the_default_for_hard_labels_is_that_of_the_most_probable_class(case, softness, doubt):
    forest, *rest = case
    ground = np.array([1, 0, 0], np.float32)
    forest = replace(forest, values=(softness * ground + (1 - softness) * forest.values).astype(np.float32))
    given = predict_coarse_to_fine(forest, *rest, SPACING, background=0, doubt=doubt)
    np.testing.assert_array_equal(predict_coarse_to_fine(forest, *rest, SPACING, background=0), given)
    other = predict_coarse_to_fine(forest, *rest, SPACING, background=0, doubt=0.5 - doubt)
    assert (other != given).any()


@pytest.mark.parametrize("classes", [3, 10])
def test_voxels_that_the_first_trees_settle_have_their_mean_alone(case, classes):
    _, boxes, volumes = case
    rng = np.random.default_rng(1)
    index = rng.integers(0, SHAPE, (1500, 3))
    y = np.where(volumes[0][tuple(index.T)] > 400, rng.integers(1, classes, 1500), rng.random(1500) < 0.05)
    forest = ForestClassifier(20, random_state=0).fit(boxes.evaluate(volumes, SPACING, index), y).forest_
    nodes = {name: getattr(forest, name)[: forest.roots[16]] for name in _NODES}
    sixteen = replace(forest, roots=forest.roots[:16], **nodes)
    full, first = (predict_volume(f, boxes, volumes, SPACING)[:, ::2, ::2, ::2] for f in (forest, sixteen))
    fast = predict_coarse_to_fine(forest, boxes, volumes, SPACING, background=0, doubt=0.8, stride=2)
    settled = 1 - first[0] < 0.25 * 0.4 * 0.8
    assert 0 < settled.mean() < 1
    assert (full != first)[:, settled].any()
    np.testing.assert_array_equal(fast[:, ::2, ::2, ::2], np.where(settled, first, full))


def test_a_background_that_does_not_exist_is_an_error(case):
    with pytest.raises(DataError, match=r"0\.\.2, got 3"):
        predict_coarse_to_fine(*case, SPACING, background=3)
