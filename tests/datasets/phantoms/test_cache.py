"""Cached folders: made once, never seen half written."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from regforest.datasets.phantoms.cache import cached_folder
from regforest.errors import FileError


@pytest.fixture(autouse=True)
def cache_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cache"
    monkeypatch.setenv("REGFOREST_CACHE", str(root))
    return root


def test_a_folder_is_written_once_and_found_again(cache_here: Path) -> None:
    calls = []

    def write(folder: Path) -> None:
        calls.append(folder)
        (folder / "content").write_text("x")

    first = cached_folder("demo", {"n": 1, "seed": 2}, write)
    assert cached_folder("demo", {"seed": 2, "n": 1}, write) == first
    assert first.parent == cache_here
    assert (first / "content").read_text() == "x"
    assert len(calls) == 1


def test_other_settings_make_another_folder() -> None:
    folders = {cached_folder("demo", {"n": n}, lambda folder: None) for n in (1, 2, 3)}
    assert len(folders) == 3


def test_a_writer_that_fails_leaves_nothing_behind(cache_here: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        cached_folder("demo", {}, write)
    assert list(cache_here.iterdir()) == []


def test_of_two_writers_at_once_the_first_wins_and_both_get_the_whole_folder(cache_here: Path) -> None:
    meet = threading.Barrier(2, timeout=20)
    found = []

    def write(folder: Path) -> None:
        meet.wait()  # both are writing now
        for i in range(20):
            (folder / str(i)).write_text("x")

    def work() -> None:
        found.append(cached_folder("demo", {}, write))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert [path.name for path in cache_here.iterdir()] == [found[0].name]
    assert len(list(found[0].iterdir())) == 20


def test_a_cache_that_cannot_be_written_says_which_variable_to_set(cache_here: Path) -> None:
    cache_here.write_text("a file stands where the folder should be")
    with pytest.raises(FileError, match="REGFOREST_CACHE"):
        cached_folder("demo", {}, lambda folder: None)
