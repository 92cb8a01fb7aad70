import json

import pytest

from experiments.manifest import Stages
from experiments.outputs import CaseFiles, RunFolder
from regforest.errors import FileError, UsageError


def test_a_table_has_the_columns_of_all_rows_and_blanks_for_none(tmp_path):
    RunFolder(tmp_path, "m").write_csv("t.csv", [{"case": "1", "a": None}, {"case": "2", "b": "x, y"}], ("case",))
    assert (tmp_path / "t.csv").read_text() == 'case,a,b\n1,,\n2,,"x, y"\n'


def test_undefined_numbers_cannot_slip_into_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        RunFolder(tmp_path, "m").write_json("s.json", {"mean": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_goes_from_new_to_unfinished_to_finished(tmp_path):
    folder = RunFolder(tmp_path / "out", "m")
    identity = {"seed": 1, "sizes": (1, 2)}
    assert folder.state(identity, resume=False) == "new"
    folder.begin(identity)
    with pytest.raises(UsageError, match="--resume"):
        folder.state(identity, resume=False)
    assert folder.state(identity, resume=True) == "unfinished"
    folder.write_json("manifest.json", {**identity, "finished": True, "failed": 2})
    assert folder.state(identity, resume=False) == "finished"
    assert folder.state(identity, resume=True) == "unfinished"
    with pytest.raises(UsageError, match="seed: 1 there, 2 now"):
        folder.state({"seed": 2, "sizes": (1, 2)}, resume=True)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"seed": 1', '["seed"]', '{"seed": 1, "seed": 2}'])
def test_a_damaged_run_is_refused_and_a_damaged_case_done_again(tmp_path, content):
    folder = RunFolder(tmp_path, "m")
    (tmp_path / "cases").mkdir()
    for path in (tmp_path / "manifest.json", tmp_path / "cases" / "a.json"):
        path.write_text(content)
    with pytest.raises(UsageError, match="holds no run"):
        folder.state({"seed": 1}, resume=True)
    with pytest.raises(FileError, match=r"manifest\.json"):
        folder.read_json("manifest.json")
    assert folder.stored_case("m", "a") is None or content.startswith('{"seed": 1, ')


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        RunFolder(tmp_path / "out", "m").state({}, resume=False)


def test_a_name_too_long_is_wrong_usage(tmp_path):
    folder = RunFolder(tmp_path / ("x" * 300), "m")
    assert folder.state({}, resume=False) == "new"
    with (
        pytest.raises(UsageError, match=r"cannot be written .File name too long.; choose another --out"),
        folder.held(),
    ):
        pass


def test_a_kept_case_is_listed_and_one_that_was_begun_last_is_suspected(tmp_path):
    folder = RunFolder(tmp_path, "m")
    for case in "ab":
        folder.note_begun("m", case)
    folder.keep("m", "a", CaseFiles({"case": "a"}, {".lml": b"points"}, {".svg": b"drawn"}))
    assert folder.stored_case("m", "a") == {"case": "a"}
    assert (tmp_path / "predictions" / "a.lml").read_bytes() == b"points"
    assert (tmp_path / "pictures" / "a.svg").read_bytes() == b"drawn"
    assert folder.begin({}) == {"m/b"}


def test_what_a_killed_run_was_writing_is_cleared_away(tmp_path):
    (tmp_path / "cases" / ".writing-x").mkdir(parents=True)
    (tmp_path / "cases" / ".writing-x" / "a.json").write_text("{")
    RunFolder(tmp_path, "m").begin({})
    assert list((tmp_path / "cases").iterdir()) == []


def test_other_methods_have_folders_of_their_own(tmp_path):
    folder = RunFolder(tmp_path, "main")
    assert folder.case_file("main", "c") == tmp_path / "cases" / "c.json"
    assert folder.case_file("knn", "c") == tmp_path / "cases" / "knn" / "c.json"


def test_stages_add_up():
    stages = Stages()
    for _ in range(2):
        with stages("fit"):
            pass
    with pytest.raises(KeyError), stages("apply"):
        raise KeyError
    assert set(stages.record) == {"fit", "apply"}
    assert stages.record["fit"]["peak_memory_mb"] > 10
    json.dumps(stages.record)
