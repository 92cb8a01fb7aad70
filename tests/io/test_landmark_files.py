import json

import numpy as np
import pytest
from nibabel.affines import voxel_sizes
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

from regforest.errors import FileError, FrameError
from regforest.io import landmark_stem, read_landmarks, write_landmarks
from regforest.spatial import LEVELS, PAPER_LEVELS, Grid, Landmarks
from tests.reference import ALL_ORIENTATIONS, reorient

TURNED = Grid.from_parts((20, 30, 40), (0.5, 2, 3), (10, 20, 30), [[0, 0, -1], [1, 0, 0], [0, -1, 0]])
SPINE = Landmarks({"T13": (1, 2.25, -3), "L1": (0.5, -20, -36), "L6": (4, 5, -200)}, {"L1": 0.75, "L6": 0.5})
NAMES = ["a.lml", "a.mrk.json", "a.csv", "landmarks.json", "a_ctd.json"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
def test_every_format_gives_the_same_millimetres_back_in_all_48_orientations(tmp_path, name, order, flips):
    oblique = [[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]
    straight = Grid.from_parts((4, 5, 6), (0.5, 0.75, 2.5), (-30, 12, 400), oblique)
    voxels, matrix = reorient(np.zeros((4, 5, 6), np.int8), straight.matrix, order, flips)
    grid = Grid(voxels.shape, matrix)
    points = Landmarks({name: straight.index_to_lps((1, 2, i / 10)) for i, name in enumerate(LEVELS)})
    write_landmarks(points, tmp_path / name, grid)
    found = read_landmarks(tmp_path / name, grid)
    assert (found.names, found.frame) == (points.names, "LPS")
    np.testing.assert_allclose(found.points, points.points, atol=1e-5)


@pytest.mark.parametrize("name", ["a.mrk.json", "a.csv", "landmarks.json"])
def test_formats_that_hold_scores_give_them_back(tmp_path, name):
    write_landmarks(SPINE, tmp_path / name)
    assert read_landmarks(tmp_path / name) == SPINE


AWKWARD = {"T13": (0.1, -1 / 3, 1e-17), "L1": (2 / 3, 123456.78901234567, -5e-324), "L6": (np.pi, -0.0, 1e5 / 7)}


@pytest.mark.parametrize("name", ["a.lml", "a.mrk.json", "a.csv", "landmarks.json"])
def test_a_round_trip_changes_no_bit_where_the_file_holds_the_frame_of_the_landmarks(tmp_path, name):
    given = Landmarks(AWKWARD, frame="grid" if name == "a.lml" else "LPS")
    write_landmarks(given, tmp_path / name)
    assert read_landmarks(tmp_path / name).points.tobytes() == given.points.tobytes()


@pytest.mark.parametrize("name", ["a.mrk.json", "a.csv", "landmarks.json"])
def test_scores_keep_all_their_digits(tmp_path, name):
    given = Landmarks({"L1": (1, 2, 3), "L2": (1, 2, -30)}, {"L1": 1 / 3})
    write_landmarks(given, tmp_path / name)
    assert read_landmarks(tmp_path / name) == given


@pytest.mark.parametrize("name", ["a.lml", "a_ctd.json"])
def test_a_round_trip_through_voxels_is_off_by_rounding_alone(tmp_path, name):
    given = Landmarks({"L1": (0.1, -1 / 3, 401.7), "L2": (2 / 3, 1e-9, 380)})
    write_landmarks(given, tmp_path / name, TURNED)
    np.testing.assert_allclose(read_landmarks(tmp_path / name, TURNED).points, given.points, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_no_landmarks_are_written_and_read_as_none(tmp_path, name):
    write_landmarks(Landmarks({}), tmp_path / name, TURNED)
    assert len(read_landmarks(tmp_path / name, TURNED)) == 0


@pytest.mark.parametrize("name", ["a.lml", "a.mrk.json", "a.csv", "landmarks.json"])
def test_discs_are_levels_too(tmp_path, name):
    discs = Landmarks({"T12/L1": (1, 2, 3), "L5/S1": (4, 5, 6), "L5/L6": (7, 8, 9)})
    write_landmarks(discs, tmp_path / name, TURNED)
    np.testing.assert_allclose(read_landmarks(tmp_path / name, TURNED).points, discs.points, atol=1e-5)


# --- LML


def lml(path, *lines, header="id\tname\tx\ty\tz"):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_lml_is_grid_millimetres_and_becomes_lps_with_the_grid(tmp_path):
    path = lml(tmp_path / "a.lml", "200\tL1\t2.0\t10.0\t18.0")
    found = read_landmarks(path)
    assert found.frame == "grid"
    np.testing.assert_array_equal(found["L1"], [2, 10, 18])
    # index (4, 5, 6); x runs posterior, y inferior, z right
    np.testing.assert_allclose(read_landmarks(path, TURNED)["L1"], [10 - 18, 20 + 2, 30 - 10])


def test_lml_tolerates_blanks_suffixes_and_empty_lines(tmp_path):
    path = lml(
        tmp_path / "a.lml", " 10 \t C1_center \t 1 \t 2\t\t3 ", "", "20 C2  4 5   6", "\t", "245\tl6\t7\t8\t9\textra",
        header="this line is skipped whatever it holds",
    )  # fmt: skip
    found = read_landmarks(path)
    assert list(found) == ["C1", "C2", "L6"]
    np.testing.assert_array_equal(found.points, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])


def test_lml_goes_by_name_not_by_id(tmp_path):
    assert list(read_landmarks(lml(tmp_path / "a.lml", "10\tT13\t1\t2\t3", "999\tS2\t1\t2\t3"))) == ["T13", "S2"]


def test_lml_without_a_header_loses_nothing(tmp_path):
    path = tmp_path / "a.lml"
    path.write_text("10\tC1\t1\t2\t3\r\n20\tC2\t4\t5\t6\r\n")
    assert list(read_landmarks(path)) == ["C1", "C2"]


def test_a_wrong_name_in_the_first_line_is_no_header(tmp_path):
    path = tmp_path / "a.lml"
    path.write_text("10\tQ1\t1\t2\t3\n20\tC2\t1\t2\t3\n")
    with pytest.raises(FileError, match="'Q1' in line 1"):
        read_landmarks(path)


def test_lml_with_a_header_alone_is_an_empty_annotation(tmp_path):
    assert len(read_landmarks(lml(tmp_path / "a.lml"))) == 0


def test_slightly_negative_lml_coordinates_move_to_the_first_voxel(tmp_path):
    grid = Grid.from_parts((9, 9, 9), (2, 2, 2), (100, 100, 100))
    path = lml(tmp_path / "a.lml", "10\tC1\t-0.75\t4\t-2.0", "20\tC2\t-2.5\t4\t4")
    np.testing.assert_allclose(read_landmarks(path, grid).points, [[100, 104, 100], [97.5, 104, 104]])
    np.testing.assert_allclose(read_landmarks(path)["C1"], [-0.75, 4, -2])


def test_lml_is_written_with_a_header_and_the_ids_of_the_database(tmp_path):
    write_landmarks(Landmarks({name: (i, 2, 3) for i, name in enumerate(LEVELS)}, frame="grid"), tmp_path / "a.lml")
    header, *lines = (tmp_path / "a.lml").read_text().splitlines()
    assert not header.split("\t")[0].isdigit()
    ids = {line.split("\t")[1]: int(line.split("\t")[0]) for line in lines}
    assert [ids[name] for name in PAPER_LEVELS] == list(range(10, 270, 10))
    assert ids["T12"] < ids["T13"] < ids["L1"]
    assert ids["L5"] < ids["L6"] < ids["S1"]
    assert lines[1].split("\t") == ["20", "C2", "1.0", "2.0", "3.0"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("30\tC9\t1\t2\t3", r"'C9' in line 3.*did you mean"),
        ("30\tC3\t1\tabc\t3", r"number for y, found 'abc' in line 3"),
        ("30\tC3\t1\t2\tnan", r"number for z, found 'nan' in line 3"),
        ("30\tC3\t1e300\t2\t3", r"millimetres for x, found '1e300' in line 3"),
        ("30\tC3\t1,5\t2\t3", r"'1,5' in line 3"),
        ("30\tC3\t1\t2", r"id, name, x, y, z, found .* in line 3"),
        ("10\tC1_x\t1\t2\t3", r"each level once, found C1 again in line 3"),
    ],
)
def test_a_bad_line_of_an_lml_file_is_named(tmp_path, line, complaint):
    path = lml(tmp_path / "bad.lml", "10\tC1\t1\t2\t3", line)
    with pytest.raises(FileError, match=rf"bad\.lml: expected .*{complaint.removeprefix('number')}"):
        read_landmarks(path)


# --- 3D Slicer


def markups(system="LPS", **point):
    control = {"label": "L1", "position": [1, 2, 3]} | point
    return {"markups": [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": [control]}]}


def as_json(path, content):
    path.write_text(json.dumps(content))
    return path


def test_slicer_states_lps_and_names_every_point(tmp_path):
    write_landmarks(SPINE, tmp_path / "a.mrk.json")
    content = json.loads((tmp_path / "a.mrk.json").read_text())
    (markup,) = content["markups"]
    assert (markup["coordinateSystem"], markup["type"]) == ("LPS", "Fiducial")
    assert [point["label"] for point in markup["controlPoints"]] == ["T13", "L1", "L6"]
    assert markup["controlPoints"][0]["position"] == [1, 2.25, -3]
    assert "markups-schema" in content["@schema"]


def test_slicer_files_in_ras_are_turned(tmp_path):
    np.testing.assert_array_equal(read_landmarks(as_json(tmp_path / "a.mrk.json", markups("RAS")))["L1"], [-1, -2, 3])
    np.testing.assert_array_equal(read_landmarks(as_json(tmp_path / "a.json", markups("LPS")))["L1"], [1, 2, 3])


@pytest.mark.parametrize(("units", "is_read"), [("mm", True), (["mm", "UCUM", "millimeter"], True), ("um", False)])
def test_slicer_files_in_other_units_than_millimetres_are_refused(tmp_path, units, is_read):
    content = markups()
    content["markups"][0]["coordinateUnits"] = units
    path = as_json(tmp_path / "a.mrk.json", content)
    if is_read:
        np.testing.assert_array_equal(read_landmarks(path)["L1"], [1, 2, 3])
    else:
        with pytest.raises(FileError, match=r"a\.mrk\.json.*coordinateUnits.*'um'"):
            read_landmarks(path)


def test_slicer_points_that_were_never_placed_are_skipped(tmp_path):
    path = as_json(tmp_path / "a.mrk.json", markups(positionStatus="undefined"))
    assert len(read_landmarks(path)) == 0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (markups("XYZ"), r"LPS.*RAS.*'XYZ'"),
        (markups(label="F-1"), r"'F-1' in control point 1"),
        (markups(position=[1, 2]), r"three coordinates.*control point 1"),
        (markups(position=[1, 2, "x"]), r"'x' in control point 1"),
        ({"markups": 5}, r"markups of 3D Slicer"),
        ([1, 2], r"markups of 3D Slicer"),
    ],
)
def test_a_bad_slicer_file_is_refused_by_name(tmp_path, content, complaint):
    with pytest.raises(FileError, match=rf"bad\.mrk\.json: .*{complaint}"):
        read_landmarks(as_json(tmp_path / "bad.mrk.json", content))


def test_slicer_gets_a_colour_and_readable_names(tmp_path):
    write_landmarks(SPINE, tmp_path / "a.mrk.json")
    display = json.loads((tmp_path / "a.mrk.json").read_text())["markups"][0]["display"]
    assert display["pointLabelsVisibility"] is True
    assert all(
        len(display[key]) == 3 and all(0 <= x <= 1 for x in display[key]) for key in ("color", "selectedColor")
    )


def fcsv(path, system, *rows, columns="id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"):
    lines = [
        "# Markups fiducial file version = 4.10",
        f"# CoordinateSystem = {system}",
        f"# columns = {columns}",
        *rows,
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


FCSV_ROW = "vtkMRMLMarkupsFiducialNode_0,1.25,-2,3,0,0,0,1,1,1,0,L1,,"


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("LPS", (1.25, -2, 3)),
        ("1", (1.25, -2, 3)),
        ("RAS", (-1.25, 2, 3)),
        ("0", (-1.25, 2, 3)),
        ("ras", (-1.25, 2, 3)),
    ],
)
def test_fcsv_is_turned_to_lps_by_name_or_old_number(tmp_path, system, expected):
    found = read_landmarks(fcsv(tmp_path / "a.fcsv", system, FCSV_ROW))
    assert found.frame == "LPS"
    np.testing.assert_array_equal(found["L1"], expected)


