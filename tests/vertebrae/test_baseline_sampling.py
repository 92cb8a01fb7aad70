import numpy as np
import pytest

from regforest.errors import DataError
from regforest.spatial import PAPER_LEVELS, AnnotatedScan, Grid, Landmarks, Volume
from regforest.vertebrae.baseline_sampling import BaselineSampling, draw_places, draw_voters
from regforest.vertebrae.sampling import spine_in_view

GRID = Grid.from_parts((60, 40, 30), (3, 3, 3), (-40, -60, -90))
ANNOTATED = Landmarks(
    {"T12": (5, 0, 40), "T13": (5, 0, 12), "L1": (5, -2, -18), "L2": (5, -4, -52), "L3": (5, 0, -300)}
)
SETTINGS = BaselineSampling(anywhere=300, near_spine=200, per_body=20, beside_bodies=500)


def scan(landmarks=ANNOTATED):
    return AnnotatedScan("s", "p", {"image": Volume(np.zeros(GRID.shape_zyx, np.int16), GRID)}, landmarks)


def places():
    return draw_places(spine_in_view(scan(), GRID, PAPER_LEVELS), ANNOTATED, GRID, SETTINGS, np.random.default_rng(0))


def test_only_known_vertebrae_inside_the_image_are_learned():
    assert list(spine_in_view(scan(), GRID, PAPER_LEVELS)) == ["T12", "L1", "L2"]
    with pytest.raises(DataError, match="no annotated vertebra lies inside"):
        spine_in_view(scan(Landmarks({"L6": (0, 0, 0), "L3": (0, 0, -300)})), GRID, PAPER_LEVELS)


def test_voters_lie_anywhere_in_the_image_and_more_of_them_near_the_spine():
    spine = spine_in_view(scan(), GRID, PAPER_LEVELS)
    voters = draw_voters(spine, GRID, SETTINGS, np.random.default_rng(0))
    assert ((voters >= 0) & (voters < GRID.shape_zyx)).all()
    assert 300 < len(voters) <= 500
    again = draw_voters(spine, GRID, SETTINGS, np.random.default_rng(0))
    np.testing.assert_array_equal(voters, again)


def test_places_on_bodies_lie_at_their_centres():
    drawn = places()
    assert np.bincount(drawn.levels).tolist().count(20) == 3
    for name in ("T12", "L1", "L2"):
        points = GRID.index_to_lps(drawn.bodies_zyx[drawn.levels == PAPER_LEVELS.index(name)][:, ::-1])
        np.testing.assert_allclose(points.mean(axis=0), ANNOTATED[name], atol=1.2)


def test_places_beside_bodies_keep_clear_of_all_centres_and_of_those_nobody_annotated():
    points = GRID.index_to_lps(places().others_zyx[:, ::-1])
    above = 2 * ANNOTATED["T12"] - ANNOTATED["T13"]
    half_voxel = 2.7
    for centre in ANNOTATED.values():
        assert np.linalg.norm(points - centre, axis=1).min() > 7 - half_voxel
    assert np.linalg.norm(points - above, axis=1).min() > 14 - half_voxel
