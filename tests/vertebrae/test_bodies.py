import numpy as np
import pytest

from regforest.errors import ModelError
from regforest.features import BoxFeatures
from regforest.forest import Forest, ForestClassifier, predict_volume
from regforest.spatial import LEVELS, Grid, Landmarks, Volume
from regforest.vertebrae.bodies import BodySettings, body_labels, find_bodies, level_shares
from regforest.vertebrae.box_forest import BoxForest
from regforest.vertebrae.dense_labels import BACKGROUND, CLASSES, label_distribution

GRID = Grid.from_parts((50, 30, 30), (3, 3, 3), (-45, -45, -75))
SPINE = Landmarks({"T12": (2, 0, 40), "L1": (0, 1, 8), "L2": (-3, 4, -26)})


def labels_everywhere(landmarks):
    z, y, x = np.indices(GRID.shape_zyx)
    return label_distribution(GRID.index_to_lps(np.stack([x, y, z], axis=-1).reshape(-1, 3)), landmarks)


def body_map(landmarks):
    return np.ascontiguousarray(body_labels(labels_everywhere(landmarks))[:, 0].reshape(GRID.shape_zyx))


def shares_of(*names):
    """The same for every point: all named levels alike."""
    row = np.isin(CLASSES[:BACKGROUND], names) + 1e-9
    row /= row.sum()
    return lambda points: np.tile(row, (len(points), 1))


def test_each_body_is_one_candidate_at_its_centre():
    found = find_bodies(body_map(SPINE), shares_of("T12", "L1", "L2"), GRID, BodySettings())
    assert len(found.mass) == len(SPINE)
    for centre in SPINE.values():
        assert np.linalg.norm(found.points_lps_mm - centre, axis=1).min() < 1.0


def test_scores_are_shares_times_the_probability_of_a_body():
    settings = BodySettings(mass_at_even_odds=0.3, mass_steepness=2.0)
    found = find_bodies(body_map(SPINE), shares_of("L1"), GRID, settings)
    expected = found.mass**2 / (found.mass**2 + 0.09)
    np.testing.assert_allclose(np.exp(found.level_log_scores[:, LEVELS.index("L1")]), expected, rtol=1e-6)


def test_two_modes_nearer_than_a_body_is_wide_are_one_candidate():
    twice = Landmarks({"L1": (0, 0, 0), "L2": (0, 0, -14)})
    found = find_bodies(body_map(twice), shares_of("L1"), GRID, BodySettings())
    assert len(found.mass) == 1


def test_a_map_without_bodies_has_no_candidate():
    found = find_bodies(np.zeros(GRID.shape_zyx, np.float32), shares_of("L1"), GRID, BodySettings())
    assert found.points_lps_mm.shape == (0, 3)
    assert found.level_log_scores.shape == (0, len(LEVELS))


@pytest.fixture(scope="module")
def learned():
    rng = np.random.default_rng(0)
    image = Volume(rng.integers(-100, 400, (12, 11, 10)).astype(np.int16), Grid.from_parts((12, 11, 10), (3, 3, 3)))
    boxes = BoxFeatures.random(20, seed=1, max_offset_mm=12, size_range_mm=(3, 12))
    index = np.argwhere(image.voxels > -1000)
    labels = rng.dirichlet(np.ones(len(CLASSES)), len(index)).astype(np.float32)
    rows = boxes.evaluate([image.voxels], 3.0, index)
    return BoxForest(ForestClassifier(4, max_depth=6, random_state=0).fit(rows, labels).forest_, boxes), image


def test_shares_are_the_weighted_mean_of_the_dense_map_around_the_point(learned):
    levels, image = learned
    dense = predict_volume(levels.forest, levels.boxes, [image.voxels], image.grid.spacing_mm)
    points = np.array([[5.3, 5.0, 4.6], [0.2, 10.0, 9.0]])  # the second in a corner: what is outside does not count
    for point, row in zip(points, level_shares(levels, image)(points), strict=True):
        total, weight = np.zeros(BACKGROUND), 0.0
        for voxel in np.ndindex(*image.voxels.shape):
            step = np.array(voxel) - np.rint(point)
            if np.abs(step).max() <= 2:
                w = np.exp(-(step @ step) / (2 * 1.2**2))
                total, weight = total + w * dense[:BACKGROUND, *voxel], weight + w
        expected = total / weight + 1e-4
        np.testing.assert_allclose(row, expected / expected.sum(), rtol=1e-5)


def test_a_forest_and_a_pool_that_do_not_fit_are_refused(learned):
    levels, _ = learned
    with pytest.raises(ModelError, match="20 features and a pool of 3"):
        BoxForest(levels.forest, levels.boxes.subset([0, 1, 2]))


def test_a_box_forest_survives_the_arrays_of_a_model_file(learned):
    levels, _ = learned
    arrays = {f"{part}.{name}": a for part, found in levels.to_parts("x").items() for name, a in found.items()}
    again = BoxForest.from_parts(arrays, "x", len(CLASSES))
    assert isinstance(again.forest, Forest)
    np.testing.assert_array_equal(again.boxes.offsets_mm, levels.boxes.offsets_mm)
    with pytest.raises(ModelError, match="2 classes"):
        BoxForest.from_parts(arrays, "x", 2)
