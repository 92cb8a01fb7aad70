"""One bright voxel lies at the same place in the world for us, for SimpleITK and for nibabel, whatever the axes."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from regforest.io import IMAGE_SUFFIXES, read_volume, write_label_image, write_volume
from regforest.spatial import Grid, Volume
from tests.reference import ALL_ORIENTATIONS, reorient

SHAPE = (4, 5, 6)
BRIGHT_ZYX = (3, 1, 4)
LPS_TO_RAS = np.diag([-1, -1, 1])


def _rotation(axis, degrees):
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


DIRECTIONS = {
    "straight": np.eye(3),
    "oblique": _rotation((1, 2, -0.5), 23),
    "sheared": np.array([[1, 0, 0.26], [0, 1, 0.1], [0, 0, 0.95]]),
}
TELLABLE_TO_ITK = ("straight", "oblique")
FORMATS_AND_GRIDS = [
    (suffix, kind)
    for suffix in IMAGE_SUFFIXES
    for kind in DIRECTIONS
    if suffix.startswith(".nii") or kind in TELLABLE_TO_ITK
]


def image(kind, order, flips):
    """Voxels with one bright one, their grid with its axes in this order, and the bright one's LPS millimetres."""
    grid = Grid.from_parts(SHAPE, (0.5, 0.75, 2.5), (-30, 12, 400), DIRECTIONS[kind])
    voxels = np.zeros(SHAPE, np.int16)
    voxels[BRIGHT_ZYX] = 1000
    turned, matrix = reorient(voxels, grid.matrix, order, flips)
    return Volume(turned, Grid(turned.shape, matrix)), grid.matrix[:3] @ [*BRIGHT_ZYX[::-1], 1]


def bright_for_us(path):
    found = read_volume(path)
    z, y, x = np.unravel_index(found.voxels.argmax(), found.voxels.shape)
    return found.grid.index_to_lps((x, y, z))


def bright_for_itk(path):
    found = sitk.ReadImage(str(path))
    index_zyx = np.unravel_index(sitk.GetArrayFromImage(found).argmax(), found.GetSize()[::-1])
    return found.TransformIndexToPhysicalPoint([int(i) for i in index_zyx[::-1]])


def bright_for_nibabel(path):
    found = nibabel.load(path)
    index = np.unravel_index(np.asarray(found.dataobj).argmax(), found.shape)
    return LPS_TO_RAS @ nibabel.affines.apply_affine(found.affine, index)


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
@pytest.mark.parametrize(("suffix", "kind"), FORMATS_AND_GRIDS)
def test_what_we_write_lies_where_the_witnesses_read_it(tmp_path, suffix, kind, order, flips):
    volume, expected = image(kind, order, flips)
    path = tmp_path / f"a{suffix}"
    write_volume(volume, path)
    np.testing.assert_allclose(bright_for_us(path), expected, atol=1e-4)
    if kind in TELLABLE_TO_ITK:
        np.testing.assert_allclose(bright_for_itk(path), expected, atol=1e-3)
    if suffix.startswith(".nii"):
        np.testing.assert_allclose(bright_for_nibabel(path), expected, atol=1e-4)


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
@pytest.mark.parametrize("kind", DIRECTIONS)
def test_label_images_lie_where_the_witnesses_read_them(tmp_path, kind, order, flips):
    volume, expected = image(kind, order, flips)
    write_volume(volume, tmp_path / "image.nii")
    labels = Volume((volume.voxels > 0).astype(np.uint8), read_volume(tmp_path / "image.nii").grid)
    path = tmp_path / "labels.nii.gz"
    write_label_image(labels, {1: "L1"}, path, tmp_path / "image.nii")
    np.testing.assert_allclose(bright_for_nibabel(path), expected, atol=1e-4)
    np.testing.assert_array_equal(nibabel.load(path).affine, nibabel.load(tmp_path / "image.nii").affine)
    if kind in TELLABLE_TO_ITK:
        np.testing.assert_allclose(bright_for_itk(path), expected, atol=1e-3)


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_what_itk_writes_lies_where_we_read_it(tmp_path, suffix, order, flips):
    volume, expected = image("oblique", order, flips)
    written = sitk.GetImageFromArray(volume.voxels)
    written.SetSpacing(volume.grid.spacing_mm.tolist())
    written.SetOrigin(volume.grid.origin_mm.tolist())
    written.SetDirection(volume.grid.direction.ravel().tolist())
    sitk.WriteImage(written, str(tmp_path / f"a{suffix}"), True)
    np.testing.assert_allclose(bright_for_us(tmp_path / f"a{suffix}"), expected, atol=1e-3)


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
@pytest.mark.parametrize("kind", DIRECTIONS)
def test_what_nibabel_writes_lies_where_we_read_it(tmp_path, kind, order, flips):
    volume, expected = image(kind, order, flips)
    affine = np.diag([-1, -1, 1, 1]) @ volume.grid.matrix
    nibabel.save(nibabel.Nifti1Image(volume.voxels.T, affine), tmp_path / "a.nii")
    np.testing.assert_allclose(bright_for_us(tmp_path / "a.nii"), expected, atol=1e-4)
