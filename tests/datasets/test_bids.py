import json

import numpy as np
import pytest

from regforest.datasets import open_dataset
from regforest.datasets.bids import open_bids
from regforest.datasets.bids_files import derivative_description, find_images, is_bids
from regforest.errors import DataError, FileError
from regforest.io import write_bids_labels, write_label_image, write_landmarks, write_volume
from regforest.spatial import Grid, Landmarks, Volume
from tests.rights import closed

GRID = Grid.from_parts((6, 8, 10), (0.5, 0.75, 2.5), (-10, 20, 300))
IMAGE = Volume(np.arange(480).reshape(GRID.shape_zyx).astype(np.int16), GRID)
POINTS = Landmarks({"L1": GRID.index_to_lps((2, 3, 4)), "L2": GRID.index_to_lps((5, 5, 1))})


def mask(*values):
    voxels = np.zeros(GRID.shape_zyx, np.uint8)
    for z, value in enumerate(values):
        voxels[z, 2:5, 3:8] = value
    return Volume(voxels, GRID)


def images(root, *names):
    for name in names:
        write_volume(IMAGE, root / name)


def description(folder, **fields):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset_description.json").write_text(json.dumps({"Name": "Made up", "BIDSVersion": "1.9.0"} | fields))


@pytest.fixture
def root(tmp_path):
    """Two subjects, one with two sessions; labels as a pipeline's dseg with its table, and as centroids."""
    description(tmp_path, License="CC0", ReferencesAndLinks=["doi:10.1/x"])
    images(tmp_path, "sub-01/ses-a/anat/sub-01_ses-a_acq-sag_T2w.nii.gz", "sub-01/ses-b/anat/sub-01_ses-b_T2w.nii")
    images(tmp_path, "sub-02/ct/sub-02_ct.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz", "sub-02/anat/sub-02_bold.nii.gz")
    labels = tmp_path / "derivatives" / "labels" / "sub-01"
    write_volume(mask(1, 2, 9), labels / "ses-a" / "anat" / "sub-01_ses-a_acq-sag_dseg.nii.gz")
    (labels / "ses-a" / "anat" / "sub-01_ses-a_acq-sag_dseg.tsv").write_text(
        "index\tname\n1\tL1/L2\n2\tL2/L3\n9\tspinal cord\n"
    )
    points = tmp_path / "derivatives" / "points" / "sub-02" / "ct" / "sub-02_desc-ct_ctd.mrk.json"
    write_landmarks(POINTS, points)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t5\nsub-02\t6\nsub-03\t7\n")
    return tmp_path


def test_images_are_cases_and_subjects_are_patients(root):
    dataset = open_bids(root)
    assert [(case.name, case.patient) for case in dataset.cases] == [
        ("sub-01_ses-a_acq-sag_T2w", "sub-01"), ("sub-01_ses-b_T2w", "sub-01"), ("sub-02_T1w", "sub-02"),
        ("sub-02_ct", "sub-02"),
    ]  # fmt: skip
    assert dataset.faults == ()
    assert (dataset.name, dataset.layout, dataset.terms, dataset.citation) == ("Made up", "bids", "CC0", "doi:10.1/x")
    assert any("2 of 4 images have no annotation" in note for note in dataset.notes)
    assert any("sub-03" in note for note in dataset.notes)


def test_it_is_told_from_its_file_names(root):
    assert open_dataset(root).layout == "bids"
    assert is_bids(root)
    assert not is_bids(root / "sub-01")


def test_a_segmentation_is_read_with_the_table_beside_it(root):
    scan = open_bids(root).cases[0].load()
    assert scan.label_names == {1: "L1/L2", 2: "L2/L3"}
    assert list(scan.landmarks) == ["L1/L2", "L2/L3"]
    np.testing.assert_allclose(scan.landmarks["L2/L3"], GRID.index_to_lps((5, 3, 1)), atol=1e-4)
    assert scan.labels.voxels.max() == 2
    assert any("left out: 9" in note for note in scan.notes)


def test_centroids_are_read_for_their_own_image_alone(root):
    cases = {case.name: case for case in open_bids(root).cases}
    np.testing.assert_allclose(cases["sub-02_ct"].load().landmarks.points, POINTS.points)
    with pytest.raises(DataError, match=r"sub-02_T1w: no annotation"):
        cases["sub-02_T1w"].load()
    np.testing.assert_array_equal(cases["sub-02_T1w"].read_channels()["image"].voxels, IMAGE.voxels)


@pytest.mark.parametrize("where", ["table of the data set", "header"])
def test_names_of_labels_also_come_from_a_table_above_or_the_header(root, where):
    path = root / "derivatives" / "labels" / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_T2w_label-spine_dseg.nii.gz"
    if where == "header":
        write_label_image(mask(5, 6), {5: "L4", 6: "L5"}, path)
    else:
        write_volume(mask(5, 6), path)
        write_bids_labels({5: "L4", 6: "L5"}, root / "derivatives" / "labels" / "dseg.tsv")
    assert list(open_bids(root).cases[1].load().landmarks) == ["L4", "L5"]


def test_a_segmentation_that_nobody_explains_is_refused_by_name(root):
    (root / "derivatives/labels/sub-01/ses-a/anat/sub-01_ses-a_acq-sag_dseg.tsv").unlink()
    with pytest.raises(FileError, match=r"acq-sag_dseg\.tsv: expected the names of the labels in .*dseg\.nii\.gz"):
        open_bids(root).cases[0].load()


