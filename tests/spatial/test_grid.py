import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regforest.errors import DataError
from regforest.spatial import Grid

finite = st.floats(-500, 500)
spacings = st.floats(0.1, 8)
angles = st.floats(-np.pi, np.pi)


def rotation(a, b, c):
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    about_z = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_x = np.array([[1, 0, 0], [0, cc, -sc], [0, sc, cc]])
    return about_z @ about_y @ about_x


grids = st.builds(
    lambda spacing, origin, turn, shear, shape: Grid.from_parts(
        shape, spacing, origin, rotation(*turn) @ np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    ),
    st.tuples(spacings, spacings, spacings),
    st.tuples(finite, finite, finite),
    st.tuples(angles, angles, angles),
    st.floats(-0.4, 0.4),
    st.tuples(*[st.integers(1, 40)] * 3),
)


@given(grids, st.tuples(finite, finite, finite))
def test_index_to_millimetres_and_back_is_the_identity(grid, index):
    np.testing.assert_allclose(grid.lps_to_index(grid.index_to_lps(index)), index, atol=1e-7)


@given(grids, st.tuples(finite, finite, finite))
def test_a_step_of_one_index_is_one_spacing_long(grid, index):
    here = grid.index_to_lps(index)
    steps = grid.index_to_lps(np.asarray(index) + np.eye(3)) - here
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), grid.spacing_mm, rtol=1e-6)


def test_millimetres_of_a_turned_grid_by_hand():
    # x runs to posterior, y to superior, z to left
    grid = Grid.from_parts((5, 6, 7), (2, 3, 4), (10, 20, 30), [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(grid.index_to_lps([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
                               [[10, 20, 30], [10, 22, 30], [10, 20, 33], [14, 20, 30]])  # fmt: skip
    assert grid.axis_code == "PSL"
    assert grid.size_xyz == (7, 6, 5)
    np.testing.assert_allclose(grid.extent_mm, [14, 18, 20])


@pytest.mark.parametrize(("signs", "code"), [((1, 1, 1), "LPS"), ((-1, -1, 1), "RAS"), ((-1, 1, -1), "RPI")])
def test_the_axis_code_says_where_the_axes_run(signs, code):
    assert Grid.from_parts((2, 2, 2), direction=np.diag(signs)).axis_code == code


def test_the_axis_code_of_an_oblique_grid_uses_each_axis_once():
    # both x and y lean most towards L; the best assignment overall keeps them apart
    direction = np.array([[0.8, 0.75, 0], [0.6, -0.66, 0], [0, 0, 1]])
    assert Grid.from_parts((2, 2, 2), direction=direction).axis_code in ("PLS", "LAS")


def test_points_half_a_voxel_beyond_the_outer_centres_are_inside():
    grid = Grid.from_parts((4, 4, 4), (2, 2, 2))
    points = [[-0.99, 0, 0], [-1.01, 0, 0], [6.99, 6.99, 6.99], [7.01, 0, 0]]
    assert grid.contains(points).tolist() == [True, False, True, False]
    assert grid.contains([[-1.5, 0, 0], [-2.5, 0, 0]], margin_mm=1).tolist() == [True, False]


@given(grids, st.sampled_from([0.7, 1.0, 2.5]))
def test_an_isotropic_grid_covers_the_field_of_view_and_shares_its_centre(grid, spacing):
    iso = grid.isotropic(spacing)
    assert iso.is_orthogonal
    np.testing.assert_allclose(iso.spacing_mm, spacing)
    assert iso.contains(grid.corners_lps_mm(), margin_mm=1e-6).all()
    np.testing.assert_allclose(iso.corners_lps_mm().mean(axis=0), grid.corners_lps_mm().mean(axis=0), atol=1e-6)


def test_an_image_larger_than_a_person_gets_no_working_grid():
    with pytest.raises(
        DataError, match=r"measures 5.12 x 5.12 x 2 m, more than a person: .* given as 10 x 10 x 10 mm"
    ):
        Grid.from_parts((200, 512, 512), spacing_mm=(10, 10, 10)).isotropic(3.0)
    assert Grid.from_parts((2000, 512, 512), spacing_mm=(1, 1, 1)).isotropic(4.0).shape_zyx == (500, 128, 128)


def test_a_sheared_grid_says_so():
    assert Grid.from_parts((2, 2, 2)).is_orthogonal
    assert not Grid.from_parts((2, 2, 2), direction=[[1, 0.01, 0], [0, 1, 0], [0, 0, 1]]).is_orthogonal


def test_grids_are_close_by_their_corners():
    grid = Grid.from_parts((10, 10, 101))
    turned = Grid.from_parts((10, 10, 101), direction=[[1, 1e-4, 0], [-1e-4, 1, 0], [0, 0, 1]])
    assert not grid.is_close(turned)  # 100 voxels away it is 0.01 mm
    assert grid.is_close(turned, tolerance_mm=0.011)
    assert grid == Grid.from_parts((10, 10, 101))
    assert grid != Grid.from_parts((10, 10, 100))


def test_cropping_moves_the_origin_to_the_first_voxel_kept():
    grid = Grid.from_parts((9, 9, 9), (1, 2, 3), (5, 5, 5)).cropped((2, -1, 1), (3, 4, 5))
    assert grid.shape_zyx == (3, 4, 5)
    np.testing.assert_allclose(grid.origin_mm, [7, 3, 8])


@pytest.mark.parametrize("shape", [(0, 1, 1), (2, 2), (1, 1, 1, 1)])
def test_a_grid_needs_three_positive_sizes(shape):
    with pytest.raises(DataError, match="three positive sizes"):
        Grid(shape, np.eye(4))


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.eye(3), np.diag([1, np.nan, 1, 1]), np.diag([1, 1, 0, 1])])
def test_a_grid_needs_an_invertible_matrix(matrix):
    with pytest.raises(DataError, match="invertible"):
        Grid((2, 2, 2), matrix)


def test_the_matrix_of_a_grid_cannot_be_changed_from_outside():
    matrix = np.eye(4)
    grid = Grid((2, 2, 2), matrix)
    matrix[0, 0] = 5
    assert grid.spacing_mm[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        grid.matrix[0, 0] = 5