@pytest.mark.parametrize("system", ["IJK", "2"])
def test_fcsv_in_voxels_needs_the_image(tmp_path, system):
    path = fcsv(tmp_path / "a.fcsv", system, FCSV_ROW)
    np.testing.assert_allclose(read_landmarks(path, TURNED)["L1"], TURNED.index_to_lps((1.25, -2, 3)))
    with pytest.raises(FrameError, match=r"a\.fcsv.*--reference"):
        read_landmarks(path)


def test_fcsv_goes_by_its_own_list_of_columns(tmp_path):
    path = fcsv(tmp_path / "a.fcsv", "LPS", '"L2",1,2,3,1,1', "", columns="label,x,y,z,sel,vis")
    np.testing.assert_array_equal(read_landmarks(path)["L2"], [1, 2, 3])


@pytest.mark.parametrize(
    ("system", "row", "complaint"),
    [
        ("3", FCSV_ROW, "CoordinateSystem LPS, RAS, 0 or 1, found 3"),
        ("LPS", FCSV_ROW.replace("L1", "F-1"), "'F-1' in line 4"),
        ("RAS", FCSV_ROW.replace("1.25", "abc"), "number for x, found 'abc' in line 4"),
        ("LPS", "a,1,2", "number for z, found None in line 4|name of a level"),
    ],
)
def test_a_bad_fcsv_file_is_refused_by_name(tmp_path, system, row, complaint):
    with pytest.raises(FileError, match=rf"bad\.fcsv: .*({complaint})"):
        read_landmarks(fcsv(tmp_path / "bad.fcsv", system, row))


