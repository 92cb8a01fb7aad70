import gzip
import pickle
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from regforest.errors import DataError, FileError
from regforest.io import (
    IMAGE_SUFFIXES,
    image_stem,
    read_grid,
    read_label_names,
    read_volume,
    write_label_image,
    write_volume,
)
from regforest.io._nrrd import check_space
from regforest.spatial import Grid, Volume
from tests.reference import ALL_ORIENTATIONS, reorient

READS_LAS = tuple(map(int, sitk.Version_VersionString().split(".")[:3])) >= (2, 5, 6)
VOXELS = np.random.default_rng(3).integers(-1024, 3000, (4, 5, 6)).astype(np.int16)
STRAIGHT = Grid.from_parts(VOXELS.shape, (0.5, 0.75, 2.5), (-30, 12, 400)).matrix
U, _, VT = np.linalg.svd(np.random.default_rng(4).normal(size=(3, 3)) * 0.1 + np.eye(3))
TURNED = U @ VT  # the rotation nearest to a small disturbance: some degrees about a skew axis
OBLIQUE = Grid.from_parts(VOXELS.shape, (0.5, 0.75, 2.5), (-30, 12, 400), TURNED).matrix
SHEARED = Grid.from_parts(
    VOXELS.shape, (0.5, 0.75, 2.5), (-30, 12, 400), [[1, 0, 0.26], [0, 1, 0], [0, 0, 0.966]]
).matrix


