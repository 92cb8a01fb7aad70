"""Images as they come: sheared, oblique, cut, with empty slices, with structures missing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from regforest.discs import DiscLocalizer
from regforest.discs.views import interpolated
from regforest.spatial import AnnotatedScan, Grid, Volume
from tests.discs.synthetic import NAMES, QUICK, distance_mm, make_scan


@pytest.fixture(scope="module")
def model() -> DiscLocalizer:
    return DiscLocalizer(QUICK).fit([make_scan(i) for i in range(1, 5)])


@pytest.fixture(scope="module")
def scan() -> AnnotatedScan:
    return make_scan(9)


def _seen_through(volume: Volume, steps: np.ndarray) -> Volume:
    """Resample on a grid about the same centre whose voxel axes are `steps` times the old ones."""
    old = volume.grid
    matrix = old.matrix.copy()
    matrix[:3, :3] = old.matrix[:3, :3] @ steps
    middle = (np.asarray(old.size_xyz) - 1) / 2
    matrix[:3, 3] = old.index_to_lps(middle) - matrix[:3, :3] @ middle
    grid = Grid(old.shape_zyx, matrix)
    return Volume(interpolated(volume, grid), grid)


_TURN = np.deg2rad(15)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(np.array([[1, 0, 0], [0, 1, 0.08], [0, 0, 1]]), id="sheared"),
        pytest.param(
            np.array([[1, 0, 0], [0, np.cos(_TURN), -np.sin(_TURN)], [0, np.sin(_TURN), np.cos(_TURN)]]), id="oblique"
        ),
    ],
)
def test_sheared_and_oblique_grids_give_the_centres_in_the_world_frame(
    model: DiscLocalizer, scan: AnnotatedScan, steps: np.ndarray
) -> None:
    image = _seen_through(scan.image, steps)
    localization, labels = model.apply(image)
    assert list(localization.landmarks) == list(NAMES.values())
    assert distance_mm(localization.landmarks, scan.landmarks).max() < 4
    assert labels.grid == image.grid


def test_training_accepts_a_sheared_grid(scan: AnnotatedScan) -> None:
    sheared = np.array([[1, 0, 0], [0, 1, 0.08], [0, 0, 1]])
    scans = []
    for i in range(1, 4):
        one = make_scan(i)
        assert one.labels is not None
        mask = _seen_through(one.labels, sheared)
        labels = Volume(np.rint(mask.voxels).astype(np.uint8), mask.grid)
        scans.append(dataclasses.replace(one, channels={"image": _seen_through(one.image, sheared)}, labels=labels))
    assert distance_mm(DiscLocalizer(QUICK).fit(scans).locate(scan.image), scan.landmarks).max() < 4


def test_slices_filled_with_zeros_do_not_disturb_the_rest(model: DiscLocalizer, scan: AnnotatedScan) -> None:
    voxels = scan.image.voxels.copy()
    voxels[:, :, :3] = 0
    voxels[:, :, -4:] = 0
    voxels[:4] = 0
    localization = model.localize(Volume(voxels, scan.image.grid))
    assert distance_mm(localization.landmarks, scan.landmarks).max() < 4
    assert set(localization.landmarks) == set(NAMES.values())


def test_a_scan_that_shows_other_structures_than_all_others_still_trains(scan: AnnotatedScan) -> None:
    scans = [make_scan(1, absent=("L2", "L3")), make_scan(2, absent=("L4", "L5")), make_scan(3)]
    model = DiscLocalizer(QUICK).fit(scans)
    assert model.names_ == tuple(NAMES.values())
    assert distance_mm(model.locate(scan.image), scan.landmarks).max() < 6
