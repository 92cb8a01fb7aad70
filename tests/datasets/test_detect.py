import json

import pytest

from regforest.datasets import LAYOUTS, detect_layout, open_dataset
from regforest.errors import FileError, UsageError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["patient0001/123/123.mhd", "patient0001/123/123.raw", "patient0001/123/123.lml"], "spine-ct"),
        (["spine-3/patient0001/123/123.nii.gz", "spine-3/patient0001/123/123.lml"], "spine-ct"),
        (["123.nii.gz", "123.lml"], "spine-ct"),
        (["01/01_fat.nii", "01/01_Labels.nii"], "ivdm3seg"),
        (["train/01/01_fat.nii", "train/01/01_Labels.nii"], "ivdm3seg"),
        (["A1_fat.nii", "A1-Labels.nii"], "ivdm3seg"),
        (["1_Fat.nii.gz", "1_label.nii.gz"], "ivdm3seg"),
        (["Bänder und Scheiben/b2_WAT.NII"], "ivdm3seg"),
        (["dataset/01_wat.nii", "label/01_Labels.nii"], "ivdm3seg"),
        (["labels.json", "a/image.nii.gz", "a/labels.nii.gz"], "labelled-folder"),
        (["a/image_fat.mha", "a/landmarks.json"], "labelled-folder"),
        (["dataset_description.json", "sub-01/ses-1/anat/sub-01_ses-1_T2w.nii.gz"], "bids"),
        (["rawdata/sub-verse004/sub-verse004_ct.nii.gz"], "bids"),
    ],
)
def test_layouts_are_told_from_file_names(tmp_path, names, layout):
    assert detect_layout(touch(tmp_path, *names)) == layout


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"lml.*landmarks\.json.*none of them"):
        detect_layout(touch(tmp_path, "a.txt", "b/c.png"))


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(FileError, match="nowhere: expected the folder of a data set, found nothing"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(FileError, match="found a file"):
        open_dataset(touch(tmp_path, "a.txt") / "a.txt")


def test_an_unknown_layout_brings_the_nearest_one(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'spine-ct'"):
        open_dataset(tmp_path, "spinect")


def test_every_named_layout_can_be_opened_or_says_what_it_misses(tmp_path):
    for layout in LAYOUTS:
        with pytest.raises(FileError, match=str(tmp_path)):
            open_dataset(tmp_path, layout)


def test_a_labelled_folder_opens_by_itself(tmp_path):
    touch(tmp_path, "a/image.nii.gz")
    content = {"frame": "LPS mm", "points": {"L1": [0, 0, 0]}}
    (tmp_path / "a" / "landmarks.json").write_text(json.dumps(content))
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, [case.name for case in dataset.cases]) == ("labelled-folder", ["a"])


def test_a_path_too_long_for_the_disk_is_no_folder(tmp_path):
    with pytest.raises(FileError, match="expected the folder of a data set, found nothing"):
        open_dataset(tmp_path / ("x" * 300))


def test_patients_of_a_table_count_more_than_what_the_data_set_says(tmp_path):
    touch(tmp_path, "a/image.nii.gz", "b/image.nii.gz")
    for case in "ab":
        content = {"frame": "LPS mm", "points": {"L1": [0, 0, 0]}}
        (tmp_path / case / "landmarks.json").write_text(json.dumps(content))
    (tmp_path / "mine.csv").write_text("case,patient\na,Müller\n")
    dataset = open_dataset(tmp_path, "labelled-folder", tmp_path / "mine.csv")
    assert [case.patient for case in dataset.cases] == ["Müller", "b"]