def volume(matrix=STRAIGHT, voxels=VOXELS):
    return Volume(voxels, Grid(voxels.shape, matrix))


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
def test_every_format_keeps_voxels_and_places_in_all_48_orientations(tmp_path, suffix, order, flips):
    matrix = OBLIQUE if sum(flips) % 2 else STRAIGHT
    voxels, turned = reorient(VOXELS, matrix, order, flips)
    write_volume(volume(turned, voxels), tmp_path / f"a{suffix}")
    found = read_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(found.voxels, voxels)
    assert found.voxels.dtype == np.int16
    assert found.voxels.flags.c_contiguous
    np.testing.assert_allclose(found.grid.matrix, turned, atol=1e-4)
    assert read_grid(tmp_path / f"a{suffix}") == found.grid
    np.testing.assert_array_equal(found.canonical().voxels, VOXELS)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_sheared_grid_goes_through_nifti(tmp_path, suffix):
    write_volume(volume(SHEARED), tmp_path / f"a{suffix}")
    np.testing.assert_allclose(read_volume(tmp_path / f"a{suffix}").grid.matrix, SHEARED, atol=1e-4)
    header = nibabel.load(tmp_path / f"a{suffix}").header
    assert (header["sform_code"], header["qform_code"]) == (1, 0)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_a_sheared_grid_is_refused_by_the_other_formats(tmp_path, suffix):
    with pytest.raises(FileError, match=rf"a{suffix}.*perpendicular.*NIfTI"):
        write_volume(volume(SHEARED), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


def test_nifti_is_ras_in_the_file_and_lps_here(tmp_path):
    nibabel.save(nibabel.Nifti1Image(VOXELS.T, np.diag([2, 3, 4, 1.0])), tmp_path / "a.nii")
    grid = read_volume(tmp_path / "a.nii").grid
    np.testing.assert_allclose(grid.index_to_lps([[1, 0, 0], [0, 1, 0], [0, 0, 1]]), np.diag([-2, -3, 4]))
    assert grid.axis_code == "RAS"


def test_what_we_write_itk_reads_at_the_same_place(tmp_path):
    write_volume(volume(OBLIQUE), tmp_path / "a.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((3, 2, 1)),
                               Grid(VOXELS.shape, OBLIQUE).index_to_lps((3, 2, 1)), atol=1e-3)  # fmt: skip
    assert image.GetPixel(3, 2, 1) == VOXELS[1, 2, 3]


def nifti(path, data=None, **fields):
    image = nibabel.Nifti1Image(VOXELS.T if data is None else data, None)
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def test_the_sform_comes_before_the_qform_and_that_before_the_voxel_sizes(tmp_path):
    rows = {"srow_x": [5, 0, 0, 1], "srow_y": [0, 5, 0, 2], "srow_z": [0, 0, 5, 3]}
    pixdim = [1, 2, 3, 4, 0, 0, 0, 0]
    offset = {"qoffset_x": 7, "qoffset_y": 8, "qoffset_z": 9}
    both = nifti(tmp_path / "both.nii", pixdim=pixdim, sform_code=2, qform_code=1, **rows, **offset)
    np.testing.assert_allclose(read_grid(both).matrix[:3, 3], [-1, -2, 3])
    np.testing.assert_allclose(read_grid(both).spacing_mm, [5, 5, 5])
    qform = nifti(tmp_path / "qform.nii", pixdim=pixdim, sform_code=0, qform_code=1, **rows, **offset)
    np.testing.assert_allclose(read_grid(qform).matrix[:3, 3], [-7, -8, 9])
    neither = nifti(tmp_path / "neither.nii", pixdim=pixdim, sform_code=0, qform_code=0, **rows, **offset)
    np.testing.assert_allclose(read_grid(neither).matrix, np.diag([-2, -3, 4, 1]))


def test_matrices_that_differ_are_warned_of_and_equal_ones_are_not(tmp_path, caplog):
    image = nibabel.Nifti1Image(VOXELS.T, np.diag([1, 2, 3, 1]))
    image.set_qform(np.diag([1, 2, 3, 1]), 1)
    image.set_sform(np.diag([1, 2, 3, 1]), 1)
    nibabel.save(image, tmp_path / "a.nii")
    read_grid(tmp_path / "a.nii")
    assert caplog.messages == []
    image.set_qform(np.diag([-1, -2, 3, 1]), 1)
    nibabel.save(image, tmp_path / "a.nii")
    assert read_grid(tmp_path / "a.nii").matrix[0, 0] == -1
    assert "a.nii: sform and qform differ by up to 18.9 mm; the sform is taken" in caplog.text


def test_an_image_without_a_matrix_is_read_with_a_warning(tmp_path, caplog):
    write_volume(volume(np.diag([1, 2, 3, 1])), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[252:256] = bytes(4)
    (tmp_path / "a.nii").write_bytes(content)
    np.testing.assert_array_equal(read_grid(tmp_path / "a.nii").matrix, np.diag([-1, -2, 3, 1]))
    assert "a.nii: neither sform nor qform; its axes are taken as right, anterior, superior" in caplog.text


def nrrd(path, *fields):
    """Write `VOXELS` as raw NRRD with these fields by hand."""
    sizes = " ".join(map(str, VOXELS.T.shape))
    lines = ["NRRD0004", "type: short", "dimension: 3", f"sizes: {sizes}", "endian: little", "encoding: raw", *fields]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + VOXELS.tobytes())
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("RAS", (-1, -1, 1)),
        pytest.param(
            "left-anterior-superior", (1, -1, 1),
            marks=pytest.mark.skipif(not READS_LAS, reason="SimpleITK before 2.5.6 mirrors LAS"),
        ),
    ],
)  # fmt: skip
def test_nrrd_of_each_anatomical_space_becomes_lps(tmp_path, space, signs, caplog):
    directions = "space directions: (0,0.5,0) (2,0,0.25) (0,0,3)"
    path = nrrd(tmp_path / "a.nrrd", f"space: {space}", directions, "space origin: (10,20,30)")
    expected = np.diag([*signs, 1]) @ [[0, 2, 0, 10], [0.5, 0, 0, 20], [0, 0.25, 3, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(read_volume(path).grid.matrix, expected, atol=1e-12)
    np.testing.assert_array_equal(read_volume(path).voxels, VOXELS)
    assert caplog.messages == []


def test_nrrd_that_an_old_reader_would_mirror_is_refused(tmp_path):
    place = ["space directions: (1,0,0) (0,1,0) (0,0,1)", "space origin: (0,0,0)"]
    check_space(nrrd(tmp_path / "a.nrrd", "space: RAS", *place), "2.3.0")
    path = nrrd(tmp_path / "b.nrrd", "space: LAS", *place)
    check_space(path, "2.5.6")
    for version in ("2.5.5", "2.3.0", "2.5.5.post1"):
        with pytest.raises(FileError, match=r"b\.nrrd.*SimpleITK>=2\.5\.6"):
            check_space(path, version)


@pytest.mark.parametrize("fields", [["space: scanner-xyz"], ["space: 3D-left-handed"], ["space dimension: 3"], []])
def test_nrrd_of_no_anatomical_space_is_read_as_lps_with_a_warning(tmp_path, fields, caplog):
    place = ["space directions: (1,0,0) (0,1,0) (0,0,1)"] if fields else ["spacings: 1 1 1"]
    np.testing.assert_array_equal(read_grid(nrrd(tmp_path / "a.nrrd", *fields, *place)).matrix, np.eye(4))
    assert "a.nrrd" in caplog.text
    assert "not LPS, RAS or LAS; taken as LPS" in caplog.text


@pytest.mark.parametrize("unit", ["cm", "um", "inch"])
def test_nrrd_in_other_units_is_refused(tmp_path, unit):
    units = f'space units: "{unit}" "mm" "mm"'
    place = ["space: LPS", "space directions: (1,0,0) (0,1,0) (0,0,1)"]
    read_grid(nrrd(tmp_path / "a.nrrd", *place, 'space units: "mm" "mm" "mm"'))
    with pytest.raises(FileError, match=rf"a\.nrrd: expected spaceunits of mm, found {unit}; convert"):
        read_grid(nrrd(tmp_path / "a.nrrd", *place, units))


def test_a_singular_sform_gives_way_to_the_qform_with_a_warning(tmp_path, caplog):
    path = nifti(tmp_path / "a.nii", pixdim=[1, 2, 3, 4, 0, 0, 0, 0], sform_code=1, qform_code=1)
    assert "a.nii" not in caplog.text
    np.testing.assert_allclose(read_grid(path).spacing_mm, [2, 3, 4])
    assert "a.nii: the sform is not an invertible matrix" in caplog.text


def test_units_other_than_millimetres_are_converted(tmp_path):
    image = nibabel.Nifti1Image(VOXELS.T, np.diag([0.002, 0.003, 0.004, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_grid(tmp_path / "a.nii").spacing_mm, [2, 3, 4], rtol=1e-5)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_number_types_are_kept(tmp_path, kind, suffix):
    write_volume(volume(voxels=np.arange(120).reshape(4, 5, 6).astype(kind)), tmp_path / f"a{suffix}")
    found = read_volume(tmp_path / f"a{suffix}").voxels
    assert found.dtype == kind
    np.testing.assert_array_equal(found.ravel(), np.arange(120))


@pytest.mark.parametrize(
    ("given", "stored"), [(bool, np.uint8), (np.int64, np.int32), (np.float64, np.float32), (np.float16, np.float32)]
)
def test_types_that_files_rarely_hold_are_narrowed(tmp_path, given, stored):
    voxels = (np.arange(120).reshape(4, 5, 6) % 2).astype(given)
    write_volume(volume(voxels=voxels), tmp_path / "a.nii.gz")
    found = read_volume(tmp_path / "a.nii.gz").voxels
    assert found.dtype == stored
    np.testing.assert_array_equal(found, voxels)


def test_integers_beyond_32_bits_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"a\.nii.*32 bits"):
        write_volume(volume(voxels=VOXELS.astype(np.int64) * 2**40), tmp_path / "a.nii")


def test_scaled_integers_become_float32_with_the_scaling_applied(tmp_path):
    image = nibabel.Nifti1Image(VOXELS.T, np.eye(4))
    image.header.set_slope_inter(0.5, -1000)
    nibabel.save(image, tmp_path / "a.nii.gz")
    found = read_volume(tmp_path / "a.nii.gz").voxels
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, VOXELS * 0.5 - 1000)


def test_big_endian_voxels_arrive_in_native_order(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(VOXELS.T.astype(">i2"), np.eye(4), header), tmp_path / "a.nii")
    found = read_volume(tmp_path / "a.nii").voxels
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, VOXELS)


def test_a_fourth_axis_of_one_is_dropped_and_a_slice_gets_a_third(tmp_path):
    nifti(tmp_path / "four.nii", VOXELS.T[..., None])
    assert read_volume(tmp_path / "four.nii").voxels.shape == (4, 5, 6)
    nifti(tmp_path / "two.nii", VOXELS[0].T)
    assert read_volume(tmp_path / "two.nii").voxels.shape == (1, 5, 6)
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS[0]), str(tmp_path / "two.mha"))
    assert read_volume(tmp_path / "two.mha").voxels.shape == (1, 5, 6)


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 4, 5, 1, 3), (7,)])
def test_series_and_vector_images_are_refused(tmp_path, shape):
    path = nifti(tmp_path / "many.nii.gz", np.zeros(shape, np.int16))
    with pytest.raises(FileError, match=r"many\.nii\.gz.*one 3-D image"):
        read_volume(path)


