from pathlib import Path

import pytest

from regforest.datasets import Case, Splits, folds_for, read_splits, split_differences, train_and_test_for
from regforest.datasets.splits import read_id_list
from regforest.errors import DataError, FileError

SHIPPED = Path(__file__).parents[2] / "data_splits"


class Scan(Case):
    """A case of which only name and patient matter."""

    def read_channels(self):
        raise NotImplementedError

    def load(self):
        raise NotImplementedError


def cases(*names_and_patients):
    return [Scan(name, patient, {}, None) for name, patient in names_and_patients]


def folder(path, fold1="1\n2\n", fold2="3\n", test=None):
    (path / "fold1_x.txt").write_text(fold1)
    (path / "fold2_x.txt").write_text(fold2)
    if test is not None:
        (path / "csi2014_test60.txt").write_text(test)
    return path


def test_the_shipped_splits_are_complete_and_disjoint():
    splits = read_splits(SHIPPED)
    extra = read_id_list(SHIPPED / "extra18_not_in_miccai2013.txt")
    parts = [splits.fold1, splits.fold2, extra, splits.test]
    assert [len(part) for part in parts] == [112, 112, 18, 60]
    together = [scan for part in parts for scan in part]
    assert len(set(together)) == 302
    assert all(scan.isdigit() and len(scan) == 7 for scan in together)


def test_the_shipped_folds_and_extra_scans_make_the_242_of_the_release():
    files = [
        SHIPPED / name for name in ("fold1_recovered.txt", "fold2_recovered.txt", "extra18_not_in_miccai2013.txt")
    ]
    assert sum(len(file.read_text().split()) for file in files) == 242


def test_lines_may_be_ids_or_paths_of_either_system(tmp_path):
    (tmp_path / "a.txt").write_text(
        "\ufeff# official\n\n 4517454 \n/d/2013/patient0012/4533963/4533963.mhd\nspine-1\\patient3\\4543027\\x.lml\n"
        "spine-test-data/4547671.nii.gz\n4517454\n",
        encoding="utf-8",
    )
    assert read_id_list(tmp_path / "a.txt") == ("4517454", "4533963", "4543027", "4547671")


def test_a_line_without_an_id_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("4517454\npatient12/scan\n")
    with pytest.raises(DataError, match=r"a\.txt.*line 2.*patient12/scan"):
        read_id_list(tmp_path / "a.txt")


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_an_empty_split_is_refused_by_name(tmp_path, text):
    with pytest.raises(DataError, match=r"fold2_x\.txt.*found none"):
        read_splits(folder(tmp_path, fold2=text))


def test_an_id_in_two_parts_is_named(tmp_path):
    with pytest.raises(DataError, match="found 2 in fold 1 and in fold 2"):
        read_splits(folder(tmp_path, fold2="3\n2\n"))
    with pytest.raises(DataError, match="found 3 in fold 2 and in the test set"):
        read_splits(folder(tmp_path, test="3\n9\n"))


def test_missing_and_ambiguous_fold_files_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"fold1\*\.txt, found none"):
        read_splits(tmp_path)
    with pytest.raises(FileError, match=r"fold1\*\.txt, found no such folder"):
        read_splits(tmp_path / "splits")
    folder(tmp_path)
    (tmp_path / "fold1_y.txt").write_text("7\n")
    with pytest.raises(FileError, match=r"fold1_x\.txt and fold1_y\.txt"):
        read_splits(tmp_path)


def test_folds_follow_the_files_and_what_is_in_neither_is_left_out_and_said(tmp_path):
    found, notes = folds_for(cases(("1", "a"), ("3", "b"), ("8", "c"), ("2", "b")), folder(tmp_path), seed=0)
    assert [[case.name for case in fold] for fold in found] == [["1", "2"], ["3"]]
    text = "; ".join(notes)
    assert "1 scans are in neither fold and left out: 8" in text
    assert "1 patients have scans in both folds: b" in text


