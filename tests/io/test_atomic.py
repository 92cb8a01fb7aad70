import errno
import os

import pytest

from regforest.errors import FileError
from regforest.io import write_text
from regforest.io._atomic import staged


def test_companion_files_take_their_place_before_the_file_that_names_them(tmp_path, monkeypatch):
    order = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (order.append(os.path.basename(new)), replace(old, new)))
    with staged(tmp_path / "a.mhd") as target:
        target.write_text("header")
        target.with_suffix(".raw").write_text("voxels")
    assert order == ["a.raw", "a.mhd"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mhd", "a.raw"]


def test_an_error_while_writing_leaves_the_old_file_and_no_litter(tmp_path):
    write_text(tmp_path / "a.txt", "old")

    def write_half():
        with staged(tmp_path / "a.txt") as target:
            target.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_new_file_gets_the_rights_of_any_other(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


def test_a_folder_in_the_place_of_the_file_is_refused_by_name(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(FileError, match=r"a\.txt: expected a place that can be written to"):
        write_text(tmp_path / "a.txt", "x")


def test_what_is_renamed_is_on_the_disk_before_and_the_rename_after(tmp_path, monkeypatch):
    order = []
    replace, sync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda old, new: (order.append("rename"), replace(old, new)))
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("sync"), sync(handle)))
    write_text(tmp_path / "a.txt", "x")
    assert order == ["sync", "rename", "sync"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "old")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left on device"):
        write_text(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