def test_fcsv_that_does_not_say_ras_or_lps_is_refused(tmp_path):
    (tmp_path / "a.fcsv").write_text(FCSV_ROW + "\n")
    with pytest.raises(FileError, match=r"CoordinateSystem.*found none; say in a line"):
        read_landmarks(tmp_path / "a.fcsv")


def test_fcsv_is_not_written(tmp_path):
    with pytest.raises(FileError, match=r"a\.fcsv.*only read; write \.mrk\.json"):
        write_landmarks(SPINE, tmp_path / "a.fcsv")


# --- VerSe


def test_the_subject_based_variant_of_verse_holds_voxel_indices_along_its_axes(tmp_path):
    # the image runs L P S; the file counts from the other ends of x and z, in the order P I R
    grid = Grid.from_parts((60, 50, 40), (0.5, 1, 2), (7, 8, 9))
    content = [{"direction": ["P", "I", "R"]}, {"label": 20, "X": 10.0, "Y": 4.0, "Z": 9.5}]
    index = (40 - 1 - 9.5, 10, 60 - 1 - 4)
    expected = np.array([7, 8, 9]) + np.array(index) * [0.5, 1, 2]
    np.testing.assert_allclose(read_landmarks(as_json(tmp_path / "a.json", content), grid)["L1"], expected)