def test_the_looser_names_of_verse_are_read_centroids_first(tmp_path):
    images(tmp_path, "rawdata/sub-verse004/sub-verse004_ct.nii.gz", "rawdata/sub-gl1/sub-gl1_dir-ax_ct.nii.gz")
    folder = tmp_path / "derivatives" / "sub-gl1"
    write_volume(mask(20, 28), folder / "sub-gl1_dir-ax_seg-vert_msk.nii.gz")
    write_landmarks(POINTS, folder / "sub-gl1_dir-ax_seg-subreg_ctd.json", GRID)
    dataset = open_dataset(tmp_path)
    scan = dataset.cases[0].load()
    assert (scan.name, scan.patient) == ("sub-gl1_dir-ax_ct", "sub-gl1")
    np.testing.assert_allclose(scan.landmarks.points, POINTS.points, atol=1e-4)
    assert scan.label_names == {20: "L1", 28: "T13"}
    assert dataset.cases[1].annotation_file is None


def test_our_own_predictions_are_no_annotations(root):
    out = root / "derivatives" / "regforest"
    out.mkdir()
    (out / "dataset_description.json").write_text(json.dumps(derivative_description(out, root)))
    write_landmarks(POINTS, out / "sub-01" / "ses-b" / "anat" / "sub-01_ses-b_desc-T2w_ctd.mrk.json")
    assert open_bids(root).cases[1].annotation_file is None
    (out / "dataset_description.json").unlink()
    assert open_bids(root).cases[1].annotation_file is not None


def test_two_files_for_one_thing_are_a_fault_and_the_others_go_on(root):
    images(root, "sub-02/ct/sub-02_ct.nii")
    (root / "derivatives/other/sub-01/ses-a").mkdir(parents=True)
    write_volume(mask(1), root / "derivatives/other/sub-01/ses-a/sub-01_ses-a_acq-sag_dseg.nii.gz")
    dataset = open_bids(root)
    assert [case.name for case in dataset.cases] == ["sub-01_ses-b_T2w", "sub-02_T1w"]
    assert [fault.case for fault in dataset.faults] == ["sub-01_ses-a_acq-sag_T2w", "sub-02_ct"]
    assert "sub-02_ct.nii and sub-02/ct/sub-02_ct.nii.gz" in dataset.faults[1].error


def test_links_in_a_circle_end_and_double_nothing(root):
    (root / "sub-01" / "ses-a" / "loop").symlink_to(root / "sub-01", target_is_directory=True)
    (root / "sub-04").symlink_to(root, target_is_directory=True)
    dataset = open_bids(root)
    assert len(dataset.cases) == 4
    assert dataset.faults == ()


def test_a_link_to_a_file_that_was_not_fetched_is_a_case_that_says_so(root):
    (root / "sub-05" / "anat").mkdir(parents=True)
    (root / "sub-05" / "anat" / "sub-05_T2w.nii.gz").symlink_to(root / ".git" / "annex" / "key")
    case = open_bids(root).cases[-1]
    with pytest.raises(FileError, match=r"sub-05_T2w\.nii\.gz.*nothing"):
        case.read_channels()


def test_a_folder_without_rights_is_a_fault_and_the_others_go_on(root):
    with closed(root / "sub-02" / "ct"):
        dataset = open_dataset(root)
    assert len(dataset.cases) == 3
    assert "ct: this folder cannot be listed" in dataset.faults[0].error


def test_annotations_that_may_not_be_looked_at_are_a_fault_and_not_just_absent(root):
    with closed(root / "derivatives" / "points"):
        dataset = open_dataset(root)
    assert len(dataset.cases) == 4
    assert "points: this folder cannot be listed" in dataset.faults[0].error


def test_links_hide_no_subject(root):
    (root / "sub-01" / "up").symlink_to(root, target_is_directory=True)
    for link in ("endless", "sub-00", "sub-01/endless"):
        (root / link).symlink_to(link.rpartition("/")[2])
    dataset = open_dataset(root)
    assert len(dataset.cases) == 4
    assert dataset.faults == ()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("dataset_description.json", "{", r"dataset_description\.json.*JSON"),
        ("dataset_description.json", "[]", r"dataset_description\.json.*object"),
        ("participants.tsv", "id\n1\n", r"participants\.tsv.*participant_id"),
        ("participants.tsv", "participant_id\n\udcff", r"participants\.tsv.*table of participants"),
    ],
)
def test_a_damaged_table_stops_the_run_and_is_named(root, name, content, complaint):
    (root / name).write_text(content, errors="surrogateescape")
    with pytest.raises(FileError, match=complaint):
        open_bids(root)


def test_a_folder_without_images_is_refused(tmp_path):
    description(tmp_path)
    with pytest.raises(FileError, match="sub-01/anat/sub-01_T2w"):
        open_bids(tmp_path)


def test_results_keep_the_entities_and_name_the_suffix_of_their_image(root):
    stems = [image.result_stem for image in find_images(root)[0]]
    assert stems[0] == "sub-01/ses-a/anat/sub-01_ses-a_acq-sag_desc-T2w"
    assert len(set(stems)) == len(stems)