def test_ids_without_a_scan_are_counted(tmp_path):
    _, notes = folds_for(cases(("1", "a"), ("3", "b")), folder(tmp_path), seed=0)
    assert "1 ids of the split files have no usable scan" in notes


def test_a_fold_without_any_scan_is_refused(tmp_path):
    with pytest.raises(DataError, match="fold 2 is empty"):
        folds_for(cases(("1", "a"), ("2", "b")), folder(tmp_path), seed=0)


def test_unknown_scans_are_divided_by_patient_and_evenly(tmp_path):
    scans = cases(*((f"{100 + i}", f"p{i // 3}") for i in range(30)))
    (first, second), notes = folds_for(scans, folder(tmp_path), seed=1)
    assert {case.patient for case in first}.isdisjoint(case.patient for case in second)
    assert sorted(case.name for case in (*first, *second)) == sorted(case.name for case in scans)
    assert (len(first), len(second)) == (15, 15)
    assert "drawn by patient, seed 1" in notes[0]


def test_drawn_folds_depend_on_the_seed_and_not_on_the_order_of_the_scans(tmp_path):
    scans = cases(*((f"{100 + i}", f"p{i // 2}") for i in range(40)))
    names = lambda folds: [{case.name for case in fold} for fold in folds]  # noqa: E731
    first, _ = folds_for(scans, folder(tmp_path), seed=1)
    again, _ = folds_for(scans[::-1], tmp_path, seed=1)
    other, _ = folds_for(scans, tmp_path, seed=2)
    assert names(first) == names(again) != names(other)


def test_one_patient_cannot_be_divided(tmp_path):
    with pytest.raises(DataError, match="two patients, found 1"):
        folds_for(cases(("100", "a"), ("101", "a")), folder(tmp_path), seed=0)


def test_the_scans_of_the_challenge_are_tested_and_all_others_trained_on(tmp_path):
    scans = cases(("1", "a"), ("8", "b"), ("9", "c"), ("10", "b"))
    (train, test), notes = train_and_test_for(scans, folder(tmp_path, test="8\n9\n77\n"), seed=0)
    assert ([case.name for case in train], [case.name for case in test]) == (["1", "10"], ["8", "9"])
    assert notes == (
        "trained on 2 scans, tested on 2 of the 3 of csi2014_test60.txt", "1 patients are trained on and tested: b",
    )  # fmt: skip


def test_a_test_set_of_unknown_scans_is_drawn_by_patient_in_the_same_proportion(tmp_path):
    scans = cases(*((f"{100 + i}", f"p{i // 2}") for i in range(40)))
    (train, test), notes = train_and_test_for(scans, folder(tmp_path, test="8\n"), seed=3)
    assert (len(train), len(test)) == (32, 8)
    assert {case.patient for case in train}.isdisjoint(case.patient for case in test)
    assert "a test set of 4 of 20 patients drawn, seed 3" in notes[0]
    again, _ = train_and_test_for(scans[::-1], tmp_path, seed=3)
    assert {case.name for case in again[1]} == {case.name for case in test}


def test_nothing_to_train_on_is_refused_and_so_is_a_missing_list(tmp_path):
    with pytest.raises(DataError, match="no scan to train on"):
        train_and_test_for(cases(("8", "a")), folder(tmp_path, test="8\n"), seed=0)
    with pytest.raises(FileError, match="csi2014_test60"):
        train_and_test_for(cases(("8", "a")), tmp_path / "nowhere", seed=0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Splits(("1", "2"), ("3", "4")), "the same two halves"),
        (Splits(("4", "3"), ("2", "1")), "the same two halves"),
        (Splits(("1", "3"), ("2", "4")), "of 4 scans 2 differ: 2, 3"),
        (Splits(("1", "2", "9"), ("3",)), "of 5 scans 2 differ: 4, 9"),
    ],
)
def test_folds_are_compared_whichever_half_is_called_the_first(given, said):
    assert split_differences(given, Splits(("1", "2"), ("3", "4"))) == said