def test_the_challenge_variant_of_verse_holds_millimetres_along_p_i_r(tmp_path):
    grid = Grid.from_parts((60, 50, 40), (0.5, 1, 2), (7, 8, 9))
    content = [{"label": 28, "X": 10.0, "Y": 4.0, "Z": 9.5}]
    last = np.array([7, 8, 9]) + np.array([39, 0, 59]) * [0.5, 1, 2]  # most to the left, anterior and superior
    expected = last + np.array([-9.5, 10, -4])
    np.testing.assert_allclose(read_landmarks(as_json(tmp_path / "a.json", content), grid)["T13"], expected)


def test_verse_is_written_as_the_subject_based_variant_of_the_grids_own_axes(tmp_path):
    write_landmarks(Landmarks({"L1": TURNED.index_to_lps((1, 2, 3))}), tmp_path / "a_ctd.json", TURNED)
    assert json.loads((tmp_path / "a_ctd.json").read_text()) == [
        {"direction": ["P", "I", "R"]},
        {"label": 20, "X": 1.0, "Y": 2.0, "Z": 3.0},
    ]


def test_verse_without_an_image_is_refused(tmp_path):
    path = as_json(tmp_path / "a.json", [{"direction": ["P", "I", "R"]}])
    with pytest.raises(FrameError, match=r"a\.json.*--reference"):
        read_landmarks(path)
    with pytest.raises(FrameError, match=r"b\.json.*--reference"):
        write_landmarks(SPINE, tmp_path / "b.json")


