import subprocess
import sys

import numpy as np
import pytest

from regforest.report import Table
from regforest.spatial import Grid, Landmarks, Localization, Volume
from tests.report.spines import curved_spine, found


def test_a_volume_shows_its_middle_slices_and_its_geometry():
    html = curved_spine()[0]._repr_html_()
    assert html.count("data:image/webp") == 2
    assert "50 x 50 x 60 voxels of 2 x 2 x 3 mm, int16, axes LPS" in html


def test_landmarks_show_their_points_in_two_views_and_a_table():
    _, centres = curved_spine()
    html = centres._repr_html_()
    assert html.count("<circle") == 2 * len(centres)
    assert "<td>-80.0</td>" in html
    assert Landmarks({})._repr_html_().count("<tr>") == 1


def test_landmarks_in_grid_millimetres_say_so():
    assert "x (grid mm)" in Landmarks({"L1": (1, 2, 3)}, frame="grid")._repr_html_()


def test_a_localization_shows_the_verdict_with_probabilities_and_escapes_it():
    answer = Localization(
        Landmarks({"L1": (-0.01, 2, 3)}, {"L1": 0.5}), "uncertain", "no <anchor>", False, {-1: 0.2, 0: 0.8, 1: 0.0},
        {"L1": 0.8},
    )  # fmt: skip
    html = answer._repr_html_()
    assert "uncertain: no &lt;anchor&gt;; shifted by one level with probability 20.0 %" in html
    assert "<td>80.0 %</td><td>0.0</td><td>2.0</td><td>3.0</td><td>0.500</td>" in html


def test_an_empty_answer_and_a_tiny_volume_are_shown_too():
    assert "empty" in found(Landmarks({}), status="empty")._repr_html_()
    assert "<svg" in Volume(np.zeros((1, 1, 1), np.uint8), Grid.from_parts((1, 1, 1)))._repr_html_()


def test_a_table_is_shown_as_html():
    assert Table("t", [("g", ["a"])], [("row", [["1"]])])._repr_html_().startswith("<div")


@pytest.mark.parametrize("code", ["import regforest", "from regforest.spatial import Landmarks"])
def test_pictures_cost_nothing_until_one_is_asked_for(code):
    # in a fresh process: nothing here may have been imported before
    program = f"""
import sys
{code}
assert not any(name.startswith(("matplotlib", "regforest.report")) for name in sys.modules)
from regforest import Landmarks
assert "<table>" in Landmarks({{"L1": (0, 0, 0)}})._repr_html_()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
