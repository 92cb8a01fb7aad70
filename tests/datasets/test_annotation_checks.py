import itertools

import numpy as np
import pytest

from regforest.datasets.annotation_checks import coordinate_remarks, spine_remarks
from regforest.datasets.phantoms.anatomy import step_statistics
from regforest.spatial import PAPER_LEVELS, Grid, Landmarks, Volume


def mean_spine():
    points, here = {}, np.zeros(3)
    for upper, lower in itertools.pairwise(PAPER_LEVELS):
        points[upper] = here
        here = here + step_statistics("A")[upper, lower].mean_mm
    return {**points, PAPER_LEVELS[-1]: here}


def test_an_average_spine_draws_no_remark():
    assert spine_remarks(Landmarks(mean_spine())) == []


def test_levels_missing_in_the_middle_are_named():
    spine = {name: point for name, point in mean_spine().items() if name not in ("T7", "T8", "T9", "T10")}
    assert spine_remarks(Landmarks(spine)) == ["no T7, T8, T9, T10 between T6 and T11"]


def test_levels_that_most_people_lack_are_not_missing():
    assert not any("T13" in remark or "L6" in remark for remark in spine_remarks(Landmarks(mean_spine())))


@pytest.mark.parametrize("length", [15, 60])
def test_a_step_far_from_the_usual_is_named_with_its_length(length):
    spine = {name: point for name, point in mean_spine().items() if name not in ("S1", "S2")}
    step = step_statistics("A")["L5", "S1"].mean_mm
    spine["S1"] = spine["L5"] + step / np.linalg.norm(step) * length
    assert spine_remarks(Landmarks(spine)) == [f"L5 to S1: {length} mm, usually 34 mm"]


def test_a_spine_upside_down_is_noticed():
    assert spine_remarks(Landmarks({"L1": (0, 0, 0), "L2": (0, 8, 33)})) == ["L2 does not lie below L1"]


def test_discs_are_not_judged_by_the_steps_of_vertebrae():
    assert spine_remarks(Landmarks({"T12/L1": (0, 0, 0), "L5/S1": (0, 0, -180)})) == []


def test_most_points_must_lie_in_bone():
    voxels = np.full((20, 20, 20), -100, np.int16)
    voxels[7:14, 7:14, 7:14] = 300
    image = Volume(voxels, Grid.from_parts((20, 20, 20), (2, 2, 2)))
    on, off = (20, 20, 20), (4, 4, 4)
    assert coordinate_remarks(image, Landmarks({"L1": on})) == []
    most = Landmarks({"L1": on, "L2": on, "L3": on, "L4": on, "L5": off})
    assert coordinate_remarks(image, most) == []
    (remark,) = coordinate_remarks(image, Landmarks({"L1": on, "L2": on, "L3": on, "L4": off}))
    assert "only 3 of 4" in remark


def test_the_thin_shell_of_a_weak_body_is_enough():
    voxels = np.full((20, 20, 20), 40, np.int16)
    voxels[5:16, 5:16, 5:16] = 300
    voxels[6:15, 6:15, 6:15] = 30
    image = Volume(voxels, Grid.from_parts((20, 20, 20), (2, 2, 2)))
    assert coordinate_remarks(image, Landmarks({"L1": (20, 20, 20)})) == []
