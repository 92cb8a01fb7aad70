"""The command line on DICOM: which series, under which name, and nobody named."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from regforest._memory import MemoryNeed
from regforest.cli import main
from regforest.io import read_landmarks, read_volume, write_landmarks
from regforest.spatial import Landmarks, Localization, Volume
from tests.io.dicom_maker import CT, SECRETS, placed, stack, write

VOXELS = np.random.default_rng(0).integers(0, 4000, (6, 8, 10)).astype(np.int16)


class FakeLocalizer:
    """Finds one level in the middle of every image."""

    label_names = {20: "L1"}  # noqa: RUF012
    channels_ = ("image",)

    @classmethod
    def load(cls, path):
        return cls()

    def localize(self, image, anchor=None, n_jobs=1, max_memory_mb=None):
        middle = image.grid.index_to_lps((np.array(image.grid.size_xyz) - 1) / 2)
        return Localization(Landmarks({"L1": middle}, {"L1": 0.5}), "ok", "", True, {0: 1.0}, {"L1": 0.9})

    def memory_need(self, grid, voxel_bytes, n_jobs=1):
        return MemoryNeed()

    def apply(self, image, anchor=None, n_jobs=1, max_memory_mb=None):
        labels = Volume(np.full(image.grid.shape_zyx, 20, np.uint8), image.grid)
        return self.localize(image), labels


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr("regforest.vertebrae.VertebraLocalizer", FakeLocalizer)
    monkeypatch.setattr("regforest.discs.DiscLocalizer", FakeLocalizer)
    path = tmp_path / "fake.rfm"
    path.write_text("model")
    return path


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "Fall 7 ö"
    write(folder / "ct", stack(VOXELS[:4], SeriesInstanceUID="1.1", Modality="CT", SOPClassUID=CT))
    write(folder / "mr", stack(VOXELS, SeriesInstanceUID="1.2", SeriesDescription="t2 axial"))
    sagittal = [placed(VOXELS[k], (3 * k, 0, 0), (0, 1, 0, 0, 0, -1), SeriesInstanceUID=f"1.{3 + t}",
                       SeriesDescription=f"t{t + 1} sag") for t in (0, 1) for k in range(3)]  # fmt: skip
    write(folder / "sag", sagittal)
    return folder


def run(*arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code


@pytest.mark.parametrize(("command", "uid"), [("label", "1.1"), ("discs", "1.4")])
def test_a_folder_is_a_case_and_the_series_that_fits_the_method_is_taken(
    command, uid, study, model, tmp_path, capsys
):
    assert run(command, study, "-o", tmp_path / "out", "--model", model) == 0
    captured = capsys.readouterr()
    assert f"took series {uid}" in captured.err
    assert captured.out == "Fall 7 ö: ok: L1\n"
    result = json.loads((tmp_path / "out" / "Fall 7 ö.json").read_text())
    assert result["series_uid"] == uid
    assert result["image"] == str(study)


def test_discs_look_for_the_contrast_that_they_learned(study, model, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeLocalizer, "channels_", ("T1",))
    assert run("discs", study, "-o", tmp_path / "out", "--model", model, "--json") == 0
    assert json.loads((tmp_path / "out" / "Fall 7 ö.json").read_text())["series_uid"] == "1.3"


def test_a_named_series_of_a_zip_is_segmented_on_its_own_grid(study, model, tmp_path):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in study.rglob("*.dcm"):
            archive.write(file, file.relative_to(study))
    assert run("discs", path, "-o", tmp_path / "out", "--model", model, "--segment", "--series-uid", "1.2") == 0
    assert read_volume(tmp_path / "out" / "export_seg.nii.gz").grid.is_close(read_volume(path, "1.2").grid)


def test_nobody_is_named_in_any_output(study, model, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("discs", study, "-o", out, "--model", model, "--segment", "--preview") == 0
    assert run("inspect", study) == run("inspect", study, "--json") == 0
    captured = capsys.readouterr()
    texts = [captured.out, captured.err, *(path.name for path in out.iterdir())]
    texts += [path.read_bytes().decode("latin-1") for path in out.iterdir()]
    for secret in (*SECRETS.values(), "Geheim", "Grete"):
        assert not any(secret in text for text in texts)


def test_a_series_can_be_named_for_one_dicom_image_only(study, model, tmp_path, capsys):
    out = ("-o", tmp_path / "out", "--model", model, "--series-uid", "1.2")
    assert run("label", study, study / "ct", *out) == 2
    nifti = tmp_path / "a.nii"
    nifti.write_bytes(b"x")
    assert run("label", nifti, *out) == 1
    assert "--series-uid is an option for DICOM" in capsys.readouterr().err


def test_inspect_lists_the_series_of_a_study(study, capsys):
    assert run("inspect", study, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert [(row["series_uid"], row["size"][2], row["kind"]) for row in content["series"]] == [
        ("1.1", 4, ["ct", "axial"]),
        ("1.2", 6, ["mr", "axial", "t2"]),
        ("1.3", 3, ["mr", "sagittal", "t1"]),
        ("1.4", 3, ["mr", "sagittal", "t2"]),
    ]
    assert run("inspect", study / "ct" / "000.dcm") == 0
    assert "10 x 8 x 1 voxels" in capsys.readouterr().out


def test_a_data_set_of_many_patients_is_inspected_by_series_and_applied_by_patient(
    model, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("REGFOREST_CACHE", str(tmp_path / "cache"))
    for patient in ("0003", "0004"):
        write(tmp_path / "data" / patient / "L-SPINE_LSS_1" / "T2_TSE_SAG_1", stack(VOXELS))
    assert run("inspect", tmp_path / "data") == 0
    assert "0004_T2_TSE_SAG_1 (0004): 10 x 8 x 6 voxels" in capsys.readouterr().out
    assert run("discs", tmp_path / "data", "-o", tmp_path / "out", "--model", model) == 0
    assert capsys.readouterr().out.splitlines() == ["0003: ok: L1", "0004: ok: L1"]


def test_a_folder_without_images_is_refused(model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run("discs", tmp_path / "empty", "-o", tmp_path / "out", "--model", model) == 3
    assert "or DICOM files, found none" in capsys.readouterr().err


def test_landmarks_are_converted_with_a_series_as_reference(study, tmp_path):
    points, lml, back = (tmp_path / name for name in ("points.csv", "points.lml", "back.csv"))
    write_landmarks(Landmarks({"L1": (1, 2, 3)}), points)
    for source, target in ((points, lml), (lml, back)):
        assert run("convert", source, target, "--reference", study, "--series-uid", "1.4") == 0
    np.testing.assert_allclose(read_landmarks(back)["L1"], (1, 2, 3), atol=1e-3)


def test_the_dicom_phantom_holds_both_contrasts(tmp_path, capsys):
    assert run("phantom", "mr", "-n", 1, "-o", tmp_path / "p", "--layout", "lumbar-mri", "--contrast", "t2") == 2
    assert "leave out --contrast" in capsys.readouterr().err