def test_verse_has_no_number_of_its_own_for_transitional_discs(tmp_path):
    with pytest.raises(FileError, match=r"a\.json.*L5/L6"):
        write_landmarks(Landmarks({"L5/L6": (1, 2, 3)}), tmp_path / "a.json", TURNED)


def test_verse_entries_without_a_place_or_of_the_coccyx_are_left_out_and_said(tmp_path, caplog):
    entries = [{"label": 27, "X": 1, "Y": 2, "Z": 3}, {"label": 3, "X": float("nan"), "Y": 2, "Z": 3},
               {"label": 4, "X": 1, "Y": 2, "Z": 3}]  # fmt: skip
    assert list(read_landmarks(as_json(tmp_path / "a.json", entries), TURNED)) == ["C4"]
    assert caplog.text.count("a.json") == 2


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([{"direction": ["P", "I", "L"]}, {"label": 99, "X": 1, "Y": 2, "Z": 3}], "99 in entry 2"),
        ([{"label": "L1", "X": 1, "Y": 2, "Z": 3}], "'L1' in entry 1"),
        ([{"direction": ["P", "A", "L"]}], r"\['P', 'A', 'L'\]"),
        ([{"direction": "PIR"}], "'PIR' as direction"),
        ([{"label": 1, "X": 1, "Y": 2}], "label, X, Y and Z"),
        ([5], "list of centroids"),
    ],
)
def test_a_bad_verse_file_is_refused_by_name(tmp_path, entries, complaint):
    with pytest.raises(FileError, match=rf"bad\.json: .*{complaint}"):
        read_landmarks(as_json(tmp_path / "bad.json", entries), TURNED)


# --- tables and plain points


def test_the_table_holds_names_millimetres_indices_and_scores(tmp_path):
    write_landmarks(Landmarks({"L1": TURNED.index_to_lps((1, 2, 3))}, {"L1": 0.25}), tmp_path / "a.csv", TURNED)
    head, row = (tmp_path / "a.csv").read_text().splitlines()
    assert head == "name,x_mm,y_mm,z_mm,index_i,index_j,index_k,score"
    assert row == "L1,1.0,20.5,26.0,1.0,2.0,3.0,0.25"


def test_a_table_from_elsewhere_needs_only_names_and_millimetres(tmp_path):
    (tmp_path / "a.csv").write_text("note,z_mm,y_mm,x_mm,name\nx,3,2,1,l1\n")
    np.testing.assert_array_equal(read_landmarks(tmp_path / "a.csv")["L1"], [1, 2, 3])


