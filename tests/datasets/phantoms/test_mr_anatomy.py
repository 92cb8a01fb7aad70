"""Shapes of the MR phantom against measured anatomy."""

from __future__ import annotations

import numpy as np
import pytest

from regforest.datasets.disc_masks import DISC_NAMES
from regforest.datasets.phantoms.mr_anatomy import Person, draw_person
from regforest.datasets.phantoms.mr_canvas import (
    Canvas,
    Window,
    body_distance,
    disc_distance,
    smooth_noise,
    window_around,
)
from regforest.spatial import Grid


def people(count: int = 8, seed: int = 0) -> list[Person]:
    return [draw_person(np.random.default_rng([seed, i])) for i in range(count)]


def window_of(centre: np.ndarray) -> tuple[Grid, Window]:
    grid = Grid.from_parts((80, 70, 80), (1.0, 1.0, 1.0), centre - [40, 35, 40])
    window = window_around(grid, centre, 200)
    assert window is not None
    return grid, window


def test_all_discs_together_have_the_volume_of_the_real_data_set() -> None:
    totals = []
    for person in people():
        for stage in (person, person.next_stage(np.random.default_rng(1))):
            spine = stage.spine()
            discs = [spine.disc(name) for name in DISC_NAMES]
            inside = [disc_distance(disc, window_of(disc.frame.centre_lps_mm)[1]) < 0 for disc in discs]
            totals.append(sum(int(mask.sum()) for mask in inside) / 1000)
    assert min(totals) >= 63
    assert max(totals) <= 141
    assert 78 <= np.median(totals) <= 98
    assert max(totals) / min(totals) > 1.3


def test_lumbar_discs_have_usual_sizes() -> None:
    shapes = [person.spine().disc("L3/L4").shape for person in people(24)]
    widths, depths = 2 * np.array([(s.half_width_mm, s.half_depth_mm) for s in shapes]).T
    heights = np.array([s.rim_mm + sum(s.rise_mm) for s in shapes])
    assert widths.min() > 40
    assert widths.max() < 64
    assert depths.min() > 30
    assert depths.max() < 46
    assert 45 < np.median(widths) < 55
    assert 35 < np.median(depths) < 40
    assert heights.min() > 6
    assert heights.max() < 16
    assert heights.std() > 0.7


def test_worn_discs_are_thinner() -> None:
    shapes = [person.spine().disc("L4/L5").shape for person in people(40)]
    wear = [shape.degeneration for shape in shapes]
    heights = [shape.rim_mm + sum(shape.rise_mm) for shape in shapes]
    assert np.corrcoef(wear, heights)[0, 1] < -0.2
    assert np.std(wear) > 0.1


def test_the_lordosis_is_that_of_real_spines() -> None:
    for person in people(8):
        spine = person.spine()
        # angle of the disc's axis: forward-tilted at the top of the lumbar spine, far back at its end
        up = np.array([spine.disc(name).frame.axes[2] for name in DISC_NAMES])
        tilt = np.degrees(np.arctan2(up[:, 1], up[:, 2]))
        assert tilt.argmin() == 6
        assert -60 < tilt[6] < -18
        assert 0 < tilt[:4].max() < 35


def test_frames_are_right_handed_and_turn_back() -> None:
    frame = people(1)[0].spine().disc("L2/L3").frame
    np.testing.assert_allclose(frame.axes @ frame.axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame.axes) == pytest.approx(1.0)
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 0.0, 9.0]])
    np.testing.assert_allclose(frame.world(frame.local(points)), points, atol=1e-12)


def test_bodies_and_discs_do_not_overlap_but_touch() -> None:
    spine = people(1)[0].spine()
    body = spine.body("L3")
    _, window = window_of(body.frame.centre_lps_mm)
    inside = body_distance(body, window, 0.0) < -0.6
    for disc in (body.above, body.below):
        assert not (inside & (disc_distance(disc, window) < -0.6)).any()
    u, v, w = window.local(body.frame)
    column = (np.abs(u) < 0.7) & (np.abs(v) < 0.7) & (np.abs(w) < 18)
    near = np.minimum(body_distance(body, window, 0.0), disc_distance(body.above, window))
    assert (np.minimum(near, disc_distance(body.below, window))[column] < 1.0).all()


def test_a_distance_is_one_millimetre_a_millimetre_off_the_border() -> None:
    spine = people(1)[0].spine()
    disc = spine.disc("L3/L4")
    _, window = window_of(disc.frame.centre_lps_mm)
    distance = disc_distance(disc, window)
    slope = np.sqrt(sum(np.square(part) for part in np.gradient(distance)))
    near = np.abs(distance) < 1.0
    assert 0.85 < np.median(slope[near]) < 1.15


def test_a_painted_border_shares_voxels_between_tissues() -> None:
    grid = Grid.from_parts((4, 4, 11))
    canvas = Canvas(grid, 1, 1.0)
    whole = canvas.everything()
    x = canvas.coordinates()[0]
    canvas.paint(whole, x - np.float32(5.25), [100.0])
    np.testing.assert_allclose(canvas.signals[0, 0, 0], [100] * 5 + [75] + [0] * 5)


def test_noise_fields_have_unit_spread_and_the_wanted_scale() -> None:
    grid = Grid.from_parts((60, 60, 60))
    rough, smooth = (smooth_noise(np.random.default_rng(0), grid, scale) for scale in (3.0, 15.0))
    assert rough.std() == pytest.approx(1, abs=1e-3)
    assert smooth.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(rough, axis=0)).mean() > 3 * np.abs(np.diff(smooth, axis=0)).mean()
    np.testing.assert_array_equal(rough, smooth_noise(np.random.default_rng(0), grid, 3.0))
