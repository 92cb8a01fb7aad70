import numpy as np
import pytest

from regforest.datasets.spine_ct import open_spine_ct
from regforest.errors import DataError, FileError
from regforest.io import write_landmarks, write_volume
from regforest.spatial import Landmarks, Volume
from tests.datasets.spine_ct_layouts import GRID, POINTS, body_image, write_original, write_scan


def by_name(dataset):
    return {case.name: case for case in dataset.cases}


def test_the_original_layout_is_read(tmp_path):
    write_original(tmp_path, "patient0012", "2804504")
    write_original(tmp_path, "patient0012", "2895692")
    write_original(tmp_path, "patient0300", "4517454")
    dataset = open_spine_ct(tmp_path)
    assert [(case.name, case.patient) for case in dataset.cases] == [
        ("2804504", "patient0012"), ("2895692", "patient0012"), ("4517454", "patient0300"),
    ]  # fmt: skip
    assert dataset.faults == ()
    assert "not to be redistributed" in dataset.terms
    assert "Glocker" in dataset.citation


def test_the_later_copy_and_the_flat_test_set_are_read_side_by_side(tmp_path):
    write_original(tmp_path / "spine-1", "patient0012", "2804504", suffix=".nii.gz")
    write_original(tmp_path / "spine-5", "patient0300", "4517454", suffix=".nii.gz")
    write_scan(tmp_path / "spine-test-data", "4543027", suffix=".nii.gz")
    write_scan(tmp_path / "spine-test-data", "4547671", suffix=".nii.gz")
    dataset = open_spine_ct(tmp_path)
    assert list(by_name(dataset)) == ["2804504", "4517454", "4543027", "4547671"]
    patients = [case.patient for case in dataset.cases]
    assert len(set(patients)) == 4
    assert any("a patient of its own: 2" in note for note in dataset.notes)
    assert list(by_name(open_spine_ct(tmp_path / "spine-test-data"))) == ["4543027", "4547671"]
    assert by_name(open_spine_ct(tmp_path / "spine-1" / "patient0012"))["2804504"].patient == "patient0012"


@pytest.mark.parametrize("suffix", [".mhd", ".nii.gz"])
def test_a_scan_is_loaded_with_its_points_in_lps(tmp_path, suffix):
    write_original(tmp_path, "patient1", "111", suffix=suffix)
    scan = open_spine_ct(tmp_path).cases[0].load()
    np.testing.assert_allclose(scan.landmarks["L2"], [-31.5 + 30, 17.25 + 38, 840 + 97])
    assert scan.image.voxels.dtype == np.int16
    assert list(scan.channels) == ["image"]
    assert (scan.name, scan.patient, scan.notes) == ("111", "patient1", ())


def test_values_that_are_no_hounsfield_units_are_reported(tmp_path):
    write_original(tmp_path, "patient1", "111")
    write_volume(Volume(body_image().voxels + np.int16(1024), GRID), tmp_path / "patient1" / "111" / "111.mhd")
    assert open_spine_ct(tmp_path).cases[0].load().notes == (
        "111.mhd: values from 924 to 1204 are no Hounsfield units: neither fat nor lung is among them",
    )


def test_folders_that_are_not_all_digits_are_left_out_and_mentioned(tmp_path):
    write_original(tmp_path, "patient1", "111")
    write_scan(tmp_path / "patient1" / "111_bad", "222")
    dataset = open_spine_ct(tmp_path)
    assert list(by_name(dataset)) == ["111"]
    assert any("111_bad" in note for note in dataset.notes)


def test_incomplete_scans_are_faults_and_the_others_stay(tmp_path):
    write_original(tmp_path, "patient1", "111")
    write_original(tmp_path, "patient2", "222", points=None)
    write_original(tmp_path, "patient3", "333")
    (tmp_path / "patient3" / "333" / "333.raw").unlink()
    (tmp_path / "patient4" / "444").mkdir(parents=True)
    write_landmarks(POINTS, tmp_path / "patient4" / "444" / "444.lml")
    write_original(tmp_path, "patient5", "555")
    write_scan(tmp_path / "patient5" / "555", "555", suffix=".nii.gz")
    write_original(tmp_path, "patient6", "666")
    write_original(tmp_path / "spine-2", "patient6", "666")
    dataset = open_spine_ct(tmp_path)
    assert list(by_name(dataset)) == ["111"]
    errors = {fault.case: fault.error for fault in dataset.faults}
    assert set(errors) == {"222", "333", "444", "555", "666"}
    assert "222.lml" in errors["222"]
    assert "333.raw" in errors["333"]
    assert "an image 444" in errors["444"]
    assert "555.mhd and " in errors["555"]
    assert "555.nii.gz" in errors["555"]
    assert "spine-2" in errors["666"]