def test_a_table_of_indices_alone_needs_the_image(tmp_path):
    (tmp_path / "a.csv").write_text("name,index_i,index_j,index_k\nL1,1,2,3.5\n")
    np.testing.assert_allclose(read_landmarks(tmp_path / "a.csv", TURNED)["L1"], TURNED.index_to_lps((1, 2, 3.5)))
    with pytest.raises(FrameError, match=r"a\.csv.*voxel indices.*--reference"):
        read_landmarks(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,x,y,z\nL1,1,2,3\n", "columns x_mm, y_mm, z_mm"),
        ("name,x_mm,y_mm,z_mm\nL1,1,2\n", "for z, found '' in line 2"),
        ("name,x_mm,y_mm,z_mm\nL1,1,2,3\nLL1,1,2,3\n", "'LL1' in line 3"),
    ],
)
def test_a_bad_table_is_refused_by_name(tmp_path, text, complaint):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(FileError, match=rf"bad\.csv: .*{complaint}"):
        read_landmarks(tmp_path / "bad.csv")


def test_plain_points_are_those_of_a_labelled_folder(tmp_path):
    write_landmarks(SPINE.select(lambda name: name == "L1"), tmp_path / "landmarks.json")
    assert json.loads((tmp_path / "landmarks.json").read_text()) == {
        "frame": "LPS mm", "points": {"L1": [0.5, -20, -36]}, "scores": {"L1": 0.75},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"points": {"L1": [1, 2, 3]}}, '"frame": "LPS mm", found None'),
        ({"frame": "RAS mm", "points": {"L1": [1, 2, 3]}}, "found 'RAS mm'"),
        ({"frame": "LPS mm", "points": {"L1": [1, 2]}}, "three coordinates.*'L1'"),
        ({"frame": "LPS mm", "points": [1]}, 'an object under "points"'),
        ({"frame": "LPS mm", "levels": [{"level": "L1"}]}, "three coordinates.*level 1"),
        ({"frame": "LPS mm", "levels": 7}, "an object with level and point"),
        ({"answer": 42}, "other JSON"),
    ],
)
def test_bad_points_are_refused_by_name(tmp_path, content, complaint):
    with pytest.raises(FileError, match=rf"bad\.json: .*{complaint}"):
        read_landmarks(as_json(tmp_path / "bad.json", content))


def test_bodies_cut_by_the_border_are_no_landmarks(tmp_path):
    content = {"frame": "LPS mm", "points": {"L1": [1, 2, 3], "L2": [4, 5, 6]}, "cut": ["L2", "L3"]}
    assert list(read_landmarks(as_json(tmp_path / "landmarks.json", content))) == ["L1"]


def test_the_result_of_label_is_read_with_its_scores(tmp_path):
    levels = [{"level": "L1", "point": [1, 2, 3], "score": 0.5, "probability": 0.9},
              {"level": "L2", "point": [1, 2, -30], "score": None, "probability": None}]  # fmt: skip
    found = read_landmarks(as_json(tmp_path / "a.json", {"image": "a.nii", "frame": "LPS mm", "levels": levels}))
    assert found == Landmarks({"L1": (1, 2, 3), "L2": (1, 2, -30)}, {"L1": 0.5})


# --- all formats


@pytest.mark.parametrize("name", NAMES)
def test_missing_and_empty_landmark_files_are_refused_by_name(tmp_path, name):
    with pytest.raises(FileError, match=rf"{name}.*nothing"):
        read_landmarks(tmp_path / name)
    (tmp_path / name).write_text("")
    with pytest.raises(FileError, match=rf"{name}.*empty"):
        read_landmarks(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mrk.json", "landmarks.json"])
def test_json_that_ends_early_is_refused_with_its_place(tmp_path, name):
    write_landmarks(SPINE, tmp_path / name)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text[: len(text) // 2])
    with pytest.raises(FileError, match=rf"{name}.*valid JSON.*line \d+"):
        read_landmarks(tmp_path / name)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "9" * 5000, "1e999", "true"])
