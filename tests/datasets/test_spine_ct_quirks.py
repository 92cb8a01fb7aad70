"""What real annotation files and copies of the Annotated Spine CT Database hold, planted one by one."""

import os
from pathlib import Path

import numpy as np
import pytest

from regforest.datasets import open_dataset
from regforest.datasets.annotation_checks import spine_remarks
from regforest.datasets.spine_ct import open_spine_ct
from regforest.errors import DataError, FileError
from tests.datasets.spine_ct_layouts import GRID, POINTS, write_lml, write_original, write_scan
from tests.rights import closed

THREE = ("200\tL1\t30\t30\t130", "210\tL2\t30\t38\t97", "220\tL3\t30\t44\t63")


def load(root):
    (case,) = open_spine_ct(root).cases
    return case.load()


def test_a_sixth_lumbar_vertebra_is_kept_between_l5_and_s1(tmp_path):
    write_lml(tmp_path, "240\tL5\t30\t30\t130", "245\tL6\t30\t38\t97", "250\tS1\t30\t44\t63")
    assert list(load(tmp_path).landmarks) == ["L5", "L6", "S1"]


@pytest.mark.parametrize(
    "form", ["{0}\t{1}_center\t{2}\t{3}\t{4}", "{0}  {1}   {2} {3}  {4}", "{0}\t {1} \t{2}\t{3}\t{4}\t"]
)
def test_suffixes_and_blanks_do_not_change_what_is_read(tmp_path, form):
    write_lml(tmp_path, *(form.format(*line.split("\t")) for line in THREE))
    scan = load(tmp_path)
    np.testing.assert_allclose(scan.landmarks.points, POINTS.points + GRID.origin_mm)
    assert (list(scan.landmarks), scan.notes) == (["L1", "L2", "L3"], ())


def test_levels_missing_in_the_middle_are_remarked_and_the_scan_is_kept(tmp_path):
    write_lml(tmp_path, THREE[0], THREE[2])
    landmarks = load(tmp_path).landmarks
    assert list(landmarks) == ["L1", "L3"]
    assert spine_remarks(landmarks) == ["no L2 between L1 and L3"]


def test_two_levels_at_one_height_are_remarked(tmp_path):
    write_lml(tmp_path, "240\tL5\t30\t20\t97", "250\tS1\t30\t44\t97")
    assert spine_remarks(load(tmp_path).landmarks) == ["L5 and S1 lie at one height"]


def test_a_level_that_stands_twice_is_refused_with_its_line(tmp_path):
    path = write_lml(tmp_path, *THREE, "220\tL3\t30\t50\t40")
    with pytest.raises(FileError, match=rf"{path.name}: expected each level once, found L3 again in line 5"):
        load(tmp_path)


def test_a_number_that_contradicts_its_name_is_remarked_and_the_name_counts(tmp_path):
    write_lml(tmp_path, THREE[0], "230\tL2\t30\t38\t97", THREE[2])
    scan = load(tmp_path)
    assert list(scan.landmarks) == ["L1", "L2", "L3"]
    assert scan.notes == ("111.lml: number 230 in line 3 is that of L4, the name says L2: the name counts",)


def test_files_that_number_their_levels_in_another_way_draw_no_remark(tmp_path):
    write_lml(tmp_path, "10\tL1\t30\t30\t130", "20\tL2\t30\t38\t97", "30\tL3\t30\t44\t63")
    assert load(tmp_path).notes == ()


def test_slightly_negative_coordinates_are_clamped_and_larger_ones_are_remarked(tmp_path):
    write_lml(tmp_path, *THREE, "250\tS1\t30\t40\t-0.75", "260\tS2\t30\t40\t-9")
    scan = load(tmp_path)
    assert scan.landmarks["S1"][2] == GRID.origin_mm[2]
    assert any("outside the field of view: S2" in note for note in scan.notes)


@pytest.mark.parametrize(("lines", "header"), [((), "# nothing"), ((), "")])
def test_an_annotation_of_nothing_is_refused_by_name(tmp_path, lines, header):
    write_lml(tmp_path, *lines, header=header)
    with pytest.raises(DataError, match=r"111\.lml: expected annotated vertebrae, found none"):
        load(tmp_path)


def test_files_of_another_scan_are_named_and_do_not_count(tmp_path):
    write_original(tmp_path, "patient1", "111")
    write_scan(tmp_path / "patient1" / "111", "222")
    write_scan(tmp_path / "patient1", "333")
    dataset = open_spine_ct(tmp_path)
    assert [case.name for case in dataset.cases] == ["111"]
    notes = " | ".join(dataset.notes)
    assert f"{Path('patient1/111/222.mhd')}: left out, the folder is that of scan 111" in notes
    assert f"{Path('patient1/333.lml')}: left out, expected in 333/" in notes


def test_names_that_are_no_ids_are_named_also_in_a_flat_folder(tmp_path):
    write_scan(tmp_path, "111", suffix=".nii.gz")
    write_scan(tmp_path, "Wirbelsäule 2", suffix=".nii.gz")
    dataset = open_spine_ct(tmp_path)
    assert [case.name for case in dataset.cases] == ["111"]
    assert "Wirbelsäule 2.lml: left out, its name is not all digits" in dataset.notes


@pytest.mark.parametrize(("place", "fault"), [("patient2", "patient2"), ("patient2/222", "222")])
@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_folder_without_rights_is_a_fault_and_the_others_are_read(tmp_path, place, fault, mode):
    write_original(tmp_path, "patient1", "111")
    write_original(tmp_path, "patient2", "222")
    with closed(tmp_path / place, mode):
        dataset = open_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["111"]
    assert [item.case for item in dataset.faults] == [fault if mode == 0 else "222"]
    assert "Permission denied" in dataset.faults[0].error


@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_data_set_that_may_not_be_looked_at_is_refused_for_that(tmp_path, mode):
    write_original(tmp_path / "data", "patient1", "111")
    with closed(tmp_path / "data", mode), pytest.raises(FileError, match=r"data.* cannot be listed; check.* rights"):
        open_dataset(tmp_path / "data")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_that_lead_nowhere_or_in_circles_hide_no_scan(tmp_path):
    for patient, scan in (("patient1", "111"), ("patient2", "222")):
        write_original(tmp_path, patient, scan)
    for link, target in {
        "endless": "endless", "patient1/endless.lml": "endless.lml", "patient1/222": "../patient2/222",
        "patient1/111/up": "../../..", "a": ".", "333.lml": "333.lml",
    }.items():  # fmt: skip
        (tmp_path / link).symlink_to(target)
    dataset = open_dataset(tmp_path)
    assert [(case.name, case.patient) for case in dataset.cases] == [("111", "patient1"), ("222", "patient2")]
    assert [fault.case for fault in dataset.faults] == ["333"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_scans_behind_a_link_are_found_once(tmp_path):
    write_original(tmp_path / "disk", "patient1", "111")
    (tmp_path / "data").mkdir()
    for name in ("spine-1", "spine-2"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "disk", target_is_directory=True)
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "data", target_is_directory=True)
    dataset = open_spine_ct(tmp_path / "data")
    assert ([case.name for case in dataset.cases], dataset.faults) == (["111"], ())
