"""What the localizer does at the edges: nothing to see, anchors that nothing confirms, models that do not fit.

The forests here are written by hand: one tree that asks for the mean of one box and tells bone from the rest.
"""

import numpy as np
import pytest

from regforest.errors import DataError, LevelError, ModelError
from regforest.features import BoxFeatures
from regforest.forest import Forest
from regforest.io.models import read_model, write_model
from regforest.spatial import Grid, Volume
from regforest.vertebrae import VertebraLocalizer, VertebraSettings
from regforest.vertebrae.bodies import BodySettings
from regforest.vertebrae.box_forest import BoxForest
from regforest.vertebrae.chain_prior import default_chain_prior
from regforest.vertebrae.dense_labels import BACKGROUND, CLASSES, class_of_level

GRID = Grid.from_parts((50, 24, 24), (4, 4, 4), (-46, 10, 300))
BODIES = {"L1": (1.3, 50.7, 440.9), "L2": (1.1, 44.6, 407.2), "L3": (0.7, 37.5, 371.8)}


def by_hand(levels=("L1", "L2", "L3")):
    """A localizer that takes voxels above 200 HU for one of the levels, all alike, the rest for background."""
    bone, rest = np.zeros((2, len(CLASSES)), np.float32)
    bone[[class_of_level(name) for name in levels]] = 1 / len(levels)
    rest[BACKGROUND] = 1
    localizer = VertebraLocalizer(VertebraSettings(spacing_mm=4.0, features=1, bodies=BodySettings(trees=0)))
    forest = Forest(
        roots=np.array([0], np.int32), feature=np.array([0, -1, -1], np.int32),
        threshold=np.array([200, 0, 0], np.float32), left=np.array([1, -1, -1], np.int32),
        right=np.array([2, -1, -1], np.int32), leaf=np.array([-1, 0, 1], np.int32),
        values=np.stack([rest, bone]), n_features=1,
    )  # fmt: skip
    localizer.levels = BoxForest(forest, BoxFeatures(np.zeros((1, 2, 3)), np.full((1, 2, 3), 4.0), [[0, -1]]))
    localizer.bodies = None
    localizer.prior = default_chain_prior()
    return localizer


def scan(bodies=BODIES):
    z, y, x = np.indices(GRID.shape_zyx)
    points = GRID.index_to_lps(np.stack([x, y, z], axis=-1))
    hu = np.where(z > 25, -100, -90).astype(np.int16)  # two values: an image of one is another case
    for centre in bodies.values():
        hu[np.linalg.norm(points - centre, axis=-1) < 13] = 400
    return Volume(hu, GRID)


def test_bodies_lie_where_they_were_drawn():
    found = by_hand().localize(scan())
    assert list(found.landmarks) == ["L1", "L2", "L3"]
    for name, centre in BODIES.items():
        np.testing.assert_allclose(found.landmarks[name], centre, atol=1.5)


def test_an_image_in_which_nothing_looks_like_a_vertebra_is_empty_with_the_reason():
    found = by_hand().localize(scan({}))
    assert (found.status, found.reason, len(found.landmarks)) == ("empty", "no vertebra found", 0)


def test_voxels_that_are_no_numbers_are_refused():
    image = scan()
    hole = image.voxels.astype(np.float32)
    hole[3, 4, 5] = np.nan
    with pytest.raises(DataError, match="finite voxels"):
        by_hand().localize(Volume(hole, image.grid))


def test_levels_that_nothing_tells_apart_are_uncertain_and_not_anchored():
    found = by_hand(levels=CLASSES[7:24]).localize(scan())
    assert found.status == "uncertain"
    assert not found.anchored
    assert found.reason == "no anchoring level in view"


def test_an_anchor_that_no_candidate_is_near_is_a_body_of_its_own():
    place = (0.0, 28.0, 335.0)
    found = by_hand().localize(scan(), anchor={" l4": place})
    np.testing.assert_allclose(found.landmarks["L4"], place)
    assert np.isnan(found.landmarks.score("L4"))
    assert "L4" not in found.probabilities
    assert found.anchored
    assert list(found.landmarks) == ["L1", "L2", "L3", "L4"]


def test_an_anchor_names_the_candidate_beside_it_and_with_it_the_chain():
    found = by_hand(levels=CLASSES[7:24]).localize(scan(), anchor={"T11": (4.0, 46.0, 402.0)})
    assert list(found.landmarks) == ["T10", "T11", "T12"]
    np.testing.assert_allclose(found.landmarks["T11"], BODIES["L2"], atol=1.5)


def test_an_anchor_that_is_no_vertebra_is_refused():
    with pytest.raises(LevelError, match="X9"):
        by_hand().localize(scan(), anchor={"X9": (0, 0, 0)})
    with pytest.raises(DataError, match="L3"):
        by_hand().localize(scan(), anchor={"L3": (0, np.nan, 0)})


@pytest.mark.parametrize(
    "change",
    [
        lambda settings: settings.clear(),
        lambda settings: settings.pop("prior"),
        lambda settings: settings["prior"].update(step_mean_mm=[[0, 0, 0]]),
        lambda settings: settings["settings"].update(trunks=3),
        lambda settings: settings["settings"].update(sampling=None),
        lambda settings: settings["settings"].pop("box_size_mm"),
    ],
    ids=["empty", "no prior", "short prior", "unknown setting", "no sampling", "missing setting"],
)
def test_a_model_with_settings_that_do_not_fit_is_a_model_error_that_names_the_file(tmp_path, change):
    path = tmp_path / "model.rfm"
    by_hand().save(path)
    settings, arrays = read_model(path, "vertebrae")
    change(settings)
    write_model(path, "vertebrae", settings, arrays)
    with pytest.raises(ModelError, match=r"model\.rfm.*settings"):
        VertebraLocalizer.load(path)


def test_a_forest_of_other_classes_or_features_is_refused(tmp_path):
    localizer, path = by_hand(), tmp_path / "model.rfm"
    localizer.save(path)
    settings, arrays = read_model(path, "vertebrae")
    few_classes = {"level_forest.values": arrays["level_forest.values"][:, :5]}
    for other, message in (
        (few_classes, "27 classes, found one of 5"),
        ({"level_forest.n_features": np.array(2)}, "2 features and a pool of 1"),
    ):
        write_model(path, "vertebrae", settings, arrays | other)
        with pytest.raises(ModelError, match=rf"model\.rfm.*{message}"):
            VertebraLocalizer.load(path)
