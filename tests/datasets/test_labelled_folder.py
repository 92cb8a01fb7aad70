"""The labelled folder: read, written, and everything that can be wrong with it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import nibabel
import numpy as np
import pytest

from regforest.datasets import open_dataset
from regforest.datasets.labelled_folder import open_labelled_folder, write_labelled_folder
from regforest.errors import DataError, FileError
from regforest.io import write_volume
from regforest.spatial import AnnotatedScan, Grid, Landmarks, Volume
from tests.rights import closed

GRID = Grid.from_parts((12, 10, 8), spacing_mm=(2.0, 1.0, 1.5), origin_mm=(-7, 20, 100))
NAMES = {1: "L1/L2", 2: "L2/L3"}


def masks() -> np.ndarray:
    labels = np.zeros(GRID.shape_zyx, np.uint8)
    labels[8:10, 3:7, 2:6] = 1
    labels[3:5, 3:7, 2:6] = 2
    return labels


def image(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 5, labels.shape)
    return np.asarray(100.0 * (labels > 0) + noise + 50).astype(np.int16)


def scan(name: str = "01", patient: str = "A", channels: tuple[str, ...] = ("image",)) -> AnnotatedScan:
    labels = masks()
    volumes = {channel: Volume(image(labels, i), GRID) for i, channel in enumerate(channels)}
    centres = Landmarks({"L1/L2": (0, 24.5, 112.75), "L2/L3": (0, 24.5, 105.25)})
    return AnnotatedScan(name, patient, volumes, centres, Volume(labels, GRID), NAMES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_labelled_folder(tmp_path, [scan("01"), scan("02"), scan("03", "B")])
    return tmp_path


def test_what_is_written_is_read_again(folder: Path) -> None:
    dataset = open_labelled_folder(folder)
    assert [(case.name, case.patient) for case in dataset.cases] == [("01", "A"), ("02", "A"), ("03", "B")]
    assert dataset.faults == ()
    assert dataset.notes == ()
    found = dataset.cases[2].load()
    expected = scan("03", "B")
    np.testing.assert_array_equal(found.image.voxels, expected.image.voxels)
    np.testing.assert_array_equal(found.labels.voxels, expected.labels.voxels)
    assert found.image.grid.is_close(GRID)
    assert found.label_names == NAMES
    assert found.notes == ()


def test_landmarks_are_the_centroids_of_the_masks_in_lps_mm(folder: Path) -> None:
    # voxels 2..5, 3..6, 8..9 of spacing 2, 1, 1.5 from (-7, 20, 100), by hand
    landmarks = open_labelled_folder(folder).cases[0].load().landmarks
    np.testing.assert_allclose(landmarks["L1/L2"], (0, 24.5, 112.75), atol=1e-4)
    np.testing.assert_allclose(landmarks["L2/L3"], (0, 24.5, 105.25), atol=1e-4)


def test_points_alone_are_written_and_read_and_cut_ones_left_out(tmp_path: Path) -> None:
    points = Landmarks({"T12": (1, 2, 3), "L1": (1, 3, -20.125)})
    write_labelled_folder(tmp_path, [AnnotatedScan("x", "x", {"image": scan().image}, points)])
    assert not (tmp_path / "labels.json").exists()
    case = open_labelled_folder(tmp_path).cases[0]
    assert case.load().landmarks == points
    content = json.loads((tmp_path / "x/landmarks.json").read_text()) | {"cut": ["L1"]}
    (tmp_path / "x/landmarks.json").write_text(json.dumps(content))
    assert list(case.load().landmarks) == ["T12"]


def test_several_channels_are_told_by_their_file_names(tmp_path: Path) -> None:
    write_labelled_folder(tmp_path, [scan(channels=("wat", "fat"))])
    found = open_labelled_folder(tmp_path).cases[0].load()
    assert list(found.channels) == ["fat", "wat"]
    np.testing.assert_array_equal(found.channels["fat"].voxels, image(masks(), 1))


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".mhd", ".nrrd"])
def test_other_image_formats_are_read_as_well(folder: Path, suffix: str) -> None:
    (folder / "01/image.nii.gz").unlink()
    (folder / "01/labels.nii.gz").unlink()
    write_volume(scan().image, folder / f"01/image{suffix}")
    write_volume(scan().labels, folder / f"01/labels{suffix}")
    found = open_labelled_folder(folder).cases[0].load()
    np.testing.assert_array_equal(found.labels.voxels, masks())


def test_opening_reads_no_image(folder: Path) -> None:
    (folder / "02/image.nii.gz").write_bytes(b"broken")
    dataset = open_labelled_folder(folder)
    assert len(dataset.cases) == 3
    with pytest.raises(FileError, match="02"):
        dataset.cases[1].load()
    dataset.cases[0].load()


def test_cases_without_image_or_annotation_are_faults_and_the_others_go_on(folder: Path) -> None:
    (folder / "01/image.nii.gz").unlink()
    (folder / "02/labels.nii.gz").unlink()
    (folder / "pictures").mkdir()
    (folder / ".hidden").mkdir()
    dataset = open_labelled_folder(folder)
    assert [case.name for case in dataset.cases] == ["03"]
    first, second = dataset.faults
    assert first.case == "01"
    assert "image.nii.gz" in first.error
    assert second.case == "02"
    assert "labels.nii.gz" in second.error
    assert any("pictures" in note for note in dataset.notes)
    assert not any("hidden" in note for note in dataset.notes)


def test_two_files_for_one_channel_are_a_fault(folder: Path) -> None:
    write_volume(scan().image, folder / "01/image.nii")
    (fault,) = open_labelled_folder(folder).faults
    assert "image.nii and image.nii.gz" in fault.error


def test_links_in_a_circle_double_nothing(folder: Path) -> None:
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    dataset = open_labelled_folder(folder)
    assert [case.name for case in dataset.cases] == ["01", "02", "03"]
    assert not dataset.faults


def test_a_case_folder_that_cannot_be_listed_is_a_fault(folder: Path) -> None:
    with closed(folder / "02"):
        dataset = open_dataset(folder)
    assert [case.name for case in dataset.cases] == ["01", "03"]
    assert "02: expected a readable folder, found Permission denied" in dataset.faults[0].error


def test_a_case_folder_that_may_not_be_entered_is_named_when_the_case_is_read(folder: Path) -> None:
    with closed(folder / "02", 0o444):
        dataset = open_dataset(folder)
        assert [case.name for case in dataset.cases] == ["01", "02", "03"]
        with pytest.raises(FileError, match=r"02.*Permission denied; check the path and its rights"):
            dataset.cases[1].load()


@pytest.mark.parametrize("name", ["labels.json", "patients.csv"])
def test_a_table_that_leads_to_itself_is_named_and_other_such_links_do_no_harm(folder: Path, name: str) -> None:
    for link in ("endless", "01/endless.json", "01/landmarks.txt"):
        (folder / link).symlink_to(Path(link).name)
    assert [case.name for case in open_dataset(folder).cases] == ["01", "02", "03"]
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(name)
    with pytest.raises(FileError, match=name):
        open_dataset(folder)


def test_names_with_blanks_and_umlauts_are_fine(folder: Path) -> None:
    (folder / "01").rename(folder / "Jörg Müller, 2. Bild")
    assert open_labelled_folder(folder).cases[-1].load().name == "Jörg Müller, 2. Bild"


def test_label_images_without_their_names_are_faults(folder: Path) -> None:
    (folder / "labels.json").unlink()
    dataset = open_labelled_folder(folder)
    assert not dataset.cases
    assert all("labels.json" in fault.error for fault in dataset.faults)
    assert len(dataset.faults) == 3


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"1": "L9"}', '{"one": "L1"}', '{"1": 5}', '{"1": "L1", "2": "l1"}', '{"-1": "L1"}'],
)
def test_a_broken_labels_json_stops_the_run_and_is_named(folder: Path, content: str) -> None:
    (folder / "labels.json").write_text(content)
    with pytest.raises(FileError, match=r"labels\.json"):
        open_labelled_folder(folder)


def test_a_name_for_the_background_does_no_harm(folder: Path) -> None:
    (folder / "labels.json").write_text('{"0": "background", "1": "L1/L2", "2": "L2/L3"}')
    assert open_labelled_folder(folder).cases[0].load().label_names == NAMES


def test_a_value_without_a_name_is_named(folder: Path) -> None:
    (folder / "labels.json").write_text('{"1": "L1/L2", "7": "L3"}')
    with pytest.raises(DataError, match=r"labels\.nii\.gz.*found also 2"):
        open_labelled_folder(folder).cases[0].load()


def test_a_structure_that_a_case_lacks_has_no_landmark(folder: Path) -> None:
    write_volume(Volume(np.where(masks() == 2, 0, masks()), GRID), folder / "01/labels.nii.gz")
    assert list(open_labelled_folder(folder).cases[0].load().landmarks) == ["L1/L2"]


@pytest.mark.parametrize(
    ("voxels", "complaint"),
    [(np.zeros(GRID.shape_zyx, np.uint8), "found none"), (masks() + np.float32(0.5), "whole numbers")],
)
def test_masks_that_are_empty_or_no_masks_are_refused(folder: Path, voxels: np.ndarray, complaint: str) -> None:
    write_volume(Volume(voxels, GRID), folder / "01/labels.nii.gz")
    with pytest.raises(DataError, match=complaint):
        open_labelled_folder(folder).cases[0].load()


def test_whole_numbers_stored_as_floats_are_labels(folder: Path) -> None:
    write_volume(Volume(masks().astype(np.float32), GRID), folder / "01/labels.nii.gz")
    assert open_labelled_folder(folder).cases[0].load().labels.voxels.dtype == np.uint8


def test_labels_of_another_shape_are_refused(folder: Path) -> None:
    write_volume(Volume(masks()[1:], GRID.cropped((0, 0, 1), (11, 10, 8))), folder / "01/labels.nii.gz")
    with pytest.raises(DataError, match=r"shape \(12, 10, 8\).*\(11, 10, 8\)"):
        open_labelled_folder(folder).cases[0].load()


def test_channels_on_different_grids_are_refused(tmp_path: Path) -> None:
    write_labelled_folder(tmp_path, [scan(channels=("wat", "fat"))])
    moved = Grid(GRID.shape_zyx, GRID.matrix + np.eye(4)[:, [3, 0, 1, 2]] * 0.01)
    write_volume(Volume(image(masks()), moved), tmp_path / "01/image_wat.nii.gz")
    with pytest.raises(DataError, match="one grid"):
        open_labelled_folder(tmp_path).cases[0].load()


def test_headers_that_differ_by_rounding_count_as_equal(folder: Path) -> None:
    path = folder / "01/labels.nii.gz"
    header = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(header.dataobj), header.affine + 5e-4), path)
    found = open_labelled_folder(folder).cases[0].load()
    assert found.notes == ()
    assert found.labels.grid.is_close(found.image.grid)


def test_a_header_without_units_and_qform_is_read(folder: Path) -> None:
    path = folder / "01/image.nii.gz"
    header = nibabel.load(path)
    bare = nibabel.Nifti1Image(np.asarray(header.dataobj), None)
    bare.header.set_sform(header.affine, code=1)
    bare.header.set_qform(None, code=0)
    bare.header["xyzt_units"] = 0
    nibabel.save(bare, path)
    assert open_labelled_folder(folder).cases[0].load().image.grid.is_close(GRID)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[", "JSON"),
        ('{"points": {"L1": [0, 0, 0]}}', "frame"),
        ('{"frame": "RAS mm", "points": {"L1": [0, 0, 0]}}', "RAS mm"),
        ('{"frame": "LPS mm"}', "points"),
        ('{"frame": "LPS mm", "points": {}}', "at least one point"),
        ('{"frame": "LPS mm", "points": {"Q1": [0, 0, 0]}}', "Q1"),
        ('{"frame": "LPS mm", "points": {"L1": [0, 0]}}', "three coordinates"),
        ('{"frame": "LPS mm", "points": {"L1": [0, 0, "a"]}}', "landmarks"),
    ],
)
def test_broken_landmarks_are_named(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "a").mkdir()
    write_volume(scan().image, tmp_path / "a/image.nii.gz")
    (tmp_path / "a/landmarks.json").write_text(content)
    with pytest.raises(FileError, match=complaint):
        open_labelled_folder(tmp_path).cases[0].load()


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere"):
        open_labelled_folder(tmp_path / "nowhere")
    with pytest.raises(FileError, match="case folders"):
        open_labelled_folder(tmp_path)


def test_without_a_table_every_case_is_its_own_patient_and_says_so(folder: Path) -> None:
    (folder / "patients.csv").unlink()
    dataset = open_labelled_folder(folder)
    assert [case.patient for case in dataset.cases] == ["01", "02", "03"]
    assert any("patients.csv" in note for note in dataset.notes)


def test_cases_travel_to_worker_processes(folder: Path) -> None:
    case = pickle.loads(pickle.dumps(open_labelled_folder(folder).cases[0]))
    assert case.load().name == "01"


def test_one_label_value_has_one_meaning(tmp_path: Path) -> None:
    other = AnnotatedScan("02", "B", scan().channels, scan().landmarks, scan().labels, {1: "L3/L4", 2: "L4/L5"})
    with pytest.raises(DataError, match="label 1 means L3/L4"):
        write_labelled_folder(tmp_path, [scan(), other])


@pytest.mark.parametrize(("kind", "count"), [("vb3_gre_bodies", 5), ("vb2_t2_bodies", 7), ("ivd_t2_discs", 5)])
def test_real_scans_are_read(realdata: Path, kind: str, count: int) -> None:
    dataset = open_labelled_folder(realdata / "mr" / kind)
    assert dataset.cases
    assert not dataset.faults
    found = dataset.cases[0].load()
    assert len(found.landmarks) == count
    assert found.notes == ()
    heights = found.landmarks.points_lps_mm[:, 2]
    assert (np.diff(heights) < -15).all()  # cranial to caudal
    for name in found.landmarks:
        assert found.mask(name)[
            tuple(np.rint(found.image.grid.lps_to_index(found.landmarks[name])).astype(int)[::-1])
        ]
