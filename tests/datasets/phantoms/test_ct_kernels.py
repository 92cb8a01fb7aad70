"""Shapes, painting and streaks of the CT phantom, against slow twins and geometry known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from regforest.datasets.phantoms.ct_artefacts import metal_streaks
from regforest.datasets.phantoms.ct_kernels import measure, paint, shade_bone, signed_distance
from regforest.datasets.phantoms.ct_shapes import ShapeList
from regforest.datasets.phantoms.ct_streak_kernels import back_project, project
from regforest.datasets.phantoms.ct_tissue import texture_tiles
from tests.reference import (
    back_projection,
    inside_box,
    inside_capsule,
    inside_column,
    inside_ellipsoid,
    paint_back_to_front,
    projections,
)

HEIGHTS = np.arange(60.0, -60.0, -3.0)
TABLE_FRAME = np.array([HEIGHTS[0], 3.0])


def axes_of(rng: np.random.Generator) -> np.ndarray:
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return axes if np.linalg.det(axes) > 0 else axes * [1, 1, -1]


def distances(shapes: ShapeList, points: np.ndarray) -> np.ndarray:
    """Signed distance of each point to the union of the shapes."""
    rows, tables = shapes.rows(), shapes.tables()
    return np.array([min(signed_distance(row, tables, *TABLE_FRAME, *point) for row in rows) for point in points])


def points_near(rng: np.random.Generator, reach: float) -> np.ndarray:
    return rng.uniform(-reach, reach, (300, 3))


@pytest.mark.parametrize("thin", [1.0, 2.5])
def test_the_inside_of_a_capsule_is_that_of_a_row_of_balls(thin: float) -> None:
    rng = np.random.default_rng(1)
    a, b, along = np.array([-10.0, 3, 2]), np.array([14.0, -5, 6]), np.array([0.0, 0.0, 1.0])
    shapes = ShapeList(HEIGHTS)
    shapes.capsule(0, a, b, 9.0, 6.0, thin_along=along, thin=thin)
    points = points_near(rng, 13)
    expected = [inside_capsule(point, a, b, 9.0, 6.0, along, thin) for point in points]
    assert 15 < sum(expected) < 250
    assert np.mean((distances(shapes, points) < 0) == expected) > 0.99


def test_the_distance_to_a_round_capsule_is_exact() -> None:
    shapes = ShapeList(HEIGHTS)
    shapes.capsule(0, (0, 0, 0), (10, 0, 0), 2.0)
    points = np.array([(5, 0, 6), (-3, 4, 0), (5, 1, 0)], float)
    np.testing.assert_allclose(distances(shapes, points), [4, 3, -1])


def test_a_thinned_capsule_is_thin_along_its_direction_and_its_distance_nearly_true() -> None:
    shapes = ShapeList(HEIGHTS)
    shapes.capsule(0, (0, 0, 0), (10, 0, 0), 6.0, thin_along=(0, 0, 1), thin=3.0)
    points = np.array([(5, 0, 2), (5, 6, 0), (5, 0, 2.5)], float)
    np.testing.assert_allclose(distances(shapes, points), [0, 0, 0.5], atol=1e-9)


def test_ellipsoids_and_boxes_turn_with_their_axes() -> None:
    rng = np.random.default_rng(2)
    axes, centre, size = axes_of(rng), np.array([4.0, -3, 2]), np.array([16.0, 9, 6])
    points = points_near(rng, 18)
    ball, box = ShapeList(HEIGHTS), ShapeList(HEIGHTS)
    ball.ellipsoid(0, centre, size, axes)
    box.box(0, centre, size, axes, rounding=0.0)
    np.testing.assert_array_equal(
        distances(ball, points) < 0, [inside_ellipsoid(point, centre, size, axes) for point in points]
    )
    np.testing.assert_array_equal(
        distances(box, points) < 0, [inside_box(point, centre, size, axes) for point in points]
    )


def test_a_column_is_the_oval_between_its_heights() -> None:
    rng = np.random.default_rng(3)
    x, y = 5 * np.sin(HEIGHTS / 20), 3 * np.cos(HEIGHTS / 15)
    half_x, half_y = 12 + 4 * np.sin(HEIGHTS / 9), 9 + 0 * HEIGHTS
    shapes = ShapeList(HEIGHTS)
    shapes.column(0, x, y, half_x, half_y)
    points = points_near(rng, 20)
    expected = [inside_column(point, HEIGHTS, x, y, half_x, half_y) for point in points]
    np.testing.assert_array_equal(distances(shapes, points) < 0, expected)


def test_a_vertebral_body_has_its_size_and_a_wedge_is_lower_in_front() -> None:
    plain, wedge = ShapeList(HEIGHTS), ShapeList(HEIGHTS)
    for shapes, loss in ((plain, 0.0), (wedge, 0.4)):
        shapes.body(0, (0, 0, 0), np.eye(3), (20, 15, 12), concavity_mm=0.0, wedge=loss, waist=0.0, notch=0.0)
    front, back = (0, -12, 10.5), (0, 12, 10.5)  # LPS: y is posterior
    np.testing.assert_array_equal(distances(plain, np.array([front, back], float)) < 0, [True, True])
    np.testing.assert_array_equal(distances(wedge, np.array([front, back], float)) < 0, [False, True])
    sides = np.array([(19, 0, 0), (21, 0, 0), (0, -14, 0), (0, -16, 0), (0, 0, 11), (0, 0, 13)], float)
    np.testing.assert_array_equal(distances(plain, sides) < 0, [True, False] * 3)


def test_painting_from_the_front_equals_painting_from_the_back() -> None:
    shapes = ShapeList(HEIGHTS)
    shapes.ellipsoid(0, (6, 6, 6), (6, 6, 6))
    shapes.ellipsoid(1, (8, 6, 6), (4, 4, 4))
    shapes.box(2, (4, 4, 4), (2, 3, 2), rounding=0.0)
    rows, tables = shapes.rows(), shapes.tables()
    shape, blur = (12, 12, 12), 2.0
    tissues = np.zeros((3, 8))
    tissues[:, 0], tissues[:, 3] = (100, -500, 900), 1
    frame = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    bounds = np.tile(np.array([0, 0, 0, *shape]), (3, 1))
    image, clear = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    paint(image, clear, rows[::-1].copy(), bounds, frame, tables, TABLE_FRAME, tissues, texture_tiles(), blur)
    image += clear * -1000
    for z, y, x in [(6, 6, 6), (4, 4, 4), (6, 6, 11), (0, 0, 0), (6, 6, 4), (2, 4, 4), (6, 10, 8), (5, 6, 1)]:
        away = [signed_distance(row, tables, *TABLE_FRAME, float(x), float(y), float(z)) for row in rows]
        shares = [min(max(0.5 - d / blur, 0), 1) for d in away]
        expected = paint_back_to_front(-1000.0, shares, tissues[:, 0])
        assert image[z, y, x] == pytest.approx(expected, abs=0.01)


def test_bone_is_a_cortical_shell_around_its_inside() -> None:
    shapes = ShapeList(HEIGHTS)
    shapes.capsule(1, (0, 10, 10), (20, 10, 10), 8.0)
    shape = (21, 21, 21)
    frame = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    distance, owner = np.full(shape, 1e3, np.float32), np.zeros(shape, np.int16)
    measure(distance, owner, shapes.rows(), np.array([[0, 0, 0, *shape]]), frame, shapes.tables(), TABLE_FRAME)
    assert distance[10, 15, 10] == pytest.approx(-3)
    assert owner[10, 10, 10] == 1
    image, clear = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    kinds = np.array([[0.0, 0, 0, 0], [1000, 150, 2, 0]])
    shade_bone(image, clear, distance, owner, kinds, frame, texture_tiles(), 1.0)
    assert image[10, 10, 10] == pytest.approx(150)
    assert image[10, 17, 10] == pytest.approx(1000)
    assert image[10, 18, 10] == pytest.approx(500)  # half of the voxel on the surface
    assert image[10, 20, 10] == 0
    assert clear[10, 10, 10] == 0
    assert clear[10, 20, 10] == 1


def test_streaks_start_at_metal_darken_between_two_pieces_and_leave_metal_alone() -> None:
    image = np.full((96, 96), 40, np.float32)
    assert metal_streaks(image, 1.6, np.random.default_rng(0)) is None
    image[45:51, 25:31] = image[45:51, 65:71] = 3071
    streaks = np.mean([metal_streaks(image, 1.6, np.random.default_rng(i)) for i in range(6)], axis=0)
    assert np.abs(streaks[image > 2000]).max() == 0
    assert streaks[46:50, 42:54].mean() < -30
    assert np.abs(streaks[5:20, 5:20]).mean() < 0.2 * abs(streaks[46:50, 42:54].mean())


def test_projection_and_back_projection_equal_their_slow_twins() -> None:
    rng = np.random.default_rng(0)
    image = (rng.random((5, 8)) * (rng.random((5, 8)) < 0.4)).astype(np.float32)
    angles, bins = np.linspace(0, np.pi, 7, endpoint=False), 15
    sums = np.zeros((7, bins), np.float32)
    project(image, angles, sums)
    np.testing.assert_allclose(sums, projections(image, angles, bins), atol=1e-5)
    np.testing.assert_allclose(sums.sum(axis=1), image.sum(), rtol=1e-5)
    filtered = rng.normal(size=(7, bins)).astype(np.float32)
    back = np.zeros((5, 8), np.float32)
    back_project(filtered, angles, back)
    np.testing.assert_allclose(back, back_projection(filtered, angles, (5, 8)), atol=1e-5)