def test_colour_images_are_refused(tmp_path):
    rgb = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(FileError, match=r"rgb\.nii.*one grey value"):
        read_volume(nifti(tmp_path / "rgb.nii", rgb))
    for suffix in (".mha", ".nrrd"):
        image = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True)
        sitk.WriteImage(image, str(tmp_path / f"rgb{suffix}"))
        with pytest.raises(FileError, match=rf"rgb{suffix}.*3 components"):
            read_volume(tmp_path / f"rgb{suffix}")


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_voxels_that_are_not_finite_are_counted_and_refused(tmp_path, suffix):
    voxels = VOXELS.astype(np.float32)
    voxels[0, 0, :3] = np.nan
    voxels[1, 1, 1] = np.inf
    write_volume(volume(voxels=voxels), tmp_path / f"a{suffix}")
    with pytest.raises(FileError, match=rf"a{suffix}.*4 of 120"):
        read_volume(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.98])
@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_a_truncated_file_is_refused_by_name_at_whatever_place_it_ends(tmp_path, capfd, suffix, share):
    noise = np.random.default_rng(0).integers(0, 30000, (20, 20, 20)).astype(np.int16)
    write_volume(volume(np.eye(4), noise), tmp_path / f"a{suffix}")
    cut = tmp_path / ("a.raw" if suffix == ".mhd" else f"a{suffix}")
    content = cut.read_bytes()
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileError, match=cut.name) as error:
        read_volume(tmp_path / f"a{suffix}")
    assert error.value.advice
    assert capfd.readouterr().err == ""


