import sys
import zipfile

import pytest

from regforest.datasets.scan_sheet import SHEET_NAME, find_sheet, read_scan_sheet
from regforest.datasets.spine_ct import open_spine_ct
from regforest.errors import DataError, FileError
from tests.datasets.spine_ct_layouts import write_original, write_sheet

TITLE = ("UW spine CT, facts about the scans",)
HEAD = ("Patient", "Scan ID", "Finding", None, "Slice (mm)")


def test_a_title_comes_first_and_empty_cells_are_left_out(tmp_path):
    path = write_sheet(
        tmp_path / SHEET_NAME, TITLE, HEAD, (1, 111.0, "scoliosis", "x", 2.5), (2, "222", None, None, 1.0),
        (None, "total", "two"), (None,),
    )  # fmt: skip
    assert read_scan_sheet(path) == {
        "111": {"Patient": "1", "Finding": "scoliosis", "Slice (mm)": "2.5"},
        "222": {"Patient": "2", "Slice (mm)": "1"},
    }


def test_a_scan_in_two_rows_keeps_the_texts_of_both(tmp_path):
    path = write_sheet(tmp_path / SHEET_NAME, TITLE, HEAD, (1, 111, "scoliosis"), (1, 111, "implant\nL3"))
    assert read_scan_sheet(path) == {"111": {"Patient": "1", "Finding": "scoliosis; implant L3"}}


def test_a_sheet_without_ids_and_a_damaged_one_are_refused_by_name(tmp_path):
    path = write_sheet(tmp_path / SHEET_NAME, TITLE, ("Patient", "Finding"))
    with pytest.raises(FileError, match=rf'{SHEET_NAME}: expected a column "Scan ID"'):
        read_scan_sheet(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FileError, match=f"{SHEET_NAME}: expected an Excel sheet"):
        read_scan_sheet(path)


def test_a_sheet_with_damaged_cells_does_not_stop_the_data_set(tmp_path):
    write_original(tmp_path, "patient1", "111")
    whole = write_sheet(tmp_path / "whole.xlsx", TITLE, HEAD, (1, 111, "scoliosis"))
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / SHEET_NAME, "w") as damaged:
        for name in source.namelist():
            content = source.read(name)
            damaged.writestr(name, content[:-60] if name.endswith("sheet1.xml") else content)
    dataset = open_spine_ct(tmp_path)
    assert [dict(case.info) for case in dataset.cases] == [{}]
    assert any(f"{SHEET_NAME}: expected an Excel sheet" in note for note in dataset.notes)


def test_the_sheet_is_found_in_the_folder_or_above_it(tmp_path):
    (tmp_path / "spine-1").mkdir()
    assert find_sheet(tmp_path / "spine-1") is None
    path = write_sheet(tmp_path / SHEET_NAME.lower(), TITLE)
    assert find_sheet(tmp_path / "spine-1") == find_sheet(tmp_path) == path


def test_without_the_library_the_data_set_opens_and_says_what_is_missing(tmp_path, monkeypatch):
    write_original(tmp_path, "patient1", "111")
    path = write_sheet(tmp_path / SHEET_NAME, TITLE, HEAD, (1, 111, "scoliosis"))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match="openpyxl"):
        read_scan_sheet(path)
    dataset = open_spine_ct(tmp_path)
    assert dict(dataset.cases[0].info) == {}
    assert any(SHEET_NAME in note and "regforest[sheets]" in note for note in dataset.notes)
