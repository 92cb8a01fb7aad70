from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from regforest.errors import DataError
from regforest.features import BoxFeatures, BoxSpace
from regforest.forest import TrainingImage, TreeSettings, grow_on_images, predict_volume
from regforest.forest import _candidates as kernels
from regforest.forest.grow_on_images import _field

SPACING = (1.5, 2.0, 2.5)
SPACE = BoxSpace(max_offset_mm=(9, 12, 15), size_range_mm=(1.5, 12), channels=2)


def training_set(seed=0, voxels=300):
    """Two images of different shapes with two channels; labels that can be learned."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for shape in ((9, 12, 20), (14, 8, 11)):
        smooth = [(ndimage.gaussian_filter(rng.normal(size=shape), 1.5) * 9000).astype(np.int16) for _ in range(2)]
        index = rng.integers(0, shape, (voxels, 3))
        images.append(TrainingImage(smooth, index))
        labels.append(np.digitize(smooth[0][tuple(index.T)], [-600, 0, 600]))
    return images, np.concatenate(labels).astype(np.int32)


def grow(images, targets, *, seed=0, n_trees=3, n_classes=0, n_jobs=1, **settings):
    settings = TreeSettings(**{"max_features": 8} | settings)
    return grow_on_images(
        images, SPACING, SPACE, targets, settings, seed=seed, n_trees=n_trees, n_classes=n_classes, n_jobs=n_jobs
    )


def features_of(grown, images):
    return np.concatenate([grown.boxes.evaluate(image.volumes, SPACING, image.index_zyx) for image in images])


@pytest.mark.parametrize("kind", ["hard", "soft", "regression"])
def test_leaves_hold_the_means_of_the_voxels_that_reach_them_through_the_pool(kind):
    images, labels = training_set()
    targets = {"hard": labels, "soft": np.eye(4, dtype=np.float32)[labels], "regression": np.float32(labels)[:, None]}
    grown = grow(images, targets[kind], n_classes=4, bootstrap=False, min_samples_leaf=3)
    wanted = np.float32(labels)[:, None] if kind == "regression" else np.eye(4)[labels]
    reached = grown.forest.apply(features_of(grown, images))
    assert grown.forest.depth > 4
    for leaf in np.unique(reached):
        inside = (reached == leaf).any(axis=1)
        assert inside.sum() >= 3
        np.testing.assert_allclose(grown.forest.values[leaf], wanted[inside].mean(axis=0), atol=1e-5)


def test_every_inner_node_has_a_feature_of_its_own():
    images, labels = training_set()
    grown = grow(images, labels, n_classes=4)
    inner = grown.forest.feature[grown.forest.feature >= 0]
    assert sorted(inner) == list(range(len(grown.boxes)))


def test_one_seed_gives_one_forest_whatever_the_number_of_threads():
    images, labels = training_set()
    one, two = grow(images, labels, n_classes=4), grow(images, labels, n_classes=4, n_jobs=3)
    for name, array in (one.forest.to_arrays() | one.boxes.to_arrays()).items():
        np.testing.assert_array_equal((two.forest.to_arrays() | two.boxes.to_arrays())[name], array)
    other = grow(images, labels, n_classes=4, seed=1)
    assert not np.array_equal(other.boxes.offsets_mm[:9], one.boxes.offsets_mm[:9])


def test_voxels_that_were_not_seen_are_told_apart():
    images, labels = training_set()
    grown = grow(images, labels, n_classes=4, n_trees=16)
    (volumes, _), (others, _) = images
    for channels in (volumes, others):
        found = predict_volume(grown.forest, grown.boxes, channels, SPACING).argmax(axis=0)
        assert (found == np.digitize(channels[0], [-600, 0, 600])).mean() > 0.7


def test_drawn_boxes_are_distributed_as_a_pool_is():
    images, _ = training_set(voxels=1)
    field, state = _field(images, np.array(SPACING), SPACE), np.array([7], np.uint64)
    drawn = np.empty((4000, 2, 7), np.int32)
    for boxes in drawn:
        kernels.draw_boxes(field, state, boxes)
    offsets, sizes, channels = SPACE.draw(40_000, np.random.default_rng(0))
    pool = BoxFeatures(offsets.astype(np.float32), sizes.astype(np.float32), channels.astype(np.int32)).compile(
        SPACING
    )
    two, first = drawn[:, 1, 6] >= 0, drawn[:, 0]
    assert two.mean() == pytest.approx((pool.channels[:, 1] >= 0).mean(), abs=0.03)
    assert first[:, 6].mean() == pytest.approx(0.5, abs=0.03)
    for found, expected in ((first[:, :3], pool.low_zyx[:, 0]), (first[:, 3:6], pool.high_zyx[:, 0])):
        np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=0.2)
        np.testing.assert_allclose(found.std(axis=0), expected.std(axis=0), rtol=0.05)
    reach = np.maximum(-first[:, :3], first[:, 3:6] - 1).max(axis=0)
    assert (reach <= np.ceil(SPACE.reach_mm / SPACING)[::-1] + 1).all()


def test_the_boxes_of_a_node_are_those_that_the_pool_compiles_to():
    images, _ = training_set(voxels=40)
    field, state = _field(images, np.array(SPACING), SPACE), np.array([3], np.uint64)
    rows, values = np.arange(80, dtype=np.int32), np.empty(80, np.float32)
    for _ in range(50):
        boxes = np.empty((2, 7), np.int32)
        kernels.draw_boxes(field, state, boxes)
        low, high = kernels.box_values(field, rows, 0, 80, boxes, values)
        pool = BoxFeatures.from_voxels(boxes[None, :, :3], boxes[None, :, 3:6], boxes[None, :, 6], SPACING)
        expected = np.concatenate([pool.evaluate(image.volumes, SPACING, image.index_zyx) for image in images])[:, 0]
        np.testing.assert_array_equal(values, expected)
        assert (low, high) == (expected.min(), expected.max())


def test_images_without_structure_give_bare_leaves():
    flat = TrainingImage([np.zeros((3, 3, 3), np.int16)] * 2, [[1, 1, 1], [0, 0, 0]])
    grown = grow([flat], np.array([0, 1], np.int32), n_classes=2, bootstrap=False)
    assert grown.forest.depth == 0
    np.testing.assert_allclose(grown.forest.predict(features_of(grown, [flat])), 0.5)


def test_what_does_not_fit_is_refused():
    images, labels = training_set()
    with pytest.raises(DataError, match="at least one image"):
        grow([], labels, n_classes=4)
    with pytest.raises(DataError, match="600 rows, got 599"):
        grow(images, labels[1:], n_classes=4)
    with pytest.raises(DataError, match=r"0\.\.2, got 0 to 3"):
        grow(images, labels, n_classes=3)
    with pytest.raises(DataError, match="one tree"):
        grow(images, labels, n_classes=4, n_trees=0)
    with pytest.raises(DataError, match="2 channels"):
        grow([TrainingImage(image.volumes[:1], image.index_zyx) for image in images], labels, n_classes=4)
    with pytest.raises(DataError, match="inside the image"):
        grow([TrainingImage(images[0].volumes, [[99, 0, 0]])], labels[:1], n_classes=4)
    with pytest.raises(DataError, match="fewer than 65536"):
        grow_on_images(images, 0.1, SPACE, labels, TreeSettings(4), seed=0, n_trees=1, n_classes=4)