def test_numbers_that_no_float_holds_are_refused_by_name(tmp_path, number):
    (tmp_path / "landmarks.json").write_text('{"frame": "LPS mm", "points": {"L1": [0, 0, ' + number + "]}}")
    with pytest.raises(FileError, match=r"landmarks\.json"):
        read_landmarks(tmp_path / "landmarks.json")


@pytest.mark.parametrize(("wrong", "right"), [("a.lmk", ".lml"), ("a.fcvs", ".fcsv"), ("a.jsn", ".json")])
def test_a_mistyped_suffix_brings_the_nearest_right_one(tmp_path, wrong, right):
    with pytest.raises(FileError, match=rf"did you mean \{right}"):
        read_landmarks(tmp_path / wrong)


def test_names_with_blanks_and_umlauts_and_a_folder_that_is_a_file(tmp_path):
    path = tmp_path / "Jörg Müller ß" / "2. Bild.mrk.json"
    write_landmarks(SPINE, path)
    assert read_landmarks(path) == SPINE
    with pytest.raises(FileError, match="a place that can be written to"):
        write_landmarks(SPINE, path / "below.csv")


def test_unknown_suffixes_are_refused_both_ways(tmp_path):
    for call in (lambda: read_landmarks(tmp_path / "a.txt"), lambda: write_landmarks(SPINE, tmp_path / "a.txt")):
        with pytest.raises(FileError, match=r"a\.txt.*\.mrk\.json"):
            call()


def test_frames_are_converted_with_a_grid_and_refused_without(tmp_path):
    with pytest.raises(FrameError, match=r"a\.lml.*'LPS'.*--reference"):
        write_landmarks(SPINE, tmp_path / "a.lml")
    in_grid = SPINE.to_grid(TURNED)
    write_landmarks(in_grid, tmp_path / "a.lml")
    with pytest.raises(FrameError, match=r"a\.csv.*'grid'"):
        write_landmarks(in_grid, tmp_path / "a.csv")
    write_landmarks(in_grid, tmp_path / "a.csv", TURNED)
    np.testing.assert_allclose(read_landmarks(tmp_path / "a.csv").points, SPINE.points, atol=1e-6)


def test_stems_end_where_the_format_begins():
    assert landmark_stem("x/4517454_centroids_conf.lml") == "4517454_centroids_conf"
    assert landmark_stem("a.b.mrk.json") == "a.b"


# --- spellings from elsewhere, and what must not be guessed


LINES = "id\tname\tx\ty\tz\n150\tT8\t1.5\t2.5\t3.5\n160\tT9_centre\t1\t2\t30\n"


@pytest.mark.parametrize(
    "content",
    [
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\r").encode(),
        LINES.encode("utf-8-sig"),
        LINES.encode("utf-16"),
        LINES.replace("id\tname", "Wirbelkörper").encode("latin-1"),
        LINES.replace("0\tT", "0.0\tT").partition("\n")[2].encode(),  # numbers with a fraction, no header
    ],
    ids=["CRLF", "CR", "BOM", "UTF-16", "latin-1", "no header"],
)
def test_lml_of_any_encoding_and_line_end_loses_nothing(tmp_path, content):
    (tmp_path / "a.lml").write_bytes(content)
    found = read_landmarks(tmp_path / "a.lml")
    assert {name: found[name].tolist() for name in found} == {"T8": [1.5, 2.5, 3.5], "T9": [1, 2, 30]}


