import pickle

import numpy as np
import pytest

from regforest.errors import DataError, FrameError, LevelError
from regforest.spatial import Grid, Landmarks

SPINE = Landmarks({"L2": (0, 1, -33), "T12": (2, 3, 30), "L1": (1, 2, 0)}, {"L1": 0.5, "L2": 0.75})
TURNED = Grid.from_parts((20, 30, 40), (0.5, 2, 3), (10, 20, 30), [[0, 0, -1], [1, 0, 0], [0, -1, 0]])


def test_landmarks_run_from_cranial_to_caudal():
    assert list(SPINE) == ["T12", "L1", "L2"]
    np.testing.assert_array_equal(SPINE.points_lps_mm, [[2, 3, 30], [1, 2, 0], [0, 1, -33]])


def test_levels_without_a_score_have_nan():
    assert SPINE.score("L2") == 0.75
    assert np.isnan(SPINE.score("T12"))


def test_grid_millimetres_are_index_times_spacing_from_the_first_voxel():
    points = Landmarks({"L1": TURNED.index_to_lps((4, 5, 6))}).to_grid(TURNED)
    np.testing.assert_allclose(points["L1"], [4 * 0.5, 5 * 2, 6 * 3])
    assert points.frame == "grid"
    # by hand: x runs posterior, y inferior, z right
    np.testing.assert_allclose(points.to_lps(TURNED)["L1"], [10 - 18, 20 + 2, 30 - 10])


def test_scores_survive_a_change_of_frame():
    back = SPINE.to_grid(TURNED).to_lps(TURNED)
    assert back.names == SPINE.names
    np.testing.assert_array_equal(back.scores, SPINE.scores)
    np.testing.assert_allclose(back.points, SPINE.points, atol=1e-12)


def test_frames_do_not_mix():
    in_grid = SPINE.to_grid(TURNED)
    with pytest.raises(FrameError, match=r"'grid'.*'LPS'"):
        in_grid.points_lps_mm
    with pytest.raises(FrameError):
        in_grid.to_grid(TURNED)
    with pytest.raises(FrameError):
        SPINE.to_lps(TURNED)
    with pytest.raises(FrameError, match="RAS"):
        Landmarks({}, frame="RAS")


def test_names_are_checked_and_normalised():
    assert list(Landmarks({"l1": (0, 0, 0)})) == ["L1"]
    with pytest.raises(LevelError, match="L9"):
        Landmarks({"L9": (0, 0, 0)})
    with pytest.raises(DataError, match="twice"):
        Landmarks({"L1": (0, 0, 0), "l1": (1, 1, 1)})


@pytest.mark.parametrize("point", [(0, 0), (0, 0, np.nan), (np.inf, 0, 0), ()])
def test_a_point_has_three_finite_coordinates(point):
    with pytest.raises(DataError, match="L1 needs three finite coordinates"):
        Landmarks({"L1": point})


def test_no_landmarks_are_landmarks_too():
    empty = Landmarks({})
    assert empty.points_lps_mm.shape == (0, 3)
    assert len(empty.to_grid(TURNED)) == 0


def test_selecting_keeps_points_and_scores():
    lumbar = SPINE.select(lambda name: name.startswith("L"))
    assert lumbar == Landmarks({"L1": (1, 2, 0), "L2": (0, 1, -33)}, {"L1": 0.5, "L2": 0.75})
    assert lumbar != SPINE


def test_points_cannot_be_changed_behind_the_back():
    SPINE["L1"][0] = 99
    assert SPINE["L1"][0] == 1
    with pytest.raises(ValueError, match="read-only"):
        SPINE.points[0, 0] = 99
    with pytest.raises(KeyError):
        SPINE["C1"]


def test_landmarks_travel_between_processes():
    assert pickle.loads(pickle.dumps(SPINE)) == SPINE
