import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from regforest.spatial import Grid
from regforest.spatial.resampling import resample_labels, resample_linear
from tests import reference

steps = st.floats(0.3, 3.5)
shapes = st.tuples(*[st.integers(1, 6)] * 3)
orientations = st.sampled_from(reference.ALL_ORIENTATIONS)
seeds = st.integers(0, 99)
TURN = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
NUMBER_TYPES = ["u1", "i1", "i2", "u2", "i4", "i8", "f2", "f4", "f8", ">i2", ">f4", "?"]


def noise(shape, seed=0, kind="f4"):
    return (np.random.default_rng(seed).normal(size=shape) * 50 + 100).astype(kind)


def turned(shape, spacing=(1, 1, 1), shear=0.0):
    """A grid of skew axes about the middle of another's."""
    axes = TURN @ [[1, 0, shear], [0, 1, 0], [0, 0, 1]]
    middle = axes * spacing @ ((np.array(shape[::-1]) - 1) / 2)
    return Grid.from_parts(shape, spacing, -middle, axes)


@given(shapes, shapes, st.tuples(steps, steps, steps), st.tuples(*[st.floats(-4, 4)] * 3), st.integers(0, 99))
def test_resampling_equals_its_slow_twin(shape, target_shape, spacing, origin, seed):
    voxels = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    source, target = Grid.from_parts(shape), Grid.from_parts(target_shape, spacing, origin)
    expected = reference.resample_linear(voxels, source.matrix, target.matrix, target_shape)
    np.testing.assert_allclose(resample_linear(voxels, source, target), expected, atol=1e-5)


@pytest.mark.parametrize("spacing", [0.4, 1.0, 1.7, 3.0])
def test_a_constant_stays_constant_also_beyond_the_border(spacing):
    voxels = np.full((5, 6, 7), 42, np.int16)
    target = Grid.from_parts((9, 9, 9), (spacing,) * 3, (-3, -3, -3))
    np.testing.assert_allclose(resample_linear(voxels, Grid.from_parts((5, 6, 7)), target), 42, rtol=1e-6)


def test_halfway_between_two_voxels_is_their_mean():
    voxels = np.array([[[10.0, 20.0]]], np.float32)
    found = resample_linear(voxels, Grid.from_parts((1, 1, 2)), Grid.from_parts((1, 1, 1), origin_mm=(0.5, 0, 0)))
    assert found.item() == 15.0


def test_shrinking_averages_instead_of_picking():
    stripes = np.zeros((1, 1, 40), np.float32)
    stripes[..., ::2] = 100
    found = resample_linear(stripes, Grid.from_parts((1, 1, 40)), Grid.from_parts((1, 1, 9), (4, 1, 1), (4, 0, 0)))
    np.testing.assert_allclose(found, 50, atol=1e-4)