def test_a_compressed_mha_that_ends_early_is_refused_with_its_sizes(tmp_path, capfd):
    noise = np.random.default_rng(0).integers(0, 30000, (20, 20, 20)).astype(np.int16)
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(path), True)
    assert b"CompressedData = True" in path.read_bytes()
    np.testing.assert_array_equal(read_volume(path).voxels, noise)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileError, match=r"a\.mha: expected \d+ bytes of compressed voxels.*found \d+ bytes; copy"):
        read_volume(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("sizes", [(0, 5, 4), (-6, 5, 4)])
def test_nifti_without_voxels_along_an_axis_is_refused_for_that(tmp_path, sizes):
    path = tmp_path / "a.nii"
    write_volume(volume(), path)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array(sizes, "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(FileError, match=rf"a\.nii: expected at least one voxel along each axis, found .*{sizes[0]}"):
        read_volume(path)


def test_a_raw_file_longer_than_its_header_says_is_refused(tmp_path):
    write_volume(volume(), tmp_path / "a.mhd")
    with (tmp_path / "a.raw").open("ab") as raw:
        raw.write(b"12")
    with pytest.raises(FileError, match=r"a\.raw: expected 240 bytes.*a\.mhd.*6 x 5 x 4 x 2.*found 242"):
        read_volume(tmp_path / "a.mhd")


def test_a_missing_raw_file_is_named(tmp_path):
    write_volume(volume(), tmp_path / "a.mhd")
    (tmp_path / "a.raw").unlink()
    for read in (read_volume, read_grid):
        with pytest.raises(FileError, match=r"a\.raw.*a\.mhd points to"):
            read(tmp_path / "a.mhd")


@pytest.mark.parametrize(
    ("line", "wrong"), [("DimSize", "DimSize = 6 five 4"), ("ElementSpacing", "ElementSpacing = 0 1 1")]
)
def test_nonsense_in_a_header_is_refused(tmp_path, line, wrong):
    write_volume(volume(), tmp_path / "a.mhd")
    lines = (tmp_path / "a.mhd").read_text().splitlines()
    changed = [wrong if text.startswith(line) else text for text in lines]
    assert changed != lines
    (tmp_path / "a.mhd").write_text("\n".join(changed) + "\n")
    with pytest.raises(FileError, match=r"a\.mhd"):
        read_volume(tmp_path / "a.mhd")


def test_files_that_are_something_else_are_refused(tmp_path):
    for suffix in IMAGE_SUFFIXES:
        path = tmp_path / f"a{suffix}"
        path.write_text("this is a letter, not an image\n" * 50)
        with pytest.raises(FileError, match=rf"a{suffix}"):
            read_volume(path)
    (tmp_path / "b.nii").write_bytes(gzip.compress(b"0" * 1000))
    with pytest.raises(FileError, match=r"b\.nii"):
        read_volume(tmp_path / "b.nii")


def test_missing_files_folders_and_unknown_suffixes_are_told_apart(tmp_path):
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "a.txt").write_text("x")
    for name, found in (("no.nii", "nothing"), ("folder.nii", "a folder"), ("a.txt", ".txt")):
        with pytest.raises(FileError, match=rf"{name}: expected.*found \{found}" if found[0] == "." else found):
            read_volume(tmp_path / name)
    with pytest.raises(FileError, match=r"b\.png.*\.nii\.gz"):
        write_volume(volume(), tmp_path / "b.png")


def test_a_file_without_rights_and_a_link_to_itself_are_refused_by_name(tmp_path, monkeypatch):
    (tmp_path / "loop.nii").symlink_to(tmp_path / "loop.nii")
    with pytest.raises(FileError, match=r"loop\.nii"):
        read_volume(tmp_path / "loop.nii")
    # whoever runs this may be allowed everything
    monkeypatch.setattr("regforest.io._names.os.access", lambda path, mode: "closed" not in str(path))
    for suffix in IMAGE_SUFFIXES:
        write_volume(volume(), tmp_path / f"closed{suffix}")
        with pytest.raises(FileError, match=rf"closed{suffix}: expected an image file, found no right to read it"):
            read_volume(tmp_path / f"closed{suffix}")


def test_upper_case_suffixes_and_strange_names_are_fine(tmp_path):
    path = tmp_path / "Jörg Müller, 2. Bild.NII.GZ"
    write_volume(volume(), path)
    np.testing.assert_array_equal(read_volume(path).voxels, VOXELS)
    assert image_stem(path) == "Jörg Müller, 2. Bild"
    write_volume(volume(), tmp_path / "ä ö.mhd")
    np.testing.assert_array_equal(read_volume(tmp_path / "ä ö.mhd").voxels, VOXELS)


def test_writing_leaves_nothing_behind_but_the_files(tmp_path):
    write_volume(volume(), tmp_path / "deep" / "er" / "a.mhd")
    assert sorted(path.name for path in (tmp_path / "deep" / "er").iterdir()) == ["a.mhd", "a.raw"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    write_volume(volume(), tmp_path / "a.mha")
    with pytest.raises(FileError):
        write_volume(volume(SHEARED), tmp_path / "a.mha")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mha").voxels, VOXELS)


def test_writing_below_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(FileError, match="a place that can be written to"):
        write_volume(volume(), tmp_path / "a" / "b.nii")


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_volume(volume(), tmp_path / name / "same.nii.gz")
    assert (tmp_path / "a" / "same.nii.gz").read_bytes() == (tmp_path / "b" / "same.nii.gz").read_bytes()


MAPPED = [".nii", ".mha", ".mhd"]


@pytest.mark.parametrize("suffix", MAPPED)
def test_writing_to_voxels_that_were_read_leaves_the_file_alone(tmp_path, suffix):
    write_volume(volume(), tmp_path / f"a{suffix}")
    contents = {path: path.read_bytes() for path in tmp_path.iterdir()}
    found = read_volume(tmp_path / f"a{suffix}")
    found.voxels[:] = 7
    assert contents == {path: path.read_bytes() for path in tmp_path.iterdir()}
    np.testing.assert_array_equal(read_volume(tmp_path / f"a{suffix}").voxels, VOXELS)
    assert (found.voxels == 7).all()


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_voxels_survive_that_their_file_is_written_anew_or_deleted(tmp_path, suffix):
    write_volume(volume(), tmp_path / f"a{suffix}")
    found = read_volume(tmp_path / f"a{suffix}")
    write_volume(Volume(found.voxels + np.int16(1), found.grid), tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(found.voxels, VOXELS)
    np.testing.assert_array_equal(read_volume(tmp_path / f"a{suffix}").voxels, VOXELS + 1)
    for path in tmp_path.iterdir():
        path.unlink()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).voxels, VOXELS)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells how much memory is in use")
@pytest.mark.parametrize("suffix", [".nii", ".mhd"])
def test_an_image_takes_no_memory_until_its_voxels_are_used(tmp_path, suffix):
    size = 400
    write_volume(volume(np.eye(4), np.zeros((1, size, size), np.int16)), tmp_path / f"a{suffix}")
    data = tmp_path / ("a.raw" if suffix == ".mhd" else f"a{suffix}")
    if suffix == ".mhd":
        header = (tmp_path / "a.mhd").read_text()
        (tmp_path / "a.mhd").write_text(
            header.replace(f"DimSize = {size} {size} 1", f"DimSize = {size} {size} {size}")
        )
    else:
        content = bytearray(data.read_bytes())
        content[46:48] = np.int16(size).tobytes()
        data.write_bytes(content)
    with data.open("ab") as file:  # a hole in a file takes no place on the disk
        file.truncate(data.stat().st_size + (size - 1) * size**2 * 2)

    def pages():
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = pages()
    found = read_volume(tmp_path / f"a{suffix}")
    assert found.voxels.shape == (size, size, size)
    assert found.voxels[200, 200, 200] == 0
    assert pages() - before < 2000  # of 31 250


@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_meta_images_of_every_type_hold_what_itk_reads(tmp_path, suffix, kind):
    image = sitk.GetImageFromArray(np.abs(VOXELS).astype(kind) if kind[0] == "u" else VOXELS.astype(kind))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    found = read_volume(tmp_path / f"a{suffix}").voxels
    np.testing.assert_array_equal(found, sitk.GetArrayFromImage(image))
    assert found.dtype == (np.dtype(kind) if kind[0] in "iu" else np.float32)


def with_header(path, **fields):
    """The .mhd file with other values in its header."""
    pairs = dict(line.split(" = ") for line in path.read_text().splitlines())
    data_file = fields.pop("ElementDataFile", pairs.pop("ElementDataFile"))
    path.write_text("".join(f"{k} = {v}\n" for k, v in (pairs | fields | {"ElementDataFile": data_file}).items()))


def test_voxels_that_do_not_lie_open_in_one_file_are_still_read(tmp_path):
    path, raw = tmp_path / "a.mhd", tmp_path / "a.raw"
    write_volume(volume(), path)
    header = path.read_text()

    def check():
        found = read_volume(path).voxels
        np.testing.assert_array_equal(found, VOXELS)
        assert found.dtype == np.int16

    check()
    for field in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"):
        path.write_text(header.replace("BinaryDataByteOrderMSB = False\n", ""))
        with_header(path, **{field: "True"})
        raw.write_bytes(VOXELS.astype(">i2").tobytes())
        check()
    path.write_text(header)
    for skipped in (10, -1):
        with_header(path, HeaderSize=skipped)
        raw.write_bytes(b"0123456789" + VOXELS.tobytes())
        check()
    path.write_text(header)
    for z, plane in enumerate(VOXELS):
        (tmp_path / f"slice{z}.raw").write_bytes(plane.tobytes())
    with_header(path, ElementDataFile="slice%d.raw 0 3 1")
    check()
    with_header(path, ElementDataFile="LIST\n" + "\n".join(f"slice{z}.raw" for z in range(4)))
    check()
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(path), True)
    assert "CompressedData = True" in path.read_text()
    check()