def test_a_folder_without_scans_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"patientNNNN.*found no such scan"):
        open_spine_ct(tmp_path)


def test_links_in_a_circle_end(tmp_path):
    write_original(tmp_path, "patient1", "111")
    (tmp_path / "patient1" / "111" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert list(by_name(open_spine_ct(tmp_path))) == ["111"]


def test_the_data_may_lie_behind_a_link(tmp_path):
    write_original(tmp_path / "disk", "patient0001", "111")
    (tmp_path / "data").symlink_to(tmp_path / "disk", target_is_directory=True)
    behind, itself = open_spine_ct(tmp_path / "data"), open_spine_ct(tmp_path / "disk")
    assert by_name(behind).keys() == by_name(itself).keys() != set()


def test_a_scan_without_annotations_is_refused_by_name(tmp_path):
    write_original(tmp_path, "patient1", "111", points=Landmarks({}, frame="grid"))
    with pytest.raises(DataError, match=r"111\.lml.*found none"):
        open_spine_ct(tmp_path).cases[0].load()


def test_bad_landmarks_are_refused_by_name_and_line(tmp_path):
    write_original(tmp_path, "patient1", "111")
    with (tmp_path / "patient1" / "111" / "111.lml").open("a") as file:
        file.write("240\tL9\t1\t2\t3\n")
    with pytest.raises(FileError, match=r"111\.lml.*'L9' in line 5"):
        open_spine_ct(tmp_path).cases[0].load()


def test_points_outside_the_image_are_reported(tmp_path):
    write_original(tmp_path, "patient1", "111", points=Landmarks({**POINTS, "L4": (30, 40, 400)}, frame="grid"))
    scan = open_spine_ct(tmp_path).cases[0].load()
    assert scan.notes == ("111.lml: outside the field of view: L4",)
    assert list(scan.landmarks) == ["L1", "L2", "L3", "L4"]


def test_points_that_all_lie_outside_belong_to_another_image(tmp_path):
    write_original(tmp_path, "patient1", "111", points=POINTS.mapped(lambda mm: mm + np.array([0, 0, 5000])))
    with pytest.raises(DataError, match=r"111\.lml.*found no point inside the image; check"):
        open_spine_ct(tmp_path).cases[0].load()


def test_points_in_the_wrong_frame_are_refused_and_the_frame_is_named(tmp_path):
    write_original(tmp_path, "patient1", "111", points=POINTS.mapped(lambda mm: mm + GRID.origin_mm))
    with pytest.raises(DataError, match=r"111\.lml.*they would be inside as LPS millimetres"):
        open_spine_ct(tmp_path).cases[0].load()


def test_points_beside_the_bone_are_reported(tmp_path):
    write_original(tmp_path, "patient1", "111", points=POINTS.mapped(lambda mm: mm - np.array([25, 0, 0])))
    (note,) = open_spine_ct(tmp_path).cases[0].load().notes
    assert "only 0 of 3 points lie in dense bone" in note


def test_phantoms_in_this_layout_carry_no_terms(tmp_path):
    write_original(tmp_path, "patient1", "111")
    (tmp_path / "phantom.json").write_text("{}")
    dataset = open_spine_ct(tmp_path)
    assert (dataset.name, dataset.terms, dataset.citation) == ("CT phantom", "", "")


def test_slightly_negative_coordinates_are_moved_into_the_image(tmp_path):
    write_original(tmp_path, "patient1", "111", points=Landmarks({**POINTS, "S1": (30, 40, -0.75)}, frame="grid"))
    assert open_spine_ct(tmp_path).cases[0].load().landmarks["S1"][2] == 840
