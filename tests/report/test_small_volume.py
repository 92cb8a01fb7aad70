import zlib

import numpy as np
import pytest

from regforest.report import small_volume
from regforest.spatial import Grid, Volume
from tests.report.spines import curved_spine


def test_a_small_volume_holds_what_is_near_the_spine_where_it_was():
    volume, centres = curved_spine()
    small = small_volume(volume, centres.points_lps_mm, 10**6)
    assert small.voxels.dtype == np.uint8
    inside = np.round(small.grid.lps_to_index(centres.points_lps_mm)).astype(int)
    assert (small.voxels[tuple(inside[:, ::-1].T)] > 150).all()
    assert small.grid.axis_code == "LPS"


def test_what_is_far_from_the_spine_is_left_out():
    grid = Grid.from_parts((60, 90, 90), (4, 4, 4))
    volume = Volume(np.full(grid.shape_zyx, 900, np.int16) - 1900 * (np.arange(90) == 0), grid)
    spine = np.array([[180.0, 180.0, z] for z in (40.0, 120.0, 200.0)])
    small = small_volume(volume, spine, 10**6)
    kept = small.grid.index_to_lps(np.argwhere(small.voxels > 0)[:, ::-1])
    assert np.hypot(*(kept[:, :2] - 180).T).max() <= 50
    assert small.voxels.any()


@pytest.mark.parametrize("room", [100_000, 20_000])
def test_the_finest_spacing_that_fits_is_taken(room):
    noise = np.random.default_rng(0).integers(0, 1000, (120, 60, 60)).astype(np.int16)
    volume = Volume(noise, Grid.from_parts(noise.shape, (2, 2, 3)))
    spine = np.array([[60.0, 60.0, 20.0], [60.0, 60.0, 340.0]])
    small = small_volume(volume, spine, room)
    size = len(zlib.compress(small.voxels.tobytes()))
    assert room / 4 < size <= room


def test_ct_shows_bone_alone():
    grid = Grid.from_parts((20, 20, 20), (3, 3, 3))
    voxels = np.full(grid.shape_zyx, 50, np.int16)
    voxels[:, :10] = -1000
    voxels[5:15, 12:18, 5:15] = 500
    small = small_volume(Volume(voxels, grid), np.empty((0, 3)), 10**6)
    z = small.grid.index_to_lps(np.argwhere(small.voxels > 0)[:, ::-1])
    assert z[:, 1].min() > 30
    assert 0.05 < (small.voxels > 0).mean() < 0.2
