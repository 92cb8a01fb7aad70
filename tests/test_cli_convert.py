import json

import highdicom
import numpy as np
import pydicom
import pytest

from regforest.cli import main
from regforest.io import (
    read_label_names,
    read_landmarks,
    read_volume,
    write_label_image,
    write_landmarks,
    write_volume,
)
from regforest.spatial import Grid, Landmarks, Volume
from tests.io.dicom_series import write_series

GRID = Grid.from_parts((6, 8, 10), (0.5, 0.75, 2.5), (-10, 20, 300), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])
POINTS = Landmarks({"L1": GRID.index_to_lps((2, 3, 4)), "L2": GRID.index_to_lps((5, 5, 1))})
FORMATS = ["a.lml", "a.mrk.json", "a.csv", "landmarks.json", "a_ctd.json"]


def run(*arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code


@pytest.fixture
def image(tmp_path):
    write_volume(Volume(np.zeros(GRID.shape_zyx, np.int16), GRID), tmp_path / "image.nii.gz")
    return tmp_path / "image.nii.gz"


def labels(path, values, names=None):
    """A label image with one box for each value, along z; the boxes' centres in LPS by value."""
    voxels = np.zeros(GRID.shape_zyx, np.int16)
    for z, value in enumerate(values):
        voxels[z, 2:5, 3:8] = value
    volume = Volume(voxels, GRID)
    if names:
        write_label_image(volume, names, path)
    else:
        write_volume(volume, path)
    return {value: GRID.index_to_lps((5, 3, z)) for z, value in enumerate(values)}


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_every_landmark_format_becomes_every_other_and_comes_back(tmp_path, image, source, target):
    write_landmarks(POINTS, tmp_path / source, GRID)
    (tmp_path / "out").mkdir()
    assert run("convert", tmp_path / source, tmp_path / "out" / target, "--reference", image) == 0
    np.testing.assert_allclose(read_landmarks(tmp_path / "out" / target, GRID).points, POINTS.points, atol=1e-4)


def test_fcsv_becomes_lps_markups(tmp_path):
    (tmp_path / "a.fcsv").write_text("# CoordinateSystem = 0\n# columns = label,x,y,z\nL1,1,2,3\n")
    assert run("convert", tmp_path / "a.fcsv", tmp_path / "b.mrk.json") == 0
    np.testing.assert_array_equal(read_landmarks(tmp_path / "b.mrk.json")["L1"], [-1, -2, 3])


@pytest.mark.parametrize(
    ("table", "values", "levels", "unknown"),
    [
        ("totalsegmentator", (5, 27, 28, 25), ["L4", "L5"], "5, 25"),
        ("totalspineseg", (1, 95, 100, 45), ["L4/L5", "L5", "L5/S1"], "1"),
        ("sct", (20, 21), ["L1", "L2"], ""),
        ("sct-discs", (1, 3, 4), ["C2/C3", "C3/C4"], "1"),
        ("verse", (19, 28, 20), ["T12", "T13", "L1"], ""),
    ],
)
def test_label_maps_of_other_tools_become_centroids_and_what_is_no_level_is_said(
    tmp_path, capsys, table, values, levels, unknown
):
    labels(tmp_path / "seg.nii.gz", values)
    assert run("convert", tmp_path / "seg.nii.gz", tmp_path / "c.mrk.json", "--labels", table) == 0
    found = read_landmarks(tmp_path / "c.mrk.json")
    assert list(found) == levels
    assert found.points.shape == (len(levels), 3)
    said = capsys.readouterr().err
    assert said.endswith(f"left out: {unknown}\n") if unknown else said == ""


def test_centroids_lie_where_the_boxes_were_drawn(tmp_path):
    places = labels(tmp_path / "seg.nii.gz", (27, 28))
    assert run("convert", tmp_path / "seg.nii.gz", tmp_path / "c.lml", "--labels", "totalsegmentator") == 0
    found = read_landmarks(tmp_path / "c.lml", GRID)
    np.testing.assert_allclose(found["L5"], places[27], atol=1e-4)
    np.testing.assert_allclose(found["L4"], places[28], atol=1e-4)


def test_names_in_the_header_need_no_table(tmp_path):
    labels(tmp_path / "seg.nii.gz", (3, 9), {3: "L1/L2", 9: "L2/L3"})
    assert run("convert", tmp_path / "seg.nii.gz", tmp_path / "c.csv") == 0
    assert list(read_landmarks(tmp_path / "c.csv")) == ["L1/L2", "L2/L3"]


def test_a_label_image_is_renumbered_there_and_back_on_the_same_grid(tmp_path):
    labels(tmp_path / "a.nii.gz", (45, 95, 50))
    assert run("convert", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "--labels", "totalspineseg",
               "--to-labels", "verse") == 0  # fmt: skip
    assert read_label_names(tmp_path / "b.nii.gz") == {24: "L5", 123: "L4/L5"}
    assert read_volume(tmp_path / "b.nii.gz").grid == read_volume(tmp_path / "a.nii.gz").grid
    assert '"L4/L5"' in (tmp_path / "b.itksnap.txt").read_text()
    assert run("convert", tmp_path / "b.nii.gz", tmp_path / "c.nii.gz", "--to-labels", "totalspineseg") == 0
    given = read_volume(tmp_path / "a.nii.gz").voxels
    np.testing.assert_array_equal(read_volume(tmp_path / "c.nii.gz").voxels, np.where(given == 50, 0, given))


def test_a_level_without_a_number_in_the_table_is_named(tmp_path, capsys):
    labels(tmp_path / "a.nii.gz", (28, 20))
    status = run("convert", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "--labels", "verse",
                 "--to-labels", "totalsegmentator")  # fmt: skip
    assert status == 3
    assert "no number for T13" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("seg.nii.gz", "c.csv"), 2, "no names in its header; say whose numbers they are: --labels verse|"),
        (("seg.nii.gz", "c.csv", "--labels", "totalspinesg"), 2, "did you mean 'totalspineseg'"),
        (
            ("seg.nii.gz", "c.csv", "--labels", "sct-discs"),
            3,
            "expected the labels of levels (3, 4, 5, ...), found 27, 28",
        ),
        (("seg.nii.gz", "d.nii.gz", "--labels", "totalsegmentator"), 2, "--to-labels TABLE"),
        (("seg.nii.gz", "d.lml", "--labels", "totalsegmentator", "--to-labels", "sct"), 2, "d.lml is none"),
        (("seg.nii.gz", "d.dcm", "--labels", "totalsegmentator"), 2, "--reference DIR"),
        (("seg.nii.gz", "d.mrk.jsn", "--labels", "totalsegmentator"), 3, "did you mean .mrk.json"),
        (("a.csv", "d.nii.gz"), 2, "they cannot become the label image"),
        (("a.csv", "d.lml", "--labels", "sct"), 2, "a.csv holds points"),
        (("a.csv", "d.dcm"), 2, "--reference DIR"),
        (("a.csv", "d.fcsv"), 3, "write .mrk.json"),
        (("a.txt", "d.csv"), 3, "expected a landmark file"),
    ],
)
def test_what_cannot_be_converted_says_what_is_missing(tmp_path, capsys, monkeypatch, arguments, status, said):
    monkeypatch.chdir(tmp_path)
    labels(tmp_path / "seg.nii.gz", (27, 28))
    write_landmarks(POINTS, tmp_path / "a.csv")
    before = sorted(tmp_path.iterdir())
    assert run("convert", *arguments) == status
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_labels_and_landmarks_become_dicom(tmp_path):
    series = write_series(tmp_path / "series", np.zeros(GRID.shape_zyx), GRID.matrix)
    labels(tmp_path / "seg.nii.gz", (27, 28))
    write_landmarks(POINTS, tmp_path / "a.mrk.json")
    assert run("convert", tmp_path / "seg.nii.gz", tmp_path / "seg.dcm", "--labels", "totalsegmentator",
               "--reference", series) == 0  # fmt: skip
    assert run("convert", tmp_path / "a.mrk.json", tmp_path / "sr.dcm", "--reference", series) == 0
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["L5", "L4"]
    assert pydicom.dcmread(tmp_path / "sr.dcm").Modality == "SR"


def test_without_the_dicom_packages_the_extra_is_named(tmp_path, capsys, monkeypatch):
    write_landmarks(POINTS, tmp_path / "a.csv")
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    monkeypatch.delitem(__import__("sys").modules, "regforest.io.dicom_out", raising=False)
    monkeypatch.delattr("regforest.io.dicom_out", raising=False)
    assert run("convert", tmp_path / "a.csv", tmp_path / "a.dcm", "--reference", tmp_path) == 2
    assert "regforest[dicom]" in capsys.readouterr().err


def test_info_names_the_tables(capsys):
    assert run("info", "--json") == 0
    assert "totalspineseg" in json.loads(capsys.readouterr().out)["label_tables"]
