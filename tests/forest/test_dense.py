from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from regforest.errors import DataError
from regforest.features import BoxFeatures
from regforest.forest import (
    Forest,
    ForestClassifier,
    ForestRegressor,
    predict_labels,
    predict_points,
    predict_slabs,
    predict_volume,
)
from regforest.forest.slabs import SlabPrediction, VoxelForest, slab_bytes

SPACING = (1.5, 2.0, 2.5)


def smooth_case(seed=0, shape=(11, 13, 37), channels=1, **settings):
    """Images whose labels can be learned, so that voxels stay together, and a forest of some depth."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(channels, *shape))
    volumes = [(ndimage.gaussian_filter(image, 1.5) * 9000).astype(np.int16) for image in raw]
    labels = np.digitize(ndimage.gaussian_filter(volumes[0].astype(float), 1.0), [-600, 0, 600])
    boxes = BoxFeatures.random(60, seed=rng, max_offset_mm=12, size_range_mm=(1.5, 12), channels=channels)
    index = rng.integers(0, shape, (900, 3))
    X = boxes.evaluate(volumes, SPACING, index)
    forest = ForestClassifier(5, random_state=seed, **settings).fit(X, labels[tuple(index.T)]).forest_
    return forest, boxes, volumes


@pytest.mark.parametrize("channels", [1, 2])
def test_every_voxel_gets_what_its_features_give(channels):
    forest, boxes, volumes = smooth_case(channels=channels)
    assert forest.depth > 6
    found = predict_volume(forest, boxes, volumes, SPACING)
    rows = boxes.evaluate_dense(volumes, SPACING).reshape(60, -1).T
    np.testing.assert_array_equal(found.reshape(4, -1).T, forest.predict(rows))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 300), (2, 40, 1), (3, 5, 70), (6, 60, 9)])
def test_shapes_of_any_kind_are_predicted(seed, shape):
    forest, boxes, _ = smooth_case(seed)
    image = np.random.default_rng(seed).integers(-3000, 3000, shape).astype(np.int16)
    rows = boxes.evaluate_dense([image], SPACING).reshape(60, -1).T
    found = predict_volume(forest, boxes, [image], SPACING)
    np.testing.assert_array_equal(found.reshape(4, -1).T, forest.predict(rows))


@pytest.mark.parametrize("stride", [2, 3, 5, 50])
def test_a_stride_picks_voxels_and_changes_none(stride):
    forest, boxes, volumes = smooth_case(1)
    full = predict_volume(forest, boxes, volumes, SPACING)
    strided = predict_volume(forest, boxes, volumes, SPACING, stride=stride)
    np.testing.assert_array_equal(strided, full[:, ::stride, ::stride, ::stride])


def test_the_number_of_threads_changes_nothing():
    forest, boxes, volumes = smooth_case(2)
    one = predict_volume(forest, boxes, volumes, SPACING, n_jobs=1)
    np.testing.assert_array_equal(predict_volume(forest, boxes, volumes, SPACING, n_jobs=3), one)


def test_points_in_any_order_get_what_the_volume_gets():
    forest, boxes, volumes = smooth_case(3)
    full = predict_volume(forest, boxes, volumes, SPACING)
    index = np.random.default_rng(0).integers(0, volumes[0].shape, (5000, 3))  # more than a block, with repeats
    found = predict_points(forest, boxes, volumes, SPACING, index)
    np.testing.assert_array_equal(found, full[:, *index.T].T)
    assert predict_points(forest, boxes, volumes, SPACING, []).shape == (0, 4)


def test_a_table_that_was_built_once_serves_many_calls():
    forest, boxes, volumes = smooth_case(3)
    table = boxes.compile(SPACING).integrate(volumes)
    index = np.argwhere(np.ones(volumes[0].shape))[::7]
    np.testing.assert_array_equal(
        predict_points(forest, boxes, table, SPACING, index), predict_points(forest, boxes, volumes, SPACING, index)
    )


def test_chosen_outputs_are_those_of_the_full_answer():
    forest, boxes, volumes = smooth_case()
    full = predict_volume(forest, boxes, volumes, SPACING)
    np.testing.assert_array_equal(predict_volume(forest, boxes, volumes, SPACING, outputs=[3, 0]), full[[3, 0]])
    for outputs in ([4], [-1], []):
        with pytest.raises(DataError, match="outputs among"):
            predict_volume(forest, boxes, volumes, SPACING, outputs=outputs)


def test_regression_forests_give_one_volume_per_target():
    rng = np.random.default_rng(0)
    volume = (ndimage.gaussian_filter(rng.normal(size=(9, 9, 20)), 1) * 5000).astype(np.int16)
    boxes = BoxFeatures.random(30, seed=1, max_offset_mm=6, size_range_mm=(1, 6))
    index = np.argwhere(np.ones(volume.shape))
    X = boxes.evaluate([volume], 1.0, index)
    model = ForestRegressor(4, random_state=0, min_samples_leaf=3).fit(X, index.astype(float))
    found = predict_volume(model.forest_, boxes, [volume], 1.0)
    np.testing.assert_array_equal(found.reshape(3, -1).T, model.predict(X))


def test_a_forest_of_bare_leaves_predicts_them_everywhere():
    X = np.zeros((10, 60), np.float32)
    forest = ForestClassifier(3, bootstrap=False, random_state=0).fit(X, [0, 1] * 5).forest_
    _, boxes, volumes = smooth_case()
    assert forest.depth == 0
    np.testing.assert_allclose(predict_volume(forest, boxes, volumes, SPACING), 0.5)


def test_progress_counts_planes_up_to_their_number():
    forest, boxes, volumes = smooth_case()
    seen = []
    predict_volume(forest, boxes, volumes, SPACING, n_jobs=2, progress=lambda done, of: seen.append((done, of)))
    done = [count for count, _ in seen]
    assert done == sorted(set(done))
    assert seen[-1] == (11, 11)


def test_a_pool_that_does_not_fit_is_refused():
    forest, boxes, volumes = smooth_case()
    with pytest.raises(DataError, match="60 features, the pool has 59"):
        predict_volume(forest, boxes.subset(range(59)), volumes, SPACING)
    with pytest.raises(DataError, match="stride"):
        predict_volume(forest, boxes, volumes, SPACING, stride=0)


def test_context_features_on_quantised_probabilities_go_through_the_same_path():
    forest, boxes, volumes = smooth_case()
    maps = [(p * 10_000).astype(np.int16) for p in predict_volume(forest, boxes, volumes, SPACING)]
    context = BoxFeatures.random(60, seed=5, max_offset_mm=15, size_range_mm=(2, 9), channels=5)
    channels = [*volumes, *maps]
    index = np.argwhere(np.ones(volumes[0].shape))[::5]
    X = context.evaluate(channels, SPACING, index)
    second = ForestClassifier(3, random_state=0).fit(X, maps[1][tuple(index.T)] > 3000).forest_
    found = predict_volume(second, context, channels, SPACING)
    np.testing.assert_array_equal(found[:, *index.T].T, second.predict(X))


def test_a_forest_read_from_arrays_predicts_the_same():
    forest, boxes, volumes = smooth_case()
    again = Forest.from_arrays(forest.to_arrays())
    np.testing.assert_array_equal(
        predict_volume(again, boxes, volumes, SPACING), predict_volume(forest, boxes, volumes, SPACING)
    )


@pytest.mark.parametrize("stride", [1, 3])
def test_labels_are_the_largest_of_the_full_answer(stride):
    forest, boxes, volumes = smooth_case()
    full = predict_volume(forest, boxes, volumes, SPACING, stride=stride)
    found = predict_labels(forest, boxes, volumes, SPACING, stride=stride, n_jobs=2)
    np.testing.assert_array_equal(found.label, full.argmax(axis=0))
    np.testing.assert_array_equal(found.probability, full.max(axis=0))


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_slabs_put_together_are_the_volume(stride):
    forest, boxes, volumes = smooth_case(1, channels=2)
    full = predict_volume(forest, boxes, volumes, SPACING, stride=stride)
    fixed, each = slab_bytes(VoxelForest.compile(forest, boxes, SPACING), volumes[0].shape, stride, 1)
    bound = (fixed + 2.5 * (each + 4 * 4 * 13 * 37)) / 1e6
    slabs = list(predict_slabs(forest, boxes, volumes, SPACING, stride=stride, max_memory_mb=bound))
    assert max(maps.shape[1] for _, maps in slabs) == min(2, full.shape[1])
    assert [planes.start for planes, _ in slabs] == list(range(0, full.shape[1], 2))
    np.testing.assert_array_equal(np.concatenate([maps for _, maps in slabs], axis=1), full)
    bounded = predict_volume(forest, boxes, volumes, SPACING, stride=stride, max_memory_mb=bound, n_jobs=1)
    np.testing.assert_array_equal(bounded, full)


def test_a_bound_that_no_plane_fits_into_says_how_much_one_needs():
    forest, boxes, volumes = smooth_case()
    with pytest.raises(DataError, match=r"one plane needs \d+ MB"):
        predict_volume(forest, boxes, volumes, SPACING, max_memory_mb=0.1)


def test_progress_goes_on_from_slab_to_slab():
    forest, boxes, volumes = smooth_case()
    fixed, each = slab_bytes(VoxelForest.compile(forest, boxes, SPACING), volumes[0].shape, 1, 1)
    seen = []
    predict_labels(
        forest,
        boxes,
        volumes,
        SPACING,
        max_memory_mb=(fixed + 4.5 * each) / 1e6,
        progress=lambda *at: seen.append(at),
    )
    assert seen == [(4, 11), (8, 11), (11, 11)]


def test_the_memory_of_the_work_stays_below_what_was_reckoned():
    forest, boxes, _ = smooth_case()
    image = np.zeros((150, 150, 150), np.int16)
    fixed, each = slab_bytes(VoxelForest.compile(forest, boxes, SPACING), image.shape, 1, 1)
    tracemalloc.start()
    predict_labels(forest, boxes, [image], SPACING, max_memory_mb=(fixed + 20 * each) / 1e6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    results = image.size * (2 + 4)
    assert peak - results < (fixed + 20 * each) * 1.1
    assert peak - results > 10 * each  # it was measured


def test_only_wanted_voxels_are_written():
    forest, boxes, volumes = smooth_case(2)
    full = predict_volume(forest, boxes, volumes, SPACING)
    wanted = np.random.default_rng(0).random(volumes[0].shape) < 0.1
    maps = np.full(full.shape, -1, np.float32)
    SlabPrediction(VoxelForest.compile(forest, boxes, SPACING), volumes).fill(slice(0, 11), maps=maps, wanted=wanted)
    np.testing.assert_array_equal(maps, np.where(wanted, full, -1))


def test_a_volume_thinner_than_every_box_is_predicted():
    forest, boxes, _ = smooth_case()
    image = np.full((1, 1, 1), 500, np.int16)
    found = predict_volume(forest, boxes, [image], 0.3)
    np.testing.assert_array_equal(found.reshape(4, 1).T, forest.predict(boxes.evaluate([image], 0.3, [[0, 0, 0]])))


@pytest.mark.parametrize("volumes", [[], [np.zeros((3, 3), np.int16)], [np.zeros((2, 2, 2), np.float32)]])
def test_what_is_no_image_of_int16_is_refused(volumes):
    forest, boxes, _ = smooth_case()
    with pytest.raises(DataError, match="channels"):
        predict_volume(forest, boxes, volumes, SPACING)
