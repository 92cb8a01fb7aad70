"""The Dixon disc data in all its layouts, with the quirks of real copies planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from regforest.datasets import open_dataset
from regforest.datasets.disc_masks import DISC_NAMES
from regforest.datasets.ivdm3seg import open_ivdm3seg, write_ivdm3seg_case
from regforest.datasets.patients import write_patients
from regforest.datasets.terms import IVDM3SEG
from regforest.errors import DataError, FileError
from regforest.io import write_volume
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume
from tests.rights import closed

SHAPE = (90, 30, 16)
GRID = Grid.from_parts(SHAPE, (2.0, 1.5, 2.5), (-16, 5, 40), np.diag([1.0, 1.0, -1.0]))
CHANNELS = ("fat", "inn", "opp", "wat")


def discs(depth: int = 14, gap: int = 12, thick: int = 4) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for i in range(7):
        mask[3 + gap * i : 3 + gap * i + thick, 6 : 6 + depth + i % 3, 3:13] = i + 1
    return mask


def scan(name: str, depth: int = 14, gap: int = 12, thick: int = 4) -> AnnotatedScan:
    labels = discs(depth, gap, thick)
    rng = np.random.default_rng(sum(map(ord, name)))
    channels = {
        channel: Volume((rng.normal(100, 5, SHAPE) + 40 * (i + 1) * (labels > 0)).astype(np.int16), GRID)
        for i, channel in enumerate(CHANNELS)
    }
    names = dict(enumerate(DISC_NAMES, start=1))
    return AnnotatedScan(name, "?", channels, Landmarks({}), Volume(labels, GRID), names)


def files(scan: AnnotatedScan) -> Iterator[tuple[str, Volume]]:
    yield from scan.channels.items()
    yield "Labels", Volume((scan.labels.voxels > 0).astype(np.uint8), GRID)


def write_folders(root: Path, name: str, suffix: str) -> None:
    (root / name).mkdir(parents=True)
    for what, volume in files(scan(name)):
        write_volume(volume, root / name / f"{name}_{what}{suffix}")


def write_flat(root: Path, name: str, label: str) -> None:
    for what, volume in files(scan(name)):
        folder = root / ("label" if what == "Labels" else "dataset")
        folder.mkdir(parents=True, exist_ok=True)
        write_volume(volume, folder / ((label if what == "Labels" else f"{name}_{what}") + ".nii"))


def write_old(root: Path, name: str) -> None:
    for what, volume in files(scan(name)):
        write_volume(volume, root / (f"{name}-Labels.nii" if what == "Labels" else f"{name}_{what}.nii"))


def check(case_root: Path, name: str) -> None:
    dataset = open_ivdm3seg(case_root)
    assert not dataset.faults
    assert [case.name for case in dataset.cases] == [name]
    found = dataset.cases[0].load()
    assert list(found.channels) == list(CHANNELS)
    np.testing.assert_array_equal(found.labels.voxels, discs())  # numbered from the head, as they were made
    np.testing.assert_array_equal(found.channels["wat"].voxels, scan(name).channels["wat"].voxels)
    assert list(found.landmarks) == list(DISC_NAMES)
    assert found.notes == ()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("under", [".", "train", "IVDM3Seg/train", "Bänder und Scheiben"])
def test_a_folder_for_each_scan_is_read(tmp_path: Path, under: str, suffix: str) -> None:
    write_folders(tmp_path / under, "01", suffix)
    check(tmp_path, "01")


@pytest.mark.parametrize("label", ["07_Labels", "07_label", "07"])
def test_flat_folders_of_images_and_labels_are_read(tmp_path: Path, label: str) -> None:
    write_flat(tmp_path, "07", label)
    check(tmp_path, "07")


def test_older_names_are_read_and_their_letter_is_the_patient(tmp_path: Path) -> None:
    for name in ("A1", "A2", "B1"):
        write_old(tmp_path, name)
    dataset = open_ivdm3seg(tmp_path)
    assert [(case.name, case.patient) for case in dataset.cases] == [("A1", "A"), ("A2", "A"), ("B1", "B")]
    assert any("first letter" in note for note in dataset.notes)
    assert list(dataset.cases[1].load().landmarks) == list(DISC_NAMES)


def test_what_is_written_is_read_with_its_patients(tmp_path: Path) -> None:
    for name in ("01", "02"):
        write_ivdm3seg_case(tmp_path, scan(name))
    write_patients(tmp_path / "patients.csv", {"01": "P", "02": "P"})
    dataset = open_ivdm3seg(tmp_path)
    assert [case.patient for case in dataset.cases] == ["P", "P"]
    assert dataset.notes == ()
    assert dataset.terms == IVDM3SEG.terms
    np.testing.assert_array_equal(dataset.cases[0].load().labels.voxels, discs())


def test_a_table_given_by_the_user_comes_first(tmp_path: Path) -> None:
    for name in ("01", "02"):
        write_ivdm3seg_case(tmp_path, scan(name))
    write_patients(tmp_path / "patients.csv", {"01": "P", "02": "P"})
    write_patients(tmp_path / "mine.csv", {"01": "X"})
    dataset = open_ivdm3seg(tmp_path, tmp_path / "mine.csv")
    assert [case.patient for case in dataset.cases] == ["X", "02"]
    assert any("02" in note for note in dataset.notes)


def test_without_a_table_patients_are_estimated_and_shown(tmp_path: Path) -> None:
    for name, depth, gap in (("01", 10, 11), ("02", 16, 12), ("03", 16, 12), ("04", 10, 11)):
        write_ivdm3seg_case(tmp_path, scan(name, depth, gap, thick=4 if name < "03" else 5))
    dataset = open_ivdm3seg(tmp_path)
    assert [case.patient for case in dataset.cases] == ["01+04", "02+03", "02+03", "01+04"]
    assert any("01+04" in note and "difference" in note for note in dataset.notes)
    assert any("--patients" in note for note in dataset.notes)


def test_a_slanted_header_of_the_mask_is_detected_and_decided_by_the_edges(tmp_path: Path) -> None:
    turn = np.deg2rad(6)
    axes = GRID.direction @ [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    write_ivdm3seg_case(tmp_path, scan("16"), Grid.from_parts(SHAPE, GRID.spacing_mm, GRID.origin_mm, axes))
    write_patients(tmp_path / "patients.csv", {"16": "P"})
    found = open_ivdm3seg(tmp_path).cases[0].load()
    np.testing.assert_array_equal(found.labels.voxels, discs())
    assert found.labels.grid.is_close(GRID)
    (note,) = found.notes
    assert "16_Labels.nii" in note
    assert "disagree" in note
    assert "voxel by voxel" in note


def test_specks_are_dropped_and_masks_that_are_none_are_refused(tmp_path: Path) -> None:
    write_ivdm3seg_case(tmp_path, scan("01"))
    write_patients(tmp_path / "patients.csv", {"01": "P"})
    path = tmp_path / "01/01_Labels.nii"
    mask = (discs() > 0).astype(np.uint8)
    mask[0, 0, 0] = 1
    write_volume(Volume(mask, GRID), path)
    case = open_ivdm3seg(tmp_path).cases[0]
    np.testing.assert_array_equal(case.load().labels.voxels, discs())
    write_volume(Volume(discs(), GRID), path)
    with pytest.raises(DataError, match=r"01_Labels\.nii.*binary"):
        case.load()
    write_volume(Volume(mask * 0, GRID), path)
    with pytest.raises(DataError, match=r"01_Labels\.nii.*found 0"):
        case.load()


def test_incomplete_doubled_and_unreadable_scans_are_faults_and_the_others_go_on(tmp_path: Path) -> None:
    for name in ("01", "02", "03", "04", "05"):
        write_ivdm3seg_case(tmp_path, scan(name))
    (tmp_path / "01/01_Labels.nii").unlink()
    for channel in CHANNELS:
        (tmp_path / f"02/02_{channel}.nii").unlink()
    write_volume(scan("03").image, tmp_path / "03/03_fat.nii.gz")
    (tmp_path / "04/04_Labels.nii").write_bytes(b"nothing")
    (tmp_path / "05/notes.txt").write_text("free text does not disturb")
    dataset = open_ivdm3seg(tmp_path)
    assert [case.name for case in dataset.cases] == ["05"]
    errors = {fault.case: fault.error for fault in dataset.faults}
    assert sorted(errors) == ["01", "02", "03", "04"]
    assert "01_Labels.nii" in errors["01"]
    assert "02_fat.nii" in errors["02"]
    assert "03_fat.nii" in errors["03"]
    assert "03_fat.nii.gz" in errors["03"]
    assert "04_Labels.nii" in errors["04"]


def test_a_missing_channel_leaves_the_others(tmp_path: Path) -> None:
    write_ivdm3seg_case(tmp_path, scan("01"))
    (tmp_path / "01/01_inn.nii").unlink()
    write_patients(tmp_path / "patients.csv", {"01": "P"})
    assert list(open_ivdm3seg(tmp_path).cases[0].load().channels) == ["fat", "opp", "wat"]


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="01_fat"):
        open_ivdm3seg(tmp_path)
    with pytest.raises(FileError, match="nowhere"):
        open_ivdm3seg(tmp_path / "nowhere")


def test_points_without_masks_cannot_be_written(tmp_path: Path) -> None:
    points = AnnotatedScan("01", "P", scan("01").channels, Landmarks({"L1/L2": (0, 0, 0)}))
    with pytest.raises(DataError, match="masks"):
        write_ivdm3seg_case(tmp_path, points)


def test_a_link_back_to_the_folder_does_not_double_the_scans(tmp_path: Path) -> None:
    write_folders(tmp_path, "01", ".nii")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    check(tmp_path, "01")


def test_a_link_to_itself_is_a_fault_of_its_scan_alone(tmp_path: Path) -> None:
    write_folders(tmp_path, "01", ".nii")
    for link in ("endless", "01/endless", "02_fat.nii"):
        (tmp_path / link).symlink_to(Path(link).name)
    (tmp_path / "01" / "up").symlink_to(tmp_path)
    dataset = open_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["01"]
    assert [fault.case for fault in dataset.faults] == ["02"]


def test_a_folder_that_cannot_be_listed_is_a_fault(tmp_path: Path) -> None:
    write_folders(tmp_path, "01", ".nii")
    (tmp_path / "02").mkdir()
    with closed(tmp_path / "02"):
        dataset = open_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["01"]
    (fault,) = dataset.faults
    assert fault.case == "02"
    assert "Permission denied" in fault.error
