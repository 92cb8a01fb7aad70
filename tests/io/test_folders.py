import os

import pytest

from regforest.errors import FileError
from regforest.io import leads_back, list_folder, walk_files
from tests.rights import closed


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Fall 1 ä").mkdir()
    (tmp_path / "b.nii").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "endless").symlink_to("endless")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "up").symlink_to(tmp_path)
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_folders_and_files_are_told_apart_and_links_that_lead_nowhere_are_files(folder):
    assert [*map(names, list_folder(folder))] == [["Fall 1 ä", "up"], ["b.nii", "endless", "nowhere"]]


def test_a_folder_that_may_be_listed_and_not_entered_is_listed(folder):
    with closed(folder, 0o444):
        folders, files = list_folder(folder)
    assert (names(folders), names(files)) == (["Fall 1 ä"], ["b.nii", "endless", "nowhere", "up"])


def test_a_folder_that_cannot_be_listed_is_named(folder):
    with closed(folder), pytest.raises(FileError, match="a readable folder, found Permission denied; correct"):
        list_folder(folder)
    with pytest.raises(FileError, match=r"gone.*No such file"):
        list_folder(folder / "gone")


def test_a_walk_goes_on_around_what_stands_in_the_way(folder):
    (folder / "locked").mkdir()
    notes = []
    with closed(folder / "locked"):
        assert names(walk_files(folder, notes)) == ["b.nii"]
    assert sorted(os.path.basename(note.partition(":")[0]) for note in notes) == ["endless", "locked", "nowhere"]


def test_only_links_lead_back(folder):
    assert leads_back(folder / "up", folder)
    assert not leads_back(folder / "Fall 1 ä", folder)
    assert not leads_back(folder / "up", folder / "Fall 1 ä")
