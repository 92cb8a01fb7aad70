from pathlib import Path

import pytest

from regforest.errors import FileError
from regforest.io import Journal, differences


def test_entries_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    assert list(journal.entries()) == []
    for case in "ab":
        journal.add("finished", case=case)
    assert [entry["case"] for entry in journal.entries()] == ["a", "b"]


def test_an_entry_cut_short_costs_neither_those_before_nor_those_after(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.add("finished", case="a")
    with journal.path.open("a") as stream:
        stream.write('{"event": "fini')
    journal.add("finished", case="b")
    assert [entry["case"] for entry in journal.entries()] == ["a", "b"]


def test_what_is_no_entry_is_passed_over(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.path.write_text("[" * 100_000 + '\n{"event": ' + "9" * 5000 + '}\n["event"]\n{"case": "a"}\n')
    journal.add("begun", case="b")
    assert [entry["case"] for entry in journal.entries()] == ["b"]


def test_only_what_was_begun_and_never_ended_is_unfinished(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    for event, case in (("begun", "a"), ("begun", "b"), ("finished", "a"), ("begun", "c"), ("failed", "c")):
        journal.add(event, case=case)
    assert journal.unfinished() == {"b"}
    journal.add("begun", case="b")
    journal.add("finished", case="b")
    assert journal.unfinished() == set()


def test_a_full_disk_is_an_error_that_names_the_file():
    with pytest.raises(FileError, match=r"/dev/full: .* No space left on device"):
        Journal(Path("/dev/full")).add("finished", case="a")


def test_differences_name_the_path_to_each_changed_value():
    there, now = {"a": {"b": 1, "c": [1]}, "d": 0}, {"a": {"b": 2, "c": [1]}, "e": None}
    assert differences(there, now) == ["a.b: 1 there, 2 now", "d: 0 there, null now"]
