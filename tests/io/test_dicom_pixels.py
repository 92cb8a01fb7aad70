"""What the voxels are: number types, rescaling, compression, damage."""

from __future__ import annotations

import locale

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from regforest.errors import FileError
from regforest.io.dicom import read_dicom
from tests.io.dicom_maker import CT, MR, image, item, save, stack, write

VOXELS = np.random.default_rng(0).integers(0, 4000, (3, 40, 36)).astype(np.uint16)


def read(folder, datasets):
    write(folder, datasets)
    return read_dicom(folder).volume.voxels


def test_slope_and_intercept_of_each_slice_are_its_own(tmp_path):
    datasets = stack(VOXELS)
    for k, dataset in enumerate(datasets):
        dataset.RescaleSlope, dataset.RescaleIntercept = str(0.5 + k), str(-10 * k)
    voxels = read(tmp_path, datasets)
    assert voxels.dtype == np.float32
    expected = VOXELS * np.array([0.5, 1.5, 2.5])[:, None, None] - np.array([0, 10, 20])[:, None, None]
    np.testing.assert_allclose(voxels, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("stored", "bits", "intercept", "kind"),
    [
        (np.uint16, 12, -1024, np.int16),
        (np.int16, 16, -1024, np.int16),
        (np.uint16, 16, 40000, np.int32),
        (np.uint8, 8, 0, np.int16),
    ],
)
def test_whole_numbers_stay_whole_in_the_smallest_type_that_holds_them(stored, bits, intercept, kind, tmp_path):
    values = (VOXELS % 250).astype(stored)
    voxels = read(tmp_path, stack(values, BitsStored=bits, HighBit=bits - 1, RescaleIntercept=intercept))
    assert voxels.dtype == kind
    np.testing.assert_array_equal(voxels, values.astype(np.int32) + intercept)


def test_bits_beyond_those_stored_are_not_part_of_a_value(tmp_path):
    overlay = (VOXELS % 2 == 0).astype(np.uint16) << 12  # as old scanners put overlays there
    voxels = read(tmp_path, stack(VOXELS | overlay, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(voxels, VOXELS)


def test_twelve_signed_bits_keep_their_sign(tmp_path):
    signed = VOXELS.astype(np.int16) - 2000
    packed = (signed & 0x0FFF).astype(np.uint16)  # the upper four bits zero, as some writers leave them
    voxels = read(tmp_path, stack(packed, BitsStored=12, HighBit=11, PixelRepresentation=1))
    np.testing.assert_array_equal(voxels, signed)


def test_monochrome1_is_turned_except_in_ct_where_numbers_are_hounsfield_units(tmp_path):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    np.testing.assert_array_equal(read(tmp_path / "mr", stack(VOXELS, **tags)), 4095 - VOXELS.astype(int))
    ct = stack(VOXELS, Modality="CT", SOPClassUID=CT, RescaleIntercept=-1024, **tags)
    np.testing.assert_array_equal(read(tmp_path / "ct", ct), VOXELS.astype(int) - 1024)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("kind", [np.uint16, np.int16], ids=["unsigned", "signed"])
def test_compressed_pixels_are_what_they_were(syntax, kind, tmp_path):
    values = VOXELS.astype(kind) - kind(0 if kind is np.uint16 else 2000)
    datasets = stack(values)
    for dataset in datasets:
        dataset.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read(tmp_path, datasets), values)


@pytest.fixture
def kept_locale():
    """GDCM's writer leaves the process in the locale C, in which later tests could not write umlauts."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.usefixtures("kept_locale")
def test_lossless_jpeg_is_read(tmp_path):
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor("JPEG")
    writer.KeepOriginalImageUIDOn()
    for k, pixels in enumerate(VOXELS):
        one = sitk.GetImageFromArray(pixels[None])
        tags = {"0008|0016": MR, "0008|0060": "MR", "0020|000e": "1.2.3", "0020|0032": f"0\\0\\{k}"}
        for tag, value in {**tags, "0020|0037": "1\\0\\0\\0\\1\\0", "0008|0018": f"1.2.3.{k + 1}"}.items():
            one.SetMetaData(tag, value)
        one.SetOrigin((0, 0, k))
        writer.SetFileName(str(tmp_path / f"{k}.dcm"))
        writer.Execute(one)
    from pydicom import dcmread
    from pydicom.uid import JPEGLosslessSV1

    assert dcmread(tmp_path / "0.dcm").file_meta.TransferSyntaxUID == JPEGLosslessSV1
    np.testing.assert_array_equal(read_dicom(tmp_path).volume.voxels, VOXELS)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_refused_by_name(compressed, tmp_path):
    datasets = stack(VOXELS)
    for dataset in datasets if compressed else ():
        dataset.compress(RLELossless)
    victim = write(tmp_path, datasets)[1]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size - 200])
    with pytest.raises(FileError, match=r"001\.dcm: expected pixels that can be decoded"):
        read_dicom(tmp_path)


def test_an_image_without_pixels_is_refused_by_name(tmp_path):
    datasets = stack(VOXELS)
    del datasets[2].PixelData
    write(tmp_path, datasets)
    with pytest.raises(FileError, match=r"002\.dcm: expected pixels"):
        read_dicom(tmp_path)


def test_a_modality_table_is_refused_rather_than_overlooked(tmp_path):
    datasets = stack(VOXELS)
    datasets[0].ModalityLUTSequence = [item(LUTDescriptor=[1, 0, 16], ModalityLUTType="US", LUTData=[1])]
    write(tmp_path, datasets)
    with pytest.raises(FileError, match="Modality LUT"):
        read_dicom(tmp_path)


def test_a_colour_picture_is_no_slice(tmp_path):
    write(tmp_path / "scan", stack(VOXELS))
    picture = image(np.zeros((4, 5, 3), np.uint8), SamplesPerPixel=3, PhotometricInterpretation="RGB")
    picture.Rows, picture.Columns, picture.PlanarConfiguration = 4, 5, 0
    save(picture, tmp_path / "picture.dcm")
    scan = read_dicom(tmp_path)
    assert scan.volume.voxels.shape == VOXELS.shape
    assert any("a colour picture: 1" in note for note in scan.notes)


# --- what would become wrong numbers


def test_values_that_no_number_holds_after_rescaling_are_refused(tmp_path):
    datasets = stack(VOXELS)
    datasets[1].RescaleSlope, datasets[1].RescaleIntercept = "1e300", "0"
    with pytest.raises(FileError, match=r"001\.dcm: expected finite values.*slope of 1e\+300"):
        read(tmp_path, datasets)


def test_whole_numbers_beyond_32_bits_become_floats(tmp_path):
    large = VOXELS.astype(np.uint32) * 1_000_000
    voxels = read(tmp_path, stack(large))
    assert voxels.dtype == np.float32
    np.testing.assert_array_equal(voxels, large.astype(np.float32))


def test_values_that_do_not_lie_in_the_lowest_bits_are_refused(tmp_path):
    tags = {"BitsStored": 12, "HighBit": 15}
    with pytest.raises(FileError, match=r"HighBit \(0028,0102\) should be 11, one below BitsStored, found 15"):
        read(tmp_path, stack(VOXELS << 4, **tags))


def test_floats_as_pixels_are_refused(tmp_path):
    datasets = stack(VOXELS.astype(np.uint32))
    for dataset, plane in zip(datasets, VOXELS + 0.5, strict=True):
        del dataset.PixelData
        dataset.FloatPixelData = plane.astype("<f4").tobytes()
    with pytest.raises(FileError, match=r"000\.dcm: expected whole numbers as pixels"):
        read(tmp_path, datasets)
