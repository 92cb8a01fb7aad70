"""Where DICOM voxels lie, against the equation of the standard and against ITK."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import RLELossless
from scipy.spatial.transform import Rotation

from regforest.io.dicom import list_dicom, read_dicom
from tests.io.dicom_maker import CT, ENHANCED_MR, enhanced, group, placed, save, stack, write

RNG = np.random.default_rng(0)
VOXELS = RNG.permutation(5 * 7 * 6).reshape(5, 7, 6).astype(np.int16)
STRAIGHT = [
    np.array([row, column], float)
    for row, column in itertools.product([*np.eye(3), *-np.eye(3)], repeat=2)
    if not np.dot(row, column)
]
OBLIQUE = [turn.as_matrix()[:, :2].T for turn in Rotation.random(8, random_state=1)]
SPACING, STEP_MM, ORIGIN = (0.5, 0.8), 2.5, np.array([10.0, -20.0, 30.0])


def slices(axes, voxels=VOXELS, step_mm=STEP_MM):
    normal = np.cross(*axes)
    return [placed(pixels, ORIGIN + k * step_mm * normal, axes, SPACING) for k, pixels in enumerate(voxels)]


def world_of_pixel(dataset, row, column):
    """Equation C.7.6.2.1-1 of DICOM part 3."""
    position, axes, spacing = (
        np.array(dataset[keyword].value, float)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    )
    return position + axes[:3] * spacing[1] * column + axes[3:] * spacing[0] * row


def value_at(volume, point_lps_mm):
    index = volume.grid.lps_to_index(point_lps_mm)
    np.testing.assert_allclose(index, np.rint(index), atol=1e-4)
    x, y, z = np.rint(index).astype(int)
    return volume.voxels[z, y, x]


@pytest.mark.parametrize("axes", [*STRAIGHT, *OBLIQUE], ids=lambda axes: " ".join(f"{x:.1f}" for x in axes.ravel()))
def test_every_voxel_lies_where_the_tags_say_for_all_directions(axes, tmp_path):
    datasets = slices(axes)
    write(tmp_path, [datasets[k] for k in (3, 0, 4, 1, 2)])  # names in no order
    volume = read_dicom(tmp_path).volume
    assert volume.voxels.shape == VOXELS.shape
    for dataset, pixels in zip(datasets, VOXELS, strict=True):
        for row, column in ((0, 0), (6, 0), (0, 5), (3, 2)):
            assert value_at(volume, world_of_pixel(dataset, row, column)) == pixels[row, column]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    other = reader.Execute()
    for index in ([0, 0, 0], [5, 6, 4], [2, 3, 1]):
        assert value_at(volume, other.TransformIndexToPhysicalPoint(index)) == other[index]


def test_neither_names_nor_instance_numbers_order_the_slices(tmp_path):
    datasets = slices(STRAIGHT[0])
    for dataset, number in zip(datasets, (9, 2, 7, 1, 5), strict=True):
        dataset.InstanceNumber = number
    write(tmp_path, datasets[::-1], "Schädel {:d}")
    np.testing.assert_array_equal(read_dicom(tmp_path).volume.voxels, VOXELS)


@pytest.mark.parametrize("compressed", [False, True])
def test_functional_groups_place_and_rescale_the_frames_of_an_enhanced_file(compressed, tmp_path):
    positions = [(1, 2, 3 * k) for k in (4, 0, 3, 1, 2)]
    dataset = enhanced(VOXELS, positions)
    own = group(RescaleSlope=3, RescaleIntercept=7, RescaleType="US")
    dataset.PerFrameFunctionalGroupsSequence[0].PixelValueTransformationSequence = own
    if compressed:
        dataset.compress(RLELossless)
    volume = read_dicom(save(dataset, tmp_path / "enhanced.dcm")).volume
    np.testing.assert_array_equal(volume.voxels[:4], VOXELS[[1, 3, 4, 2]] * 2.0 - 10)
    np.testing.assert_array_equal(volume.voxels[4], VOXELS[0] * 3.0 + 7)
    np.testing.assert_allclose(volume.grid.spacing_mm, (0.75, 0.5, 3))
    np.testing.assert_allclose(volume.grid.origin_mm, (1, 2, 0))


def test_a_single_frame_that_calls_itself_enhanced_is_placed_by_its_own_tags(tmp_path):
    datasets = slices(OBLIQUE[0])
    for dataset in datasets:
        dataset.SOPClassUID = ENHANCED_MR
        dataset.compress(RLELossless)
    write(tmp_path, datasets)
    volume = read_dicom(tmp_path).volume
    assert value_at(volume, world_of_pixel(datasets[2], 4, 1)) == VOXELS[2, 4, 1]
    np.testing.assert_allclose(volume.grid.spacing_mm, (0.8, 0.5, 2.5), rtol=1e-6)


def test_a_tilted_gantry_gives_a_sheared_grid_that_resamples_to_the_right_place(tmp_path):
    ball_lps_mm, tilt = np.array([4.0, 9.0, 21.0]), np.tan(np.radians(20))
    y, x = np.mgrid[:40, :40]
    datasets = []
    for k in range(20):
        position = np.array([-16.0, -12.0 + 2 * k * tilt, 2.0 * k])
        squared = (x + position[0] - ball_lps_mm[0]) ** 2 + (y + position[1] - ball_lps_mm[1]) ** 2
        pixels = 1000 * np.exp(-(squared + (position[2] - ball_lps_mm[2]) ** 2) / 40)
        datasets.append(placed(pixels.astype(np.int16), position, Modality="CT", SOPClassUID=CT))
    write(tmp_path, datasets)
    scan = read_dicom(tmp_path)
    assert not scan.volume.grid.is_orthogonal
    assert any("gantry tilt of 20.0 degrees" in note for note in scan.notes)
    straight = scan.volume.isotropic(1.0)
    assert straight.grid.is_orthogonal
    weights = np.where(straight.voxels > 100, straight.voxels, 0).ravel()
    centre = np.average(np.indices(straight.voxels.shape).reshape(3, -1), axis=1, weights=weights)
    np.testing.assert_allclose(straight.grid.index_to_lps(centre[::-1]), ball_lps_mm, atol=0.3)


def test_rounded_positions_do_not_shear_a_grid(tmp_path):
    axes = Rotation.from_euler("x", 33, degrees=True).as_matrix()[:, :2].T
    datasets = slices(axes)
    for dataset in datasets:
        dataset.ImagePositionPatient = [f"{float(x):.2f}" for x in dataset.ImagePositionPatient]
    write(tmp_path, datasets)
    assert read_dicom(tmp_path).volume.grid.is_orthogonal


def test_a_missing_slice_is_interpolated_and_told(tmp_path):
    ramp = np.arange(6, dtype=np.int16)[:, None, None] * np.full((1, 4, 4), 10, np.int16)
    write(tmp_path, [dataset for k, dataset in enumerate(stack(ramp)) if k != 2])
    scan = read_dicom(tmp_path)
    np.testing.assert_allclose(scan.volume.voxels, ramp, atol=1e-4)
    assert scan.volume.grid.spacing_mm[2] == pytest.approx(3)
    assert any("missing slices: 1" in note for note in scan.notes)


def test_uneven_slices_are_interpolated_on_even_ones(tmp_path):
    heights = [0, 3, 6, 9, 15, 21, 27]  # a protocol that changes from 3 to 6 mm
    write(tmp_path, [placed(np.full((4, 4), 10 * z, np.int16), (0, 0, z)) for z in heights])
    volume = read_dicom(tmp_path).volume
    world = volume.grid.index_to_lps([(0, 0, k) for k in range(len(volume.voxels))])
    np.testing.assert_allclose(volume.voxels[:, 0, 0], 10 * world[:, 2], atol=0.01)


def test_a_wide_gap_divides_a_series_and_the_larger_part_is_read(tmp_path):
    voxels = np.arange(12, dtype=np.int16)[:, None, None] + np.zeros((1, 4, 4), np.int16)
    write(tmp_path, [dataset for k, dataset in enumerate(stack(voxels)) if k not in (4, 5, 6)])
    scan = read_dicom(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels[:, 0, 0], [7, 8, 9, 10, 11])
    assert any("took 5 slices of series 1.2.3.4, not its other 4" in note for note in scan.notes)


def test_copies_and_repeats_are_used_once(tmp_path):
    voxels = VOXELS.copy()
    datasets = stack(voxels)
    write(tmp_path / "a", datasets)
    save(datasets[2], tmp_path / "b" / "copy.dcm")
    repeat = placed(voxels[3] + 1, (0, 0, 9), SOPInstanceUID="1.2.9", InstanceNumber=77)
    save(repeat, tmp_path / "b" / "again.dcm")
    scan = read_dicom(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, voxels)
    assert any("copies of slices left out: 1" in note for note in scan.notes)
    assert any("an earlier one lies in their place: 1" in note for note in scan.notes)


def test_repeated_acquisitions_are_stacks_of_their_own(tmp_path):
    for number in (1, 2):
        datasets = stack(VOXELS + np.int16(1000 * number), AcquisitionNumber=number)
        for dataset in datasets:
            dataset.SOPInstanceUID += f".{number}"
        write(tmp_path / str(number), datasets)
    stacks = list_dicom(tmp_path).stacks
    assert [len(one.frames) for one in stacks] == [5, 5]
    np.testing.assert_array_equal(read_dicom(tmp_path).volume.voxels, VOXELS + 1000)


def test_one_identifier_for_all_slices_does_not_make_them_copies(tmp_path):
    datasets = stack(VOXELS)
    for dataset in datasets:
        dataset.SOPInstanceUID = "1.2.3.4.5"
    write(tmp_path, datasets)
    np.testing.assert_array_equal(read_dicom(tmp_path).volume.voxels, VOXELS)


def test_other_directions_sizes_and_echoes_of_a_series_are_stacks_of_their_own(tmp_path):
    write(tmp_path / "main", stack(VOXELS, EchoTime=100))
    write(tmp_path / "echo", stack(VOXELS[:3] + np.int16(500), EchoTime=20), "{}.ima")
    save(placed(VOXELS[0], (0, 0, 0), (0, 1, 0, 0, 0, -1)), tmp_path / "sagittal.dcm")
    save(placed(VOXELS[0, :4], (0, 0, 50)), tmp_path / "small.dcm")
    stacks = list_dicom(tmp_path).stacks
    assert sorted(len(one.frames) for one in stacks) == [1, 1, 3, 5]
    np.testing.assert_array_equal(read_dicom(tmp_path).volume.voxels, VOXELS)


def test_a_slice_alone_is_as_thick_as_it_says(tmp_path):
    path = save(placed(VOXELS[0], ORIGIN, SliceThickness=4, SpacingBetweenSlices="4.4"), tmp_path / "one.IMA")
    grid = read_dicom(path).volume.grid
    assert grid.shape_zyx == (1, 7, 6)
    assert grid.spacing_mm[2] == pytest.approx(4.4)


def test_parallel_axial_blocks_of_a_series_are_told_apart(tmp_path):
    heights: list[float] = [0, 4.4, 8.8, 13.2, 35, 39.4, 43.8, 48.2]
    write(Path(tmp_path), [placed(VOXELS[0] + np.int16(k), (0, 0, z)) for k, z in enumerate(heights)])
    first, second = list_dicom(tmp_path).stacks
    assert [one.grid.origin_mm[2] for one in (first, second)] == [0, 35]
    assert first.grid.shape_zyx == second.grid.shape_zyx == (4, 7, 6)
