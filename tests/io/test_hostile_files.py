"""Files that were made to do harm. What fuzzing found stands here as a case of its own."""

import gzip
import os

import numpy as np
import pytest

from regforest.datasets.label_names import read_labels_json
from regforest.datasets.labelled_folder import write_labelled_case
from regforest.errors import DataError, FileError, RegForestError
from regforest.io import (
    image_stem,
    read_grid,
    read_label_names,
    read_landmarks,
    read_volume,
    write_landmarks,
    write_volume,
)
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
VOLUME = Volume(VOXELS, Grid.from_parts(VOXELS.shape, (1, 2, 3)))
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", DEEP),
        ("a.json", '[{"label": 1e999, "X": 1, "Y": 2, "Z": 3}]'),
        ("a.json", '[{"label": 20, "X": 1e999, "Y": 2, "Z": 3}]'),
        ("a.json", f'[{{"label": 20, "X": {"9" * 5000}, "Y": 2, "Z": 3}}]'),
        ("a.json", f'[{{"label": 20, "X": {"9" * 400}, "Y": 2, "Z": 3}}]'),
        ("landmarks.json", '{"frame": "LPS mm", "points": {"L1": [1, 2, 3]}, "cut": 5}'),
        ("landmarks.json", '{"frame": "LPS mm", "points": {"../L1": [1, 2, 3]}}'),
        ("a.mrk.json", '{"markups": [{"coordinateSystem": ["LPS"]}]}'),
        ("a.mrk.json", '{"markups": [{"coordinateSystem": "LPS", "controlPoints": 7}]}'),
        ("a.mrk.json", '{"markups": [{"coordinateSystem": "LPS", "controlPoints": null}]}'),
        ("a.csv", "name,x_mm,y_mm,z_mm\n" + "L" * 200_000 + ",1,2,3\n"),
        ("a.csv", 'name,x_mm,y_mm,z_mm\n"L1,1,2\r3'),
        ("a.lml", "1\t../../L1\t1\t2\t3\n"),
    ],
)
def test_landmarks_that_are_none_are_refused_by_name(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(FileError, match=name):
        read_landmarks(tmp_path / name, VOLUME.grid)


def test_names_of_labels_that_go_too_deep_are_refused(tmp_path):
    (tmp_path / "labels.json").write_text(DEEP)
    with pytest.raises(FileError, match=r"labels\.json"):
        read_labels_json(tmp_path / "labels.json")
    (tmp_path / "labels.json").write_text('{"1": "../../L1"}')
    with pytest.raises(FileError, match=r"labels\.json"):
        read_labels_json(tmp_path / "labels.json")


def test_a_unit_of_time_that_nifti_does_not_know_is_refused(tmp_path):
    write_volume(VOLUME, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[123] = 104
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(FileError, match=r"a\.nii"):
        read_volume(tmp_path / "a.nii")


def test_voxels_that_begin_at_infinity_are_refused(tmp_path):
    write_volume(VOLUME, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[108:112] = np.float32(np.inf).tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    for read in (read_volume, read_grid):
        with pytest.raises(FileError, match=r"a\.nii"):
            read(tmp_path / "a.nii")


def test_a_header_extension_that_goes_too_deep_is_somebody_elses(tmp_path):
    import nibabel

    image = nibabel.Nifti1Image(VOXELS.T, np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", DEEP.encode()))
    nibabel.save(image, tmp_path / "a.nii")
    assert read_label_names(tmp_path / "a.nii") == {}


# --- where voxels may lie


def meta_image(folder, data_file, **fields):
    write_volume(VOLUME, folder / "a.mhd")
    lines = dict(line.split(" = ") for line in (folder / "a.mhd").read_text().splitlines())
    lines |= fields
    del lines["ElementDataFile"]
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    (folder / "a.mhd").write_text(f"{text}ElementDataFile = {data_file}\n")
    return folder / "a.mhd"


@pytest.mark.parametrize("compressed", ["True", "False"])
@pytest.mark.parametrize(
    "data_file",
    ["../secret.raw", "/etc/passwd", "in/../../secret.raw", "LIST\n../secret.raw", "../s%dcret.raw 1 2 1"],
)
def test_voxels_outside_of_the_headers_folder_are_refused(tmp_path, data_file, compressed):
    (tmp_path / "secret.raw").write_bytes(VOXELS.tobytes())
    (tmp_path / "case" / "in").mkdir(parents=True)
    path = meta_image(tmp_path / "case", data_file, CompressedData=compressed)
    for read in (read_volume, read_grid):
        with pytest.raises(FileError, match=r"a\.mhd: expected voxels in the folder of the header or below it"):
            read(path)


def test_voxels_in_a_folder_below_the_header_are_read(tmp_path):
    (tmp_path / "raw").mkdir()
    path = meta_image(tmp_path, "raw/a.raw")
    (tmp_path / "a.raw").rename(tmp_path / "raw" / "a.raw")
    np.testing.assert_array_equal(read_volume(path).voxels, VOXELS)


@pytest.mark.parametrize(
    "pattern", ["%s%s%s 1 2 1", "%n 1 2 1", "%999999999d 1 2 1", "%d%d 1 2 1", "a%d 1 99999999 1"]
)
def test_a_pattern_that_c_would_stumble_over_is_refused(tmp_path, pattern):
    with pytest.raises(FileError, match=r"a\.mhd: expected a pattern"):
        read_volume(meta_image(tmp_path, pattern))


@pytest.mark.parametrize("data_file", ["a" * 300, "a" * 300 + "%d 1 2 1", "a" * 249 + "%d 1 2 1"])
def test_a_name_too_long_for_a_file_is_refused(tmp_path, data_file):
    path = meta_image(tmp_path, data_file)
    with pytest.raises(FileError, match=r"the voxels that a\.mhd points to"):
        read_volume(path)


def test_a_field_that_stands_twice_is_refused(tmp_path):
    path = meta_image(tmp_path, "a.raw")
    path.write_text("DimSize = 1 1 1\n" + path.read_text())
    with pytest.raises(FileError, match=r"a\.mhd: expected DimSize once"):
        read_volume(path)


def test_a_word_in_a_comment_is_no_end_of_the_header(tmp_path):
    path = meta_image(tmp_path, "a.raw", Comment="see ElementDataFile")
    np.testing.assert_array_equal(read_volume(path).voxels, VOXELS)


# --- headers that lie about sizes


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_that_claims_more_than_it_can_hold_is_refused(tmp_path, name):
    write_volume(VOLUME, tmp_path / name)
    packed = name.endswith("gz")
    content = (tmp_path / name).read_bytes()
    header = bytearray(gzip.decompress(content) if packed else content)
    header[42:48] = np.array([3000, 3000, 3000], "<i2").tobytes()
    (tmp_path / name).write_bytes(gzip.compress(header) if packed else header)
    with pytest.raises(FileError, match=r"54000000000 bytes of voxels as its header says"):
        read_volume(tmp_path / name)


def test_compressed_meta_image_and_nrrd_that_claim_too_much_are_refused(tmp_path):
    path = meta_image(tmp_path, "a.raw", CompressedData="True", DimSize="3000 3000 3000")
    with pytest.raises(FileError, match="54000000000 bytes of voxels"):
        read_volume(path)
    write_volume(VOLUME, tmp_path / "a.nrrd")
    content = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(content.replace(b"sizes: 4 3 2", b"sizes: 4000 3000 2000"))
    with pytest.raises(FileError, match="48000000000 bytes of voxels"):
        read_volume(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"encoding: gzip", b"encoding: bzip2", "an encoding of"),
        (b"encoding: gzip", b"encoding: raw\ndata file: ../../etc/passwd", "voxels in the folder of the header"),
        (b"encoding: gzip", b"encoding: gzip\nencoding: raw", "encoding once"),
        (b"NRRD", b"nrrd", "a NRRD header"),
    ],
)
def test_nrrd_of_other_kinds_is_refused(tmp_path, old, new, expected):
    write_volume(VOLUME, tmp_path / "a.nrrd")
    content = (tmp_path / "a.nrrd").read_bytes()
    assert old in content
    (tmp_path / "a.nrrd").write_bytes(content.replace(old, new, 1))
    with pytest.raises(FileError, match=rf"a\.nrrd: expected {expected}"):
        read_volume(tmp_path / "a.nrrd")


# --- where results may go


@pytest.mark.parametrize("name", ["..", ".", "", "../case", "/case", "a/b", "a\\b", "a\0b"])
def test_a_scan_whose_name_leads_to_another_folder_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="name that a file can have"):
        AnnotatedScan(name, "p", {"image": VOLUME}, Landmarks({}))


def test_a_scan_is_written_into_a_folder_of_its_name(tmp_path):
    write_labelled_case(tmp_path, AnnotatedScan("a.b c", "p", {"image": VOLUME}, Landmarks({"L1": (1, 2, 3)})))
    assert [path.name for path in tmp_path.iterdir()] == ["a.b c"]


@pytest.mark.parametrize("name", ["..nii", "...nii.gz", ".mha"])
def test_a_file_whose_stem_is_a_folder_is_no_image(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert image_stem(tmp_path / name) == name
    with pytest.raises(FileError, match="an image file"):
        read_volume(tmp_path / name)


def test_a_link_in_the_place_of_a_result_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    for name, write in (
        ("a.lml", lambda path: write_landmarks(Landmarks({"L1": (1, 2, 3)}, frame="grid"), path)),
        ("a.nii", lambda path: write_volume(VOLUME, path)),
    ):
        os.symlink(tmp_path / "mine.txt", tmp_path / name)
        write(tmp_path / name)
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_a_pipe_in_the_place_of_voxels_is_not_waited_for(tmp_path):
    path = meta_image(tmp_path, "pipe.raw", CompressedData="True")
    os.mkfifo(tmp_path / "pipe.raw")
    with pytest.raises(RegForestError, match=r"pipe\.raw"):
        read_volume(path)
