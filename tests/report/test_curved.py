import numpy as np
import pytest

from regforest.report.curved import Masks, coronal_cut, outlines, sagittal_cut
from regforest.spatial import Grid, Volume
from tests.report.spines import curved_spine


@pytest.mark.parametrize("cut_along", [sagittal_cut, coronal_cut])
def test_a_cut_keeps_the_whole_spine_in_the_picture(cut_along):
    volume, centres = curved_spine()
    inner = slice(15, -15)
    along = cut_along(volume, centres.points_lps_mm).grey(volume)[inner]
    assert (along.max(axis=1) > 900).all()
    # a flat slice through the middle loses it
    flat = sagittal_cut(volume, np.array([[0.0, 0.0, 0.0]])).grey(volume)[inner]
    assert (flat.max(axis=1) > 900).mean() < 0.6


def test_the_first_row_is_cranial_and_columns_run_in_lps():
    volume, centres = curved_spine()
    cut = coronal_cut(volume, centres.points_lps_mm)
    grey = cut.grey(volume)
    left, right, bottom, top = cut.extent_mm
    assert (top > bottom, right > left) == (True, True)
    for row in (25, -25):
        found = cut.across_mm[grey[row] > 500].mean()
        assert found == pytest.approx(-20 + 40 * (cut.heights_mm[row] + 90) / 177, abs=2)


def test_a_cut_does_not_depend_on_the_order_of_the_volume_s_axes():
    volume, centres = curved_spine()
    turned = Volume(
        np.ascontiguousarray(np.flip(volume.voxels.transpose(1, 2, 0), 0)),
        Grid.from_parts(
            (50, 50, 60), (3, 2, 2), volume.grid.index_to_lps([0, 49, 0]), [[0, 1, 0], [0, 0, -1], [1, 0, 0]]
        ),
    )
    for cut_along in (sagittal_cut, coronal_cut):
        one, other = (cut_along(v, centres.points_lps_mm).grey(v) for v in (volume, turned))
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_cut_is_cropped_to_the_spine_and_to_what_else_must_be_seen():
    volume = Volume(np.zeros((100, 300, 300), np.int16), Grid.from_parts((100, 300, 300), (1, 1, 1)))
    spine = np.array([[150.0, 150.0, 10.0], [150.0, 150.0, 90.0]])
    left, right, bottom, top = sagittal_cut(volume, spine).extent_mm
    assert (left, right) == pytest.approx((90, 210), abs=2)
    assert (bottom, top) == pytest.approx((0, 99), abs=2)
    left, right, _, _ = sagittal_cut(volume, spine, np.array([[0.0, 280.0, 50.0]])).extent_mm
    assert (left, right) == pytest.approx((90, 299), abs=2)


def test_an_outline_runs_around_its_structure():
    grid = Grid.from_parts((40, 40, 40), (1, 1, 1), origin_mm=(-20, -20, -20))
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[10:20, 5:31, 8:30] = 3
    cut = sagittal_cut(Volume(labels, grid), np.array([[0.0, 0.0, 0.0]]))
    ((name, line),) = outlines(cut, Masks(Volume(labels, grid), {3: "L1/L2"}))
    assert name == "L1/L2"
    np.testing.assert_allclose(line.min(axis=0), [-15.5, -10.5], atol=0.9)
    np.testing.assert_allclose(line.max(axis=0), [10.5, -0.5], atol=0.9)


def test_a_structure_at_the_edge_of_the_image_has_a_closed_outline():
    grid = Grid.from_parts((20, 20, 20))
    labels = Volume(np.ones((20, 20, 20), np.uint8), grid)
    ((name, line),) = outlines(coronal_cut(labels, np.empty((0, 3))), Masks(labels, {}))
    assert name == "1"
    np.testing.assert_array_equal(line[0], line[-1])