LABELS = (VOXELS > 1000).astype(np.uint8) + (VOXELS > 2000)
PLACE = ["qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
         "srow_x", "srow_y", "srow_z", "xyzt_units", "pixdim", "dim"]  # fmt: skip


@pytest.mark.parametrize("matrix", [STRAIGHT, OBLIQUE, SHEARED], ids=["straight", "oblique", "sheared"])
@pytest.mark.parametrize("codes", [(0, 2), (1, 1), (3, 4), (0, 0)])
def test_labels_take_over_matrices_codes_and_units_of_the_image_exactly(tmp_path, matrix, codes):
    image = nibabel.Nifti1Image(VOXELS.T, np.diag([-1, -1, 1, 1]) @ matrix)
    image.header["qform_code"], image.header["sform_code"] = codes
    nibabel.save(image, tmp_path / "image.nii")
    grid = read_grid(tmp_path / "image.nii")
    write_label_image(Volume(LABELS, grid), {1: "L1", 2: "L2"}, tmp_path / "out.nii.gz", tmp_path / "image.nii")
    ours, theirs = (nibabel.load(tmp_path / name).header for name in ("out.nii.gz", "image.nii"))
    for key in PLACE:
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
    found = read_volume(tmp_path / "out.nii.gz")
    assert found.grid == grid
    np.testing.assert_array_equal(found.voxels, LABELS)
    assert found.voxels.dtype == np.uint8


