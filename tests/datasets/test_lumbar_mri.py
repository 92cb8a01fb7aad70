"""The Lumbar Spine MRI Dataset: which stacks are found in the tree, and the index that is kept of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from regforest.datasets import _dicom_index, detect_layout, open_dataset
from regforest.datasets.lumbar_mri import patient_folders
from regforest.datasets.terms import LUMBAR_MRI
from regforest.errors import FileError
from tests.io.dicom_maker import SECRETS, image, save, stack, write

VOXELS = np.random.default_rng(0).integers(0, 4000, (5, 8, 10)).astype(np.int16)
STUDY = "L-SPINE_LSS_20160101_1015"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "the cache"
    monkeypatch.setenv("REGFOREST_CACHE", str(folder))
    return folder


@pytest.fixture
def tree(tmp_path):
    """A small tree by hand: two patients, the same file names everywhere."""
    root = tmp_path / "Käufer kopie"
    for patient in ("0007", "0012"):
        study = root / "01_MRI_Data" / patient / STUDY
        write(study / "T2_TSE_SAG_320_0002", stack(VOXELS), "a_{:d}.ima")
    return root


def first_series(tree):
    return tree / "01_MRI_Data" / "0007" / STUDY / "T2_TSE_SAG_320_0002"


def index_file(cache):
    (path,) = (cache / "dicom-index").glob("*.json")
    return path


# --- what is found


def test_stacks_of_every_patient_are_cases_with_the_patient_of_the_path(lumbar_tree):
    dataset = open_dataset(lumbar_tree)
    assert dataset.layout == "lumbar-mri"
    names = [case.name for case in dataset.cases if case.patient == "0001"]
    blocks = [f"0001_T{t}_TSE_TRA_320_000{6 - t}_{block}" for t in (1, 2) for block in (1, 2, 3)]
    assert names == sorted(["0001_T1_TSE_SAG_320_0003", "0001_T2_TSE_SAG_320_0002", *blocks])
    assert {case.patient for case in dataset.cases} == {"0001", "0002"}
    assert not dataset.faults
    notes = " ".join(dataset.notes)
    assert "localizers passed over: 2" in notes
    assert "ImagePositionPatient (0020,0032) should be 3 numbers, found none: 2" in notes  # the screenshots


def test_planted_faults_are_told_and_do_no_harm(lumbar_tree):
    cases = {case.name: case for case in open_dataset(lumbar_tree).cases}
    t1, t2 = cases["0001_T1_TSE_SAG_320_0003"], cases["0002_T2_TSE_SAG_320_0002"]
    assert t1.load().notes == (
        "missing slices: 1; interpolated: 1 of 16, 4 mm apart",
        "single slices of another size or direction left out: 2",
    )
    scan = t2.load()
    assert scan.notes == ("copies of slices left out: 1",)
    assert scan.image.voxels.shape == (17, 320, 320)
    assert scan.image.grid.axis_code == "PIR"
    assert cases["0001_T2_TSE_TRA_320_0004_2"].load().image.grid.shape_zyx == (4, 320, 320)
    assert not scan.landmarks


@pytest.mark.parametrize("below", [".", "01_MRI_Data", "01_MRI_Data/0007", f"01_MRI_Data/0007/{STUDY}"])
def test_any_level_of_the_tree_can_be_opened(below, tree):
    dataset = open_dataset(tree / below, "lumbar-mri")
    assert (dataset.terms, dataset.citation) == (LUMBAR_MRI.terms, LUMBAR_MRI.citation)
    assert dataset.cases[0].name == "0007_T2_TSE_SAG_320_0002"
    assert dataset.cases[0].patient == "0007"


def test_the_layout_is_told_from_the_tree(tree, tmp_path):
    for below in (".", "01_MRI_Data", "01_MRI_Data/0007"):
        assert detect_layout(tree / below) == "lumbar-mri"
    assert [folder.name for folder in patient_folders(tree)] == ["0007", "0012"]
    tree.rename(tmp_path / "2024")  # four digits that are no patient
    assert [folder.name for folder in patient_folders(tmp_path / "2024")] == ["0007", "0012"]
    write(tmp_path / "hospital" / "0001" / "study" / "series", stack(VOXELS))
    with pytest.raises(FileError, match=r"\*\.ima \(lumbar-mri\)"):
        detect_layout(tmp_path / "hospital")


def test_two_studies_with_series_of_one_name_are_told_apart(tree):
    shutil.copytree(first_series(tree), first_series(tree).parents[1] / "L-SPINE 2" / first_series(tree).name)
    names = [case.name for case in open_dataset(tree).cases if case.patient == "0007"]
    assert names == ["0007_L-SPINE_2_T2_TSE_SAG_320_0002", f"0007_{STUDY}_T2_TSE_SAG_320_0002"]


def test_a_series_with_an_unusable_slice_is_a_fault_and_the_rest_stays(tree):
    broken = stack(VOXELS)[2]
    broken.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]
    save(broken, first_series(tree) / "a_2.ima")
    dataset = open_dataset(tree)
    assert [case.patient for case in dataset.cases] == ["0012"]
    (fault,) = dataset.faults
    assert fault.case == "0007_T2_TSE_SAG_320_0002"
    assert "a_2.ima" in fault.error
    assert "perpendicular" in fault.error


def test_other_files_hinder_nothing(tree):
    (first_series(tree) / "Thumbs.db").write_bytes(b"no image")
    (first_series(tree) / "loop").symlink_to(tree, target_is_directory=True)
    save(image(VOXELS[0], Modality="OT"), first_series(tree).parent / "POSDISP_1" / "a_0.ima")
    dataset = open_dataset(tree)
    assert len(dataset.cases) == 2
    assert not dataset.faults


def test_a_tree_without_slices_is_refused(tmp_path):
    (tmp_path / "0001" / STUDY / "T2_TSE_SAG").mkdir(parents=True)
    with pytest.raises(FileError, match="expected 01_MRI_Data"):
        open_dataset(tmp_path, "lumbar-mri")


# --- the index


def test_unchanged_files_are_read_from_the_index(tree, monkeypatch):
    first = open_dataset(tree)
    monkeypatch.setattr(_dicom_index, "read_frames", lambda file: pytest.fail(f"{file.name} was read again"))
    second = open_dataset(tree)
    for one, two in zip(first.cases, second.cases, strict=True):
        assert one.stack.grid == two.stack.grid
        assert one.stack.tags == two.stack.tags
        np.testing.assert_array_equal(one.load().image.voxels, two.load().image.voxels)
    assert first.notes == second.notes


def test_new_changed_and_removed_files_are_noticed(tree):
    assert open_dataset(tree).cases[0].stack.grid.shape_zyx[0] == 5
    (first_series(tree) / "a_4.ima").unlink()
    assert open_dataset(tree).cases[0].stack.grid.shape_zyx[0] == 4
    write(first_series(tree), stack(VOXELS, step_mm=4.5), "a_{:d}.ima")
    assert open_dataset(tree).cases[0].stack.grid.spacing_mm[2] == pytest.approx(4.5)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 0}', '{"version": 1, "tags": [[1]], "files": {}}'])
def test_a_damaged_index_is_made_anew(damage, tree, cache):
    open_dataset(tree)
    index_file(cache).write_text(damage)
    assert len(open_dataset(tree).cases) == 2
    assert json.loads(index_file(cache).read_text())["files"]


def test_a_hostile_index_cannot_pass_words_for_places(tree, cache):
    open_dataset(tree)
    content = index_file(cache).read_text()
    index_file(cache).write_text(content.replace("[0.0,0.0,3.0]", '["a","b","c"]'))
    assert open_dataset(tree).cases[0].stack.grid.origin_mm.tolist() == [0, 0, 0]


def test_nothing_is_written_beside_the_data_and_nobody_is_named_in_the_index(tree, cache):
    before = sorted(tree.rglob("*"))
    open_dataset(tree)
    assert sorted(tree.rglob("*")) == before
    text = index_file(cache).read_text()
    assert not any(secret in text for secret in (*SECRETS.values(), "Geheim", "Grete"))


def test_a_cache_that_cannot_be_written_is_told_and_done_without(tree, cache, caplog):
    cache.write_text("a file in the way")
    assert len(open_dataset(tree).cases) == 2
    assert "the index is not kept" in caplog.text
