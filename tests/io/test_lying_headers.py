"""Headers that disagree with the voxels behind them: refused by name, before memory is taken."""

import gzip
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk

from regforest.errors import FileError
from regforest.io import read_volume, write_volume
from regforest.spatial import Grid, Volume

SIDE = 20
NOISE = np.random.default_rng(0).integers(0, 3000, (SIDE, SIDE, SIDE)).astype(np.int16)
HUGE = (2000, 2000, 2000)
FORMATS = [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"]


def lie(folder, suffix, size_xyz, compressed=True):
    """Write `NOISE` under a header that claims another size; the path."""
    path = folder / f"a{suffix}"
    if suffix.startswith(".nii"):
        write_volume(Volume(NOISE, Grid.from_parts(NOISE.shape)), folder / "true.nii")
        content = bytearray((folder / "true.nii").read_bytes())
        content[42:48] = np.array(size_xyz, "<i2").tobytes()
        path.write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
        return path
    sitk.WriteImage(sitk.GetImageFromArray(NOISE), str(path), compressed)
    key = b"sizes: " if suffix == ".nrrd" else b"DimSize = "
    true, false = (key + b" ".join(b"%d" % n for n in size) for size in ((SIDE,) * 3, size_xyz))
    content = path.read_bytes()
    assert true in content
    path.write_bytes(content.replace(true, false))
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_honest_header_is_read(tmp_path, suffix):
    np.testing.assert_array_equal(read_volume(lie(tmp_path, suffix, (SIDE,) * 3)).voxels, NOISE)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("suffix", FORMATS)
def test_one_slice_too_many_is_not_filled_with_zeros(tmp_path, suffix, compressed):
    path = lie(tmp_path, suffix, (SIDE, SIDE, SIDE + 1), compressed)
    with pytest.raises(FileError, match=r"a\.(nii|mha|nrrd|raw|zraw).*(16800|8400).*copy"):
        read_volume(path)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_one_slice_too_few_is_refused_too(tmp_path, suffix, compressed):
    with pytest.raises(FileError, match=r"expected 15200 bytes of voxels.*found (15201|16000) bytes"):
        read_volume(lie(tmp_path, suffix, (SIDE, SIDE, SIDE - 1), compressed))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path, suffix, compressed):
    path = lie(tmp_path, suffix, HUGE, compressed)
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=r"expected 16000000000 bytes of voxels"):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".mhd", ".nrrd"])
def test_voxels_that_compress_as_well_as_any_are_still_read(tmp_path, suffix):
    empty = sitk.GetImageFromArray(np.zeros((40, 200, 200), np.int16))
    sitk.WriteImage(empty, str(tmp_path / f"a{suffix}"), useCompression=True, compressionLevel=9)
    assert read_volume(tmp_path / f"a{suffix}").voxels.shape == (40, 200, 200)


@pytest.mark.parametrize("order", ["False", "True"])
def test_compressed_meta_images_of_either_byte_order_are_read(tmp_path, order):
    import zlib

    stored = zlib.compress(NOISE.astype(">i2" if order == "True" else "<i2").tobytes())
    fields = {"ObjectType": "Image", "NDims": 3, "BinaryData": True, "BinaryDataByteOrderMSB": order,
              "CompressedData": True, "CompressedDataSize": len(stored), "ElementSpacing": "1 1 1",
              "DimSize": f"{SIDE} {SIDE} {SIDE}", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL"}  # fmt: skip
    header = "".join(f"{key} = {value}\n" for key, value in fields.items())
    (tmp_path / "a.mha").write_bytes(header.encode() + stored)
    found = read_volume(tmp_path / "a.mha").voxels
    np.testing.assert_array_equal(found, NOISE)
    assert found.dtype == np.int16
    assert found.flags.writeable


def test_damaged_compressed_voxels_are_refused(tmp_path):
    path = lie(tmp_path, ".mha", (SIDE,) * 3)
    content = bytearray(path.read_bytes())
    content[-5000:-4900] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a\.mha: expected 16000 bytes.*(damaged|does not end there)"):
        read_volume(path)


def test_a_detached_header_of_nrrd_is_judged_by_itk(tmp_path):
    (tmp_path / "voxels.raw").write_bytes(NOISE.tobytes())
    header = f"NRRD0004\ntype: short\ndimension: 3\nsizes: {SIDE} {SIDE} {SIDE}\nencoding: raw\nendian: little\n"
    (tmp_path / "a.nrrd").write_text(header + "data file: voxels.raw\n")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nrrd").voxels, NOISE)
