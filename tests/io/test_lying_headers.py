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


# --- compressed NIfTI: the last voxel is not the end


def zipped(folder, change):
    path = folder / "a.nii.gz"
    write_volume(Volume(NOISE, Grid.from_parts(NOISE.shape)), path)
    content = bytearray(path.read_bytes())
    path.write_bytes(change(content) or content)
    return path


@pytest.mark.parametrize("missing", [1, 4, 8, 9])
def test_a_zipped_nifti_without_its_last_bytes_is_refused_although_all_voxels_are_there(tmp_path, missing):
    with pytest.raises(FileError, match=r"a\.nii\.gz.*ended before the end-of-stream"):
        read_volume(zipped(tmp_path, lambda content: content[:-missing]))


def test_a_zipped_nifti_with_a_bit_turned_is_refused(tmp_path):
    # stored, not deflated: any byte is then a valid one, and only the checksum tells
    path = tmp_path / "a.nii.gz"
    write_volume(Volume(NOISE, Grid.from_parts(NOISE.shape)), tmp_path / "a.nii")
    content = bytearray(gzip.compress((tmp_path / "a.nii").read_bytes(), compresslevel=0))
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a\.nii\.gz.*CRC check failed"):
        read_volume(path)


@pytest.mark.parametrize(("suffix", "packed"), [(".nii.gz", False), (".nii", True)])
def test_a_suffix_that_does_not_say_whether_a_nifti_is_compressed_is_named(tmp_path, suffix, packed):
    write_volume(Volume(NOISE, Grid.from_parts(NOISE.shape)), tmp_path / "true.nii")
    content = (tmp_path / "true.nii").read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(FileError, match=r"a\.nii.*correct its suffix"):
        read_volume(tmp_path / f"a{suffix}")


# --- voxels of other sizes than the header says


NRRD = f"NRRD0004\ntype: short\ndimension: 3\nsizes: {SIDE} {SIDE} {SIDE}\nendian: little\nspace: LPS\n"


@pytest.mark.parametrize("change", [-2, 2])
@pytest.mark.parametrize("detached", [False, True])
def test_raw_nrrd_of_another_size_is_refused_by_name(tmp_path, detached, change):
    voxels = (NOISE.tobytes() + b"12")[: NOISE.nbytes + change]
    (tmp_path / "a.raw").write_bytes(voxels)
    header = NRRD + "encoding: raw\n" + ("data file: a.raw\n" if detached else "")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + (b"" if detached else voxels))
    name = "a.raw" if detached else "a.nrrd"
    with pytest.raises(FileError, match=rf"{name}: expected 16000 bytes .*20 x 20 x 20 x 2.*found {16000 + change}"):
        read_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
def test_nrrd_is_read_whatever_its_encoding(tmp_path, encoding, endian, line_end):
    raw = NOISE.astype("<i2" if endian == "little" else ">i2").tobytes()
    text = " ".join(map(str, NOISE.ravel())).encode()
    voxels = {"raw": raw, "gzip": gzip.compress(raw), "ascii": text}[encoding]
    header = NRRD.replace("little", endian) + f"encoding: {encoding}\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode().replace(b"\n", line_end) + voxels)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nrrd").voxels, NOISE)


def in_slices(folder, last, skipped="0", names="LIST"):
    """A MetaImage of one file a slice, the last of them with this content."""
    path = folder / "a.mhd"
    write_volume(Volume(NOISE, Grid.from_parts(NOISE.shape)), path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("ElementDataFile")]
    listed = "\n" + "\n".join(f"s{k}.raw" for k in range(SIDE)) if names == "LIST" else ""
    path.write_text("\n".join([*lines, f"HeaderSize = {skipped}", f"ElementDataFile = {names}{listed}"]) + "\n")
    for k, plane in enumerate(NOISE):
        (folder / f"s{k}.raw").write_bytes(bytes(max(int(skipped), 0)) + plane.tobytes())
    (folder / f"s{SIDE - 1}.raw").write_bytes(last)
    return path


@pytest.mark.parametrize("names", ["LIST", f"s%d.raw 0 {SIDE - 1} 1"])
@pytest.mark.parametrize("change", [-1, 1])
def test_one_slice_of_another_size_among_many_is_named(tmp_path, names, change, capfd):
    path = in_slices(tmp_path, bytes(2 * SIDE**2 + change), names=names)
    with pytest.raises(FileError, match=rf"s19\.raw: expected 800 bytes.*in 20 files.*found {800 + change} bytes"):
        read_volume(path)
    assert capfd.readouterr().err == ""


def test_what_is_to_be_passed_over_in_a_file_counts(tmp_path, capfd):
    path = in_slices(tmp_path, bytes(10 + 2 * SIDE**2), "10")
    assert read_volume(path).voxels.shape == NOISE.shape
    with pytest.raises(FileError, match=r"s19\.raw: expected 800 bytes.*found 790 bytes"):
        read_volume(in_slices(tmp_path, bytes(2 * SIDE**2), "10"))
    with pytest.raises(FileError, match=r"s19\.raw: expected 800 bytes.*found 799 bytes"):
        read_volume(in_slices(tmp_path, bytes(2 * SIDE**2 - 1), "-1"))
    path.write_text(path.read_text().replace("HeaderSize = -1", "HeaderSize = many"))
    with pytest.raises(FileError, match=r"a\.mhd: expected a HeaderSize of -1 or more, found 'many'"):
        read_volume(path)
    assert capfd.readouterr().err == ""
