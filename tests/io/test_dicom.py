"""Which series is read from what, and what is refused, passed over and kept secret."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import zipfile

import numpy as np
import pytest

from regforest.errors import FileError
from regforest.io import read_grid, read_volume
from regforest.io.dicom import dicom_stem, holds_dicom, list_dicom, read_dicom
from tests.io.dicom_maker import CT, SECRETS, image, placed, save, stack, write
from tests.rights import closed

VOXELS = np.random.default_rng(0).integers(0, 4000, (6, 8, 10)).astype(np.int16)


def series(uid, count, description, voxels=VOXELS, **tags):
    datasets = stack(voxels[:count], SeriesInstanceUID=uid, SeriesDescription=description, **tags)
    for dataset in datasets:
        dataset.SOPInstanceUID = f"{uid}.{dataset.InstanceNumber}"
    return datasets


@pytest.fixture
def study(tmp_path):
    """Five series in one folder, and things that are no images."""
    sagittal = [placed(VOXELS[k], (3 * k, 0, 0), (0, 1, 0, 0, 0, -1), SeriesInstanceUID="1.2", SeriesNumber=2,
                       SeriesDescription="t2_tse_sag") for k in range(4)]  # fmt: skip
    write(tmp_path / "sag", sagittal)
    write(tmp_path / "t1", series("1.3", 4, "t1_tse_sag", SeriesNumber=3))
    write(tmp_path / "axial", series("1.5", 6, "axial", SeriesNumber=5))
    write(tmp_path / "loc", series("1.1", 6, "localizer", SeriesNumber=1))
    report = image(np.zeros((1, 1), np.uint8), Modality="SR", Rows=None, Columns=None, PixelData=None)
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    save(report, tmp_path / "report.dcm")
    (tmp_path / "read me.txt").write_text("nothing")
    (tmp_path / "DICOMDIR.bak").write_bytes(b"")
    return tmp_path


# --- the choice


def test_most_slices_are_read_and_the_choice_is_told(study):
    scan = read_dicom(study)
    assert scan.stack.tags.series_uid == "1.5"
    (told,) = [note for note in scan.notes if note.startswith("took series")]
    assert "1.5 (axial: 6 slices, mr axial)" in told
    assert "most slices first" in told
    assert "1.2 (t2_tse_sag: 4 slices, mr sagittal t2)" in told
    assert "1.1" not in told  # a localizer


def test_what_is_preferred_matters_more_than_the_number_of_slices(study):
    assert read_dicom(study, prefer=("mr", "sagittal", "t2")).stack.tags.series_uid == "1.2"
    assert read_dicom(study, prefer=("t1",)).stack.tags.series_uid == "1.3"
    assert read_dicom(study, prefer=("ct",)).stack.tags.series_uid == "1.5"


def test_a_series_can_be_named_a_localizer_too(study):
    assert read_dicom(study, "1.1").volume.voxels.shape == VOXELS.shape
    with pytest.raises(FileError, match=r"expected the series 9\.9, found 1\.1 \(localizer.*name one of these"):
        read_dicom(study, "9.9")


def test_localizers_alone_are_refused(tmp_path):
    write(tmp_path, series("1.1", 3, "scout"))
    with pytest.raises(FileError, match="only localizers"):
        read_dicom(tmp_path)


def test_what_is_no_image_is_passed_over_with_a_note(study):
    notes = " ".join(list_dicom(study).notes)
    assert "not DICOM: 2" in notes
    assert "Basic Text SR Storage: 1" in notes


def test_read_volume_reads_dicom_and_logs_the_choice(study, caplog):
    with caplog.at_level(logging.WARNING):
        volume = read_volume(study)
    assert volume.voxels.shape == VOXELS.shape
    assert "took series 1.5" in caplog.text
    assert read_grid(study).is_close(volume.grid)
    assert read_volume(study, "1.2").grid.axis_code == read_grid(study, "1.2").axis_code == "PIR"


@pytest.mark.parametrize("name", ["one.dcm", "one.IMA", "no suffix", "Röntgen 1.2.3"])
def test_a_single_file_is_read_whatever_its_name(name, tmp_path):
    path = save(placed(VOXELS[0], (0, 0, 0)), tmp_path / name)
    np.testing.assert_array_equal(read_volume(path).voxels[0], VOXELS[0])


def test_a_file_without_preamble_is_read(tmp_path):
    dataset = placed(VOXELS[0], (0, 0, 0))
    del dataset.file_meta
    dataset.save_as(tmp_path / "old", implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "old").voxels[0], VOXELS[0])


# --- zip


def zipped(path, folder, extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
        for name, content in extra:
            archive.writestr(name, content)
    return path


def test_a_zip_is_read_in_place_like_its_folder(study, tmp_path_factory):
    place = tmp_path_factory.mktemp("größer als")
    path = zipped(place / "Lena's Scan.zip", study)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, read_volume(study).voxels)
    assert list(place.iterdir()) == [path]
    assert dicom_stem(path) == "Lena's Scan"


def test_entries_that_point_out_of_the_archive_are_passed_over(study, tmp_path_factory):
    evil = io.BytesIO()
    placed(VOXELS[0], (0, 0, 99)).save_as(evil, enforce_file_format=True)
    place = tmp_path_factory.mktemp("deep") / "deeper"
    names = ("../evil.dcm", "/evil.dcm", "a/../../evil.dcm", "C:\\evil.dcm")
    path = zipped(place.parent / "a.zip", study, [(name, evil.getvalue()) for name in names])
    scan = read_dicom(path)
    assert scan.volume.voxels.shape == VOXELS.shape
    assert sum("points out of the archive" in note for note in scan.notes) == len(names)
    assert not list(place.parent.rglob("evil*"))


def test_an_archive_that_claims_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("regforest.io._dicom_files._MAX_ZIP_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.dcm", bytes(2 * 10**6))
    with pytest.raises(FileError, match="at most"):
        read_dicom(tmp_path / "bomb.zip")


def test_a_damaged_archive_and_a_damaged_entry_are_refused(study, tmp_path_factory):
    place = tmp_path_factory.mktemp("zips")
    path = zipped(place / "a.zip", study)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileError, match="a damaged one"):
        read_dicom(path)
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that one byte can be changed
        archive.write(study / "axial" / "000.dcm", "000.dcm")
    content = bytearray(path.read_bytes())
    content[-400] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"a\.zip/000\.dcm"):
        read_dicom(path)


# --- folders


def test_names_with_blanks_and_umlauts_and_loops_of_links(tmp_path):
    folder = tmp_path / "Übergröße 1" / "Serie ä"
    write(folder, stack(VOXELS), "Bild {:d} ß")
    (folder / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(folder, target_is_directory=True)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    scan = read_dicom(tmp_path)
    np.testing.assert_array_equal(scan.volume.voxels, VOXELS)
    assert any("broken" in note for note in scan.notes)


def test_a_folder_and_a_file_without_rights_are_told(tmp_path):
    file = write(tmp_path, stack(VOXELS))[0]
    (tmp_path / "locked").mkdir()
    with closed(file), closed(tmp_path / "locked"):
        notes = read_dicom(tmp_path).notes
    assert any("locked" in note and "cannot be read" in note for note in notes)
    assert any("without the right to read it: 1" in note and "000.dcm" in note for note in notes)


def test_a_pipe_is_not_waited_for(tmp_path):
    write(tmp_path, stack(VOXELS))
    os.mkfifo(tmp_path / "pipe.dcm")
    assert read_volume(tmp_path).voxels.shape == VOXELS.shape


@pytest.mark.parametrize(
    "content", [None, b"", b"hello", bytes(128) + b"DICM", bytes(128) + b"DICM" + bytes(range(256))]
)
def test_nothing_usable_is_refused_with_a_way_out(content, tmp_path):
    if content is not None:
        (tmp_path / "a.dcm").write_bytes(content)
    assert holds_dicom(tmp_path) == (content is not None and len(content) > 128)
    for path in (tmp_path, *([tmp_path / "a.dcm"] if content else [])):
        with pytest.raises(FileError, match=r"expected DICOM images.*name the folder that holds them"):
            read_volume(path)


# --- tags that are absent or wrong


@pytest.mark.parametrize(
    ("tag", "value", "told"),
    [
        ("ImagePositionPatient", None, r"ImagePositionPatient \(0020,0032\) should be 3 numbers, found none"),
        ("ImageOrientationPatient", None, "ImageOrientationPatient .* found none"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "two perpendicular unit vectors, found 1 0 0 1 0 0"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "two perpendicular unit vectors"),
        ("PixelSpacing", None, "PixelSpacing .* should be 2 numbers"),
        ("PixelSpacing", [1, 0], "PixelSpacing .* should be millimetres above 0, found 1 0"),
        ("PixelSpacing", [1], "PixelSpacing .* should be 2 numbers"),
        ("ImagePositionPatient", [0, 0, 1e30], "ImagePositionPatient .* should be millimetres in a room"),
        ("BitsStored", 40000, "BitsStored .* should be 1 to 32, found 40000"),
    ],
)
def test_a_slice_with_a_wrong_tag_is_named_and_its_series_refused(tag, value, told, tmp_path):
    datasets = stack(VOXELS)
    if value is None:
        delattr(datasets[2], tag)
    else:
        setattr(datasets[2], tag, value)
    write(tmp_path, datasets)
    with pytest.raises(FileError, match=rf"002\.dcm: expected usable tags.*{told}.*export the series again"):
        read_dicom(tmp_path)


def test_a_screenshot_in_a_series_of_its_own_hinders_nothing(study):
    save(image(VOXELS[0], SeriesInstanceUID="1.99"), study / "POSDISP" / "a.ima")
    assert read_dicom(study).volume.voxels.shape == VOXELS.shape


def test_frames_without_positions_of_their_own_are_no_stack(tmp_path):
    save(placed(VOXELS, (0, 0, 0), NumberOfFrames=len(VOXELS)), tmp_path / "cine.dcm")
    with pytest.raises(FileError, match="several frames without a position of each"):
        read_dicom(tmp_path)


# --- patients


def two_patients(folder, **other):
    write(folder, series("1.7", 6, "first"))
    write(folder / "b", series("1.8", 5, "second", **other))


@pytest.mark.parametrize("other", [{"PatientID": "MRN-9"}, {"PatientName": "Muster^Max"}])
def test_two_patients_in_a_folder_are_refused_by_file_not_by_name(other, tmp_path):
    two_patients(tmp_path, **other)
    with pytest.raises(FileError, match=r"expected images of one patient, found 2 patients.*000\.dcm") as caught:
        read_dicom(tmp_path)
    assert not any(text in str(caught.value) for text in (*SECRETS.values(), "MRN-9", "Muster"))
    assert read_dicom(tmp_path, "1.8").volume.voxels.shape[0] == 5


def test_two_patients_in_one_series_are_refused_and_not_taken_for_repeated_slices(tmp_path):
    for name, patient in (("a", {}), ("b", {"PatientID": "MRN-9"})):
        slices = stack(VOXELS, **patient)
        for k, dataset in enumerate(slices):
            dataset.SOPInstanceUID = f"1.2.{len(name + str(patient))}.{k + 1}"
        write(tmp_path / name, slices)
    for uid in (None, "1.2.3.4"):
        with pytest.raises(FileError, match="expected images of one patient, found 2 patients"):
            read_dicom(tmp_path, uid)


def test_a_slice_that_has_lost_its_size_is_named_and_not_filled_in(tmp_path):
    slices = stack(VOXELS)
    del slices[2].Rows
    write(tmp_path, slices)
    with pytest.raises(FileError, match=r"002\.dcm: expected usable tags in all slices.*without Rows and Columns"):
        read_dicom(tmp_path)


def test_the_spelling_of_one_name_does_not_make_two_patients(tmp_path):
    two_patients(tmp_path, PatientName="GEHEIM^GRETE^^")
    assert read_dicom(tmp_path).stack.tags.series_uid == "1.7"


def test_nobody_is_named_in_results_notes_and_logs(study, caplog):
    contents = list_dicom(study)
    with caplog.at_level(logging.DEBUG):
        read_volume(study)
    scan = read_dicom(study)
    shown = json.dumps([caplog.text, contents.notes, scan.notes, repr(contents), repr(scan), repr(contents.stacks)])
    for secret in (*SECRETS.values(), "Geheim", "Grete"):
        assert secret not in shown


# --- the extra


def test_without_pydicom_the_message_says_how_to_install_it(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(FileError, match=r"pip install 'regforest\[dicom\]'"):
        read_volume(study)


def test_ct_and_mr_are_told_apart(tmp_path):
    write(tmp_path / "a", series("1.7", 6, "mr"))
    write(tmp_path / "b", series("1.8", 3, "ct", Modality="CT", SOPClassUID=CT))
    assert read_dicom(tmp_path, prefer=("ct",)).stack.words == ("ct", "axial")