@pytest.mark.parametrize(
    "content",
    [
        "name;x_mm;y_mm;z_mm;score\nL1;1,5;-2;3,25;0,75\n",
        "name\tx_mm\ty_mm\tz_mm\tscore\nL1\t1.5\t-2\t3.25\t0.75\n",
        "Name, X_mm, Y_mm, Z_mm, Score\r\n\r\nL1, 1.5, -2, 3.25, 0.75\r\n,,,,\r\n",
    ],
    ids=["semicolons", "tabs", "blanks"],
)
def test_tables_of_spreadsheets_are_read(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    assert read_landmarks(tmp_path / "a.csv") == Landmarks({"L1": (1.5, -2, 3.25)}, {"L1": 0.75})


def test_a_column_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("name,x_mm,x_mm,y_mm,z_mm\nL1,9,1,2,3\n")
    with pytest.raises(FileError, match=r"a\.csv: expected each column once, found x_mm again"):
        read_landmarks(tmp_path / "a.csv")


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "landmarks.json").write_text('{"frame": "LPS mm", "points": {"L1": [1, 2, 3], "L1": [4, 5, 6]}}')
    with pytest.raises(FileError, match=r"landmarks\.json: expected valid JSON, found the key 'L1' twice"):
        read_landmarks(tmp_path / "landmarks.json")


@pytest.mark.parametrize("label", [20.5, True])
def test_a_number_of_verse_that_is_not_whole_is_refused(tmp_path, label):
    with pytest.raises(FileError, match=rf"{label} in entry 1 \(no whole number\)"):
        read_landmarks(as_json(tmp_path / "a.json", [{"label": label, "X": 1, "Y": 2, "Z": 3}]), TURNED)


def test_two_directions_in_a_file_of_verse_are_refused(tmp_path):
    content = [{"direction": ["P", "I", "R"]}, {"direction": ["L", "A", "S"]}]
    with pytest.raises(FileError, match=r"one direction, found \['P', 'I', 'R'\] and \['L', 'A', 'S'\]"):
        read_landmarks(as_json(tmp_path / "a.json", content), TURNED)


@pytest.mark.parametrize(("order", "flips"), ALL_ORIENTATIONS)
@pytest.mark.parametrize("code", ["PIR", "LAS", "SPR", None])
def test_verse_lies_where_nibabel_turns_the_image_to(tmp_path, order, flips, code):
    sheared = Grid((4, 5, 6), [[0.48, -0.2, 0.3, 7], [0.14, 0.7, 0.2, 8], [0, 0.1, 2.4, 9], [0, 0, 0, 1]])
    voxels, matrix = reorient(np.zeros((4, 5, 6), np.int8), sheared.matrix, order, flips)
    grid = Grid(voxels.shape, matrix)
    entry = {"label": 20, "X": 1.25, "Y": 2.5, "Z": 0.75}
    content = [*([{"direction": list(code)}] if code else []), entry]
    found = read_landmarks(as_json(tmp_path / "a.json", content), grid)["L1"]

    ras = np.diag([-1, -1, 1, 1]) @ grid.matrix
    turn = ornt_transform(io_orientation(ras), axcodes2ornt(code or "PIR"))
    turned = ras @ inv_ornt_aff(turn, grid.size_xyz)
    index = np.array([entry[axis] for axis in "XYZ"]) / (1 if code else voxel_sizes(turned))
    np.testing.assert_allclose(found, (turned @ [*index, 1])[:3] * [-1, -1, 1], atol=1e-6)


def test_a_truth_value_is_no_coordinate(tmp_path):
    point = {"label": "L1", "position": [True, 2, 3], "positionStatus": "defined"}
    content = {"markups": [{"coordinateSystem": "RAS", "controlPoints": [point]}]}
    with pytest.raises(FileError, match="a number for x, found True in control point 1"):
        read_landmarks(as_json(tmp_path / "a.mrk.json", content))


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.fcsv"])
def test_voxel_indices_outside_of_the_image_are_warned_of(tmp_path, name, caplog):
    content = {
        "a.json": '[{"direction": ["P", "I", "R"]}, {"label": 20, "X": 500, "Y": 2, "Z": 3}]',
        "a.csv": "name,index_i,index_j,index_k\nL1,500,2,3\n",
        "a.fcsv": "# CoordinateSystem = 2\n# columns = label,x,y,z\nL1,500,2,3\n",
    }
    (tmp_path / name).write_text(content[name])
    read_landmarks(tmp_path / name, TURNED)
    assert f"{name}: L1 outside of the image; does it belong to these points?" in caplog.text