def test_an_oblique_target_agrees_with_interpolation_done_twice_by_hand():
    # a quarter turn about z: the values are those of the voxels, only in another order
    voxels = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    quarter = Grid.from_parts((2, 4, 3), origin_mm=(3, 0, 0), direction=[[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    found = resample_linear(voxels, Grid.from_parts((2, 3, 4)), quarter)
    np.testing.assert_allclose(found, voxels.transpose(0, 2, 1)[:, ::-1], atol=1e-4)


def test_labels_take_the_nearest_value_and_0_outside():
    labels = np.array([[[1, 2, 3]]], np.int32)
    target = Grid.from_parts((1, 1, 6), origin_mm=(-1, 0, 0), spacing_mm=(0.9, 1, 1))
    found = resample_labels(labels, Grid.from_parts((1, 1, 3)), target)  # at -1, -0.1, 0.8, 1.7, 2.6, 3.5
    np.testing.assert_array_equal(found, [[[0, 1, 2, 3, 0, 0]]])
    assert found.dtype == np.int32


@given(shapes, st.tuples(steps, steps, steps), st.tuples(*[st.floats(-2, 2)] * 3), orientations, seeds)
def test_all_48_orders_of_either_grid_s_axes_give_the_same_values(shape, spacing, origin, orientation, seed):
    voxels, source = noise(shape, seed), Grid.from_parts(shape)
    target = Grid.from_parts((3, 4, 5), spacing, origin)
    expected = resample_linear(voxels, source, target)
    moved, matrix = reference.reorient(voxels, source.matrix, *orientation)
    found = resample_linear(moved, Grid(moved.shape, matrix), target)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    wanted, matrix = reference.reorient(expected, target.matrix, *orientation)
    found = resample_linear(voxels, source, Grid(wanted.shape, matrix))
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert found.flags.c_contiguous


@given(shapes, orientations, seeds, st.sampled_from(NUMBER_TYPES[:-1]))
def test_a_grid_onto_itself_changes_no_bit(shape, orientation, seed, kind):
    voxels, matrix = reference.reorient(noise(shape, seed, kind), turned(shape, (0.7, 1.3, 2)).matrix, *orientation)
    grid = Grid(voxels.shape, matrix)
    np.testing.assert_array_equal(resample_linear(voxels, grid, grid), voxels.astype(np.float32))


@given(shapes, shapes, st.tuples(steps, steps, steps), st.floats(-0.4, 0.4), seeds)
def test_a_constant_stays_constant_on_every_grid(shape, target_shape, spacing, shear, value):
    target = turned(target_shape, spacing, shear)
    for source in (Grid.from_parts(shape), turned(shape, (1.2, 0.6, 1), shear)):
        found = resample_linear(np.full(shape, value, np.int16), source, target)
        np.testing.assert_allclose(found, value, rtol=1e-5)


@given(steps, st.floats(-0.4, 0.4))
def test_a_ramp_stays_a_ramp_inside_a_turned_or_sheared_grid(spacing, shear):
    source, target = turned((25, 26, 27), shear=shear), Grid.from_parts((5, 5, 5), (spacing,) * 3, [-2 * spacing] * 3)

    def ramp(grid):
        index = np.moveaxis(np.indices(grid.shape_zyx), 0, -1)[..., ::-1]
        return grid.index_to_lps(index) @ [2, -1, 0.5]

    inside = source.contains(target.index_to_lps(np.argwhere(np.ones((5, 5, 5)))[:, ::-1]), -1 - 2 * spacing)
    found = resample_linear(ramp(source), source, target)
    np.testing.assert_allclose(found.ravel()[inside], ramp(target).ravel()[inside], atol=1e-3)
    assert inside[62]  # the middle


@given(shapes, shapes, st.tuples(*[st.floats(0.3, 1.4)] * 3), st.floats(-0.2, 0.2), seeds)
def test_a_turned_grid_that_does_not_shrink_gets_what_scipy_interpolates(shape, target_shape, spacing, shear, seed):
    voxels, source, target = (
        noise(shape, seed),
        Grid.from_parts(shape, (2, 2, 2)),
        turned(target_shape, spacing, shear),
    )
    to_source = np.linalg.inv(source.matrix) @ target.matrix
    expected = ndimage.affine_transform(
        voxels, to_source[:3, :3][::-1, ::-1], to_source[:3, 3][::-1], target_shape, order=1, mode="nearest"
    )
    np.testing.assert_allclose(resample_linear(voxels, source, target), expected, atol=1e-3)


@pytest.mark.parametrize("spacing", [2.0, 3.0, 4.3])
@pytest.mark.parametrize("target", [Grid.from_parts, turned], ids=["parallel", "turned"])
def test_a_checkerboard_shrinks_to_its_mean(target, spacing):
    board = (np.indices((24, 24, 24)).sum(axis=0) % 2 * 100).astype(np.int16)
    grid = target((4, 4, 4), (spacing,) * 3)
    middle = grid.index_to_lps([1.5, 1.5, 1.5])
    source = Grid.from_parts(board.shape, origin_mm=middle - 11.5)
    np.testing.assert_allclose(resample_linear(board, source, grid), 50, atol=1.5)


@pytest.mark.parametrize("spacing", [2.0, 3.0, 4.0])
def test_both_ways_of_shrinking_blur_alike(spacing):
    rng, shape = np.random.default_rng(0), (41, 41, 41)
    source, spread = Grid.from_parts(shape, origin_mm=(-20, -20, -20)), []
    for axes in (np.eye(3), TURN):
        moments = []
        for _ in range(100):
            point, index = np.zeros(shape, np.uint8), rng.integers(16, 25, 3)
            point[tuple(index)] = 1
            grid = Grid.from_parts((15,) * 3, (spacing,) * 3, axes @ (rng.uniform(-7.5, -6.5, 3) * spacing), axes)
            weight = resample_linear(point, source, grid)
            place = grid.index_to_lps(np.moveaxis(np.indices(weight.shape), 0, -1)[..., ::-1])
            moments.append((weight * ((place - index[::-1] + 20) ** 2).sum(axis=-1)).sum() / weight.sum())
        spread.append(np.mean(moments))
    assert spread[0] == pytest.approx(spacing**2 / 2, rel=0.05)
    assert spread[1] == pytest.approx(spread[0], rel=0.1)


@pytest.mark.parametrize("target", [turned((9, 8, 7), (0.8, 2, 1.4)), Grid.from_parts((40, 37, 9), (0.4, 0.5, 1.3))])
def test_the_number_of_jobs_changes_nothing(target):
    voxels, grid = noise((12, 13, 14)), Grid.from_parts((12, 13, 14))
    for resample, values in ((resample_linear, voxels), (resample_labels, voxels.astype(np.int16))):
        expected = resample(values, grid, target)
        for n_jobs in (2, 3, -1):
            np.testing.assert_array_equal(resample(values, grid, target, n_jobs), expected)


@pytest.mark.parametrize("kind", NUMBER_TYPES)
@pytest.mark.parametrize("target", [turned((3, 4, 5)), Grid.from_parts((3, 4, 5), (1.3, 0.6, 2))])
def test_every_number_type_gives_the_values_of_float32(kind, target):
    voxels, grid = noise((6, 5, 4), 0, kind), Grid.from_parts((6, 5, 4))
    expected = resample_linear(voxels.astype(np.float32), grid, target)
    np.testing.assert_array_equal(resample_linear(voxels, grid, target), expected)


def test_views_and_arrays_that_cannot_be_written_are_read_as_they_stand():
    base, grid, target = noise((8, 10, 12)), Grid.from_parts((4, 5, 12)), Grid.from_parts((3, 4, 5), (2, 1, 1.5))
    view = base[::2, ::-2]
    expected = resample_linear(view.copy(), grid, target)
    view.flags.writeable = False
    np.testing.assert_array_equal(resample_linear(view, grid, target), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_not_finite_reaches_only_the_samples_that_use_it(value):
    voxels, grid = noise((7, 7, 7)), Grid.from_parts((7, 7, 7))
    voxels[3, 3, 3] = value
    same = resample_linear(voxels, grid, grid)
    assert np.argwhere(~np.isfinite(same)).tolist() == [[3, 3, 3]]
    finer = np.isfinite(resample_linear(voxels, grid, Grid.from_parts((13, 13, 13), (0.5, 0.5, 0.5))))
    assert np.argwhere(~finer).min() == 5
    assert np.argwhere(~finer).max() == 7


@given(
    shapes, shapes, st.tuples(steps, steps, steps), st.tuples(*[st.floats(-4, 4)] * 3), orientations, st.booleans()
)
def test_labels_equal_their_slow_twin(shape, target_shape, spacing, origin, orientation, is_turned):
    labels = np.random.default_rng(0).integers(-100, 100, shape).astype(np.int16)
    target = turned(target_shape, spacing, 0.1) if is_turned else Grid.from_parts(target_shape, spacing, origin)
    moved, matrix = reference.reorient(labels, np.eye(4), *orientation)
    source = Grid(moved.shape, matrix)
    expected = reference.resample_labels(moved, source.matrix, target.matrix, target_shape)
    np.testing.assert_array_equal(resample_labels(moved, source, target), expected)


@given(shapes, shapes, st.tuples(*[st.sampled_from([0.25, 0.5, 1, 1.5, 2])] * 3), st.booleans())
def test_labels_are_those_that_scipy_picks_at_every_tie(shape, target_shape, spacing, is_sheared):
    labels = np.random.default_rng(0).integers(1, 100, shape).astype(np.uint8)
    target = Grid.from_parts(
        target_shape, spacing, (-1, -0.5, 0.5), [[1, 0.5 * is_sheared, 0], [0, 1, 0], [0, 0, -1]]
    )
    steps_xyz, start = target.matrix[:3, :3], target.matrix[:3, 3]
    expected = ndimage.affine_transform(
        labels, steps_xyz[::-1, ::-1], start[::-1], target_shape, order=0, mode="grid-constant", cval=0
    )
    np.testing.assert_array_equal(resample_labels(labels, Grid.from_parts(shape), target), expected)


@pytest.mark.parametrize("kind", [*NUMBER_TYPES, "i8", "u8", ">u4"])
@pytest.mark.parametrize("axes", [np.eye(3), TURN], ids=["parallel", "turned"])
def test_labels_of_every_type_come_through_bit_by_bit(kind, axes):
    labels = np.full((3, 3, 3), 2**62 + 1 if kind in ("i8", "u8") else 1).astype(kind)
    found = resample_labels(
        labels, Grid.from_parts((3, 3, 3)), Grid.from_parts((2, 1, 1), (9, 9, 9), (1, 1, 1), axes)
    )
    assert found.dtype == labels.dtype
    assert found[0, 0, 0] == labels[0, 0, 0]
    assert found[1, 0, 0] == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells how much memory is in use")
def test_a_crop_reads_only_the_part_of_the_image_that_it_needs(tmp_path):
    with (tmp_path / "a.raw").open("wb") as file:
        file.truncate(1000**3)  # a hole in a file takes no place on the disk
    voxels = np.memmap(tmp_path / "a.raw", np.uint8, mode="c", shape=(1000, 1000, 1000))
    voxels[500, 500, 500] = 8
    source, target = Grid.from_parts(voxels.shape), Grid.from_parts((2, 2, 2), (1, 1, 1), (499.5, 499.5, 499.5))
    resample_linear(np.zeros((1, 1, 1), np.uint8), Grid.from_parts((1, 1, 1)), target)  # compiles

    def pages():
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = pages()
    np.testing.assert_array_equal(resample_linear(voxels, source, target), np.ones((2, 2, 2)))
    assert pages() - before < 2000


def test_the_kernels_give_the_same_without_the_compiler():
    code = """
import json
import numpy as np
from regforest.spatial import Grid, Volume
voxels = (np.random.default_rng(0).normal(size=(6, 5, 4)) * 99).astype(np.int16)
found = []
for shear in (0, 0.3):
    volume = Volume(voxels, Grid.from_parts((6, 5, 4), direction=[[1, 0, shear], [0, 0, 1], [0, 1, 0]]))
    target = Grid.from_parts((3, 3, 3), (2, 1.5, 0.7))
    found += [volume.resampled(target).voxels.tolist(), volume.resampled_labels(target).voxels.tolist()]
print(json.dumps(found))
"""
    interpreted, compiled = (
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"NUMBA_DISABLE_JIT": disabled},
            cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True,
        ).stdout
        for disabled in "10"
    )  # fmt: skip
    np.testing.assert_allclose(json.loads(interpreted), json.loads(compiled), rtol=1e-5)