def test_voxel_sizes_that_contradict_the_sform_are_taken_over_too(tmp_path):
    rows = {"srow_x": [5, 0, 0, 1], "srow_y": [0, 5, 0, 2], "srow_z": [0, 0, 5, 3]}
    path = nifti(tmp_path / "image.nii", pixdim=[-1, 2, 3, 4, 0, 0, 0, 0], sform_code=2, qform_code=0, **rows)
    write_label_image(Volume(LABELS, read_grid(path)), {}, tmp_path / "out.nii", path)
    np.testing.assert_array_equal(nibabel.load(tmp_path / "out.nii").header["pixdim"][:4], [-1, 2, 3, 4])


def test_names_of_labels_travel_in_the_header(tmp_path):
    names = {1: "T12", 12: "L5/S1"}
    write_label_image(volume(voxels=LABELS), names, tmp_path / "a.nii.gz")
    assert read_label_names(tmp_path / "a.nii.gz") == names
    write_volume(volume(), tmp_path / "b.nii.gz")
    assert read_label_names(tmp_path / "b.nii.gz") == {}
    write_label_image(volume(voxels=LABELS), names, tmp_path / "c.mha", tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "c.mha").voxels, LABELS)
    assert read_label_names(tmp_path / "c.mha") == {}


def test_labels_on_another_grid_or_of_floats_are_refused(tmp_path):
    write_volume(volume(), tmp_path / "image.nii")
    with pytest.raises(DataError, match=r"out\.nii.*grid of .*image\.nii"):
        write_label_image(volume(OBLIQUE, LABELS), {}, tmp_path / "out.nii", tmp_path / "image.nii")
    with pytest.raises(DataError, match=r"out\.nii.*integers"):
        write_label_image(volume(voxels=LABELS / 2), {}, tmp_path / "out.nii")
