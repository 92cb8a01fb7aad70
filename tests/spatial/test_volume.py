import numpy as np
import pytest

from regforest.errors import DataError
from regforest.spatial import Grid, Landmarks, Volume
from tests.reference import ALL_ORIENTATIONS, reorient

RNG = np.random.default_rng(5)
VOXELS = RNG.integers(-1000, 1000, (4, 5, 6)).astype(np.int16)
MATRIX = Grid.from_parts(VOXELS.shape, (0.5, 0.7, 2.0), (-30, 12, 400)).matrix
OBLIQUE = Grid.from_parts(
    VOXELS.shape, (0.5, 0.7, 2.0), (-30, 12, 400), [[0.98, -0.17, 0.05], [0.17, 0.98, -0.1], [-0.03, 0.1, 0.99]]
).matrix


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
@pytest.mark.parametrize("matrix", [MATRIX, OBLIQUE], ids=["straight", "oblique"])
def test_all_48_axis_orders_give_one_canonical_volume(order, flips, matrix):
    voxels, turned = reorient(VOXELS, matrix, order, flips)
    canonical = Volume(voxels, Grid(voxels.shape, turned)).canonical()
    np.testing.assert_array_equal(canonical.voxels, VOXELS)
    np.testing.assert_allclose(canonical.grid.matrix, matrix, atol=1e-9)
    assert canonical.voxels.flags.c_contiguous


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
def test_all_48_axis_orders_give_one_isotropic_volume_and_one_set_of_landmarks(order, flips):
    voxels, turned = reorient(VOXELS, OBLIQUE, order, flips)
    grid = Grid(voxels.shape, turned)
    expected = Volume(VOXELS, Grid(VOXELS.shape, OBLIQUE)).isotropic(0.9)
    found = Volume(voxels, grid).isotropic(0.9)
    assert found.grid.is_close(expected.grid, 1e-9)
    np.testing.assert_allclose(found.voxels, expected.voxels, atol=1e-2)
    points = Landmarks({"L1": (-29.1, 13.2, 402.0), "L2": (-28, 14, 403)})
    np.testing.assert_allclose(points.to_grid(grid).to_lps(grid).points, points.points, atol=1e-9)


def ramp(grid):
    """1 + 2x - y + 0.5z of every voxel's place in LPS mm."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape_zyx], indexing="ij"), axis=-1)[..., ::-1]
    return (1 + grid.index_to_lps(index) @ [2, -1, 0.5]).astype(np.float32)


@pytest.mark.parametrize("spacing", [0.8, 1.0, 2.3])
def test_a_linear_ramp_stays_the_same_ramp_inside_when_resampled(spacing):
    grid = Grid.from_parts((20, 22, 24), (1.0, 1.3, 2.0), (5, -7, 90))
    found = Volume(ramp(grid), grid).isotropic(spacing)
    inner = tuple(slice(4, -4) for _ in range(3))
    np.testing.assert_allclose(found.voxels[inner], ramp(found.grid)[inner], atol=2e-3)


def test_a_linear_ramp_survives_the_resampling_of_a_sheared_grid():
    grid = Grid.from_parts((20, 22, 24), (1, 1, 1.2), direction=[[1, 0, 0.2], [0, 1, 0], [0, 0, 1]])
    found = Volume(ramp(grid), grid).isotropic(1.0)
    inside = grid.contains(found.grid.index_to_lps(np.argwhere(np.ones(found.grid.shape_zyx))[:, ::-1]), -3)
    assert inside.sum() > 1000
    np.testing.assert_allclose(found.voxels.ravel()[inside], ramp(found.grid).ravel()[inside], atol=2e-3)


def test_labels_keep_their_values_and_type_and_are_0_outside():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1:3, 1:3, 1:3] = 7
    grid = Grid.from_parts((4, 4, 4), (2, 2, 2))
    found = Volume(labels, grid).resampled_labels(Grid.from_parts((10, 10, 10), (1, 1, 1), (-2, 0, 0)))
    assert found.voxels.dtype == np.uint8
    assert set(np.unique(found.voxels)) == {0, 7}
    assert found.voxels[4, 4, 6] == 7  # at x 4, y 4, z 4 mm
    assert not found.voxels[:, :, 0].any()


def test_cropping_beyond_the_border_repeats_the_nearest_voxel():
    grid = Grid.from_parts((1, 1, 3), (2, 1, 1), (10, 0, 0))
    found = Volume(np.array([[[1, 2, 3]]]), grid).cropped((-2, 0, 0), (1, 2, 7))
    np.testing.assert_array_equal(found.voxels, [[[1, 1, 1, 2, 3, 3, 3]] * 2])
    np.testing.assert_allclose(found.grid.origin_mm, [6, 0, 0])


def test_voxels_must_have_the_shape_of_their_grid():
    with pytest.raises(DataError, match=r"\(2, 2, 2\).*\(3, 2, 2\)"):
        Volume(np.zeros((2, 2, 2)), Grid.from_parts((3, 2, 2)))


def test_voxel_sizes_of_another_unit_are_refused_before_the_memory_is_full():
    with pytest.raises(DataError, match=r"measures 6 x 5 x 4 m, more than a person: correct its voxel sizes"):
        Volume(VOXELS, Grid.from_parts(VOXELS.shape, (1000, 1000, 1000))).isotropic(2.0)
