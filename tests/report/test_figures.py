import io

import numpy as np
import pytest
from matplotlib import image as mpl_image

from regforest.report import case_picture, preview_png
from regforest.report.figures import curved_views
from regforest.spatial import Grid, Landmarks, Localization, Volume


def curved_spine(direction=None):
    """A bright tube that runs from x = -20 to 20 mm and bends forward, with its centres."""
    grid = Grid.from_parts((60, 50, 50), spacing_mm=(2, 2, 3), origin_mm=(-50, -50, -90), direction=direction)
    zyx = np.stack(np.meshgrid(*map(np.arange, grid.shape_zyx), indexing="ij"), axis=-1)
    points = grid.index_to_lps(zyx[..., ::-1])
    t = np.clip((points[..., 2] + 90) / 177, 0, 1)
    away = np.hypot(points[..., 0] - (-20 + 40 * t), points[..., 1] - 15 * np.sin(np.pi * t))
    voxels = np.where(away < 6, 1000, 0).astype(np.int16)
    heights = np.linspace(-80, 80, 8)
    s = (heights + 90) / 177
    centres = np.stack([-20 + 40 * s, 15 * np.sin(np.pi * s), heights], axis=1)
    names = ["L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10"]
    return Volume(voxels, grid), Landmarks(dict(zip(names, centres, strict=True)))


def test_curved_views_keep_the_whole_spine_in_the_picture():
    volume, centres = curved_spine()
    views = curved_views(volume, centres.points_lps_mm)
    rows = slice(12, -12)
    assert (views.sagittal[rows].max(axis=1) > 900).all()
    assert (views.coronal[rows].max(axis=1) > 900).all()
    # a flat slice through the middle loses it
    flat = curved_views(volume, np.array([[0.0, 0.0, 0.0]]))
    assert (flat.sagittal[rows].max(axis=1) > 900).mean() < 0.6


def test_the_first_row_is_cranial_and_columns_run_in_lps():
    volume, centres = curved_spine()
    views = curved_views(volume, centres.points_lps_mm)
    left, right, bottom, top = views.extent_coronal
    columns = np.linspace(left, right, views.coronal.shape[1])
    assert top > bottom
    upper, lower = (columns[views.coronal[row] > 500].mean() for row in (20, -20))
    assert upper == pytest.approx(-20 + 40 * (top - 20 + 90) / 177, abs=2)
    assert lower == pytest.approx(-20 + 40 * (bottom + 20 + 90) / 177, abs=2)


def test_pictures_do_not_depend_on_the_order_of_the_volume_s_axes():
    volume, centres = curved_spine()
    turned = Volume(
        np.ascontiguousarray(np.flip(volume.voxels.transpose(1, 2, 0), 0)),
        Grid.from_parts(
            (50, 50, 60), (3, 2, 2), volume.grid.index_to_lps([0, 49, 0]), [[0, 1, 0], [0, 0, -1], [1, 0, 0]]
        ),
    )
    a, b = (curved_views(v, centres.points_lps_mm) for v in (volume, turned))
    np.testing.assert_allclose(a.sagittal, b.sagittal, atol=1e-6)
    np.testing.assert_allclose(a.coronal, b.coronal, atol=1e-6)


def test_a_picture_shows_predicted_levels_in_their_colours_and_is_small():
    volume, centres = curved_spine()
    data = case_picture(volume, centres, centres, image_format="png")
    pixels = mpl_image.imread(io.BytesIO(data))[..., :3]
    saturation = pixels.max(axis=-1) - pixels.min(axis=-1)
    assert (saturation > 0.3).sum() > 200
    without = mpl_image.imread(io.BytesIO(case_picture(volume, Landmarks({}), image_format="png")))[..., :3]
    assert (without.max(axis=-1) - without.min(axis=-1)).max() < 0.01
    assert len(case_picture(volume, centres, centres)) < 100_000


def test_a_preview_is_written_even_where_nothing_was_found(tmp_path):
    volume, centres = curved_spine()
    for name, landmarks, status in (("ok", centres, "ok"), ("empty", Landmarks({}), "empty")):
        preview_png(volume, Localization(landmarks, status, "reason"), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_a_volume_of_one_value_can_be_drawn(tmp_path):
    volume = Volume(np.full((3, 4, 5), 7, np.int16), Grid.from_parts((3, 4, 5)))
    assert case_picture(volume, Landmarks({}))[:2] == b"\xff\xd8"
