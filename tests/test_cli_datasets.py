"""The commands on the field's data sets: what is suspicious, masks judged as the challenge does, its container."""

import csv
import json
import shutil

import numpy as np
import pytest

from regforest.cli import main
from regforest.datasets.disc_masks import DISC_NAMES
from regforest.datasets.ivdm3seg import write_ivdm3seg_case
from regforest.datasets.terms import IVDM3SEG, SPINE_CT
from regforest.io import read_volume, write_label_image, write_volume
from regforest.spatial import Grid, Landmarks, Localization, Volume
from tests.datasets.spine_ct_layouts import write_lml, write_original, write_sheet
from tests.datasets.test_ivdm3seg import CHANNELS, GRID, discs, scan, write_folders, write_old

NAMES = dict(enumerate(DISC_NAMES, start=1))


def run(*arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("REGFOREST_CACHE", str(tmp_path_factory.mktemp("cache")))


# --- inspect


@pytest.fixture
def spines(tmp_path):
    """One clean scan, one with a gap, one without annotation; and the sheet."""
    write_original(tmp_path, "patient1", "100")
    write_lml(tmp_path, "200\tL1\t30\t30\t130", "220\tL3\t30\t44\t63")
    write_original(tmp_path, "patient2", "222", points=None)
    write_sheet(tmp_path / "UWSpineCT-meta-data.xlsx", ("title",), ("Scan ID", "Finding"), (111, "fracture of L2"))
    return tmp_path


def test_what_is_suspicious_is_exported_with_the_ids_of_the_scans(spines, tmp_path, capsys):
    table = tmp_path / "remarks" / "suspicious.csv"
    assert run("inspect", spines, "--export", table) == 1
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["patient"]) for row in rows] == [("111", "patient1"), ("222", "")]
    assert rows[0]["remark"] == "no L2 between L1 and L3"
    assert "222.lml" in rows[1]["remark"]
    assert "2 remarks on 2 of 3 cases" in capsys.readouterr().err


def test_inspect_shows_the_facts_of_the_sheet_and_the_terms(spines, capsys):
    run("inspect", spines)
    shown = capsys.readouterr().out
    assert "Finding: fracture of L2" in shown
    assert SPINE_CT.terms in shown
    run("inspect", spines, "--json")
    content = json.loads(capsys.readouterr().out)
    assert {row["case"]: row["info"] for row in content["cases"]} == {"100": {}, "111": {"Finding": "fracture of L2"}}


def test_a_single_file_has_nothing_to_export(spines, capsys):
    assert run("inspect", spines / "patient1" / "111" / "111.lml", "--export", spines / "a.csv") == 2
    assert "folder of a data set" in capsys.readouterr().err


def test_training_shows_the_terms_once(tmp_path, capsys, monkeypatch):
    write_folders(tmp_path / "data", "01", ".nii")

    class Fake:
        def __init__(self, seed):
            pass

        def prepare(self, scan, max_memory_mb):
            return scan

        def fit(self, records, progress, n_jobs, max_memory_mb):
            return self

        def save(self, path):
            pass

    monkeypatch.setattr("regforest.discs.DiscLocalizer", Fake)
    for times in (1, 0):
        assert run("train", "discs", "--data", tmp_path / "data", "-o", tmp_path / "m.rfm") == 0
        assert capsys.readouterr().err.count(IVDM3SEG.terms) == times


# --- evaluate


def evaluated(capsys, found, truth):
    status = run("evaluate", "--predicted", found, "--reference", truth, "--json")
    captured = capsys.readouterr()
    return status, json.loads(captured.out), captured.err


@pytest.mark.parametrize("write", [lambda root, name: write_folders(root, name, ".nii.gz"), write_old])
def test_a_binary_result_is_divided_among_the_discs_of_a_dixon_data_set(tmp_path, capsys, write):
    (tmp_path / "truth").mkdir()
    write(tmp_path / "truth", "A1")
    mask = (discs() > 0).astype(np.uint8)
    mask[discs() == 7] = 0  # L5/S1 was not found
    mask[:, :, 3] = 0  # and one slice of the others
    write_volume(Volume(mask, GRID), tmp_path / "found" / "A1.nii.gz")
    status, content, _ = evaluated(capsys, tmp_path / "found", tmp_path / "truth")
    assert (status, content["cases"], content["missed"], content["annotated"]) == (0, 1, 1, 7)
    dice = content["structures"]["L1/L2"]["dice"]["mean"]
    assert dice == pytest.approx(2 * 9 / (10 + 9))
    assert content["dice"]["mean"] == pytest.approx(6 * dice / 7)
    diagonal = float(np.linalg.norm(np.multiply(GRID.size_xyz, GRID.spacing_mm)))
    assert content["structures"]["L5/S1"]["surface_mm"]["mean"] == pytest.approx(diagonal)
    assert content["structures"]["T11/T12"]["localization_mm"]["mean"] == pytest.approx(GRID.spacing_mm[0] / 2)


def test_named_results_are_judged_by_their_names(tmp_path, capsys):
    write_folders(tmp_path / "truth", "01", ".nii")
    write_label_image(Volume(discs(), GRID), NAMES, tmp_path / "found" / "01_seg.nii.gz")
    _, content, _ = evaluated(capsys, tmp_path / "found", tmp_path / "truth")
    assert content["dice"]["mean"] == 1
    shifted = {number + 1: name for number, name in NAMES.items()}
    write_label_image(Volume(discs() + (discs() > 0), GRID), shifted, tmp_path / "found" / "01_seg.nii.gz")
    _, content, _ = evaluated(capsys, tmp_path / "found", tmp_path / "truth")
    assert content["dice"]["mean"] == 1


def test_a_mask_whose_header_disagrees_is_judged_on_the_grid_of_the_images(tmp_path, capsys):
    turn = np.deg2rad(6)
    axes = GRID.direction @ [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    slanted = Grid.from_parts(GRID.shape_zyx, GRID.spacing_mm, GRID.origin_mm, axes)
    write_ivdm3seg_case(tmp_path / "truth", scan("16"), slanted)
    write_volume(Volume((discs() > 0).astype(np.uint8), GRID), tmp_path / "found" / "16.nii.gz")
    _, content, _ = evaluated(capsys, tmp_path / "found", tmp_path / "truth")
    assert content["dice"]["mean"] == 1


def test_a_reference_that_cannot_be_used_is_named_and_a_missing_result_counts(tmp_path, capsys):
    for name in ("01", "02", "03"):
        write_folders(tmp_path / "truth", name, ".nii")
    (tmp_path / "truth" / "03" / "03_Labels.nii").write_bytes(b"nothing")
    write_volume(Volume((discs() > 0).astype(np.uint8), GRID), tmp_path / "found" / "01.nii.gz")
    status, content, said = evaluated(capsys, tmp_path / "found", tmp_path / "truth")
    assert (status, content["cases"], content["missed"]) == (1, 2, 7)
    assert content["dice"]["mean"] == pytest.approx(0.5)
    assert "03_Labels.nii" in said
    assert "02: no prediction, counts as missed" in said


def test_a_binary_result_on_another_grid_fails_its_case_by_name(tmp_path, capsys):
    for name in ("01", "02"):
        write_folders(tmp_path / "truth", name, ".nii")
        write_volume(Volume((discs() > 0).astype(np.uint8), GRID), tmp_path / "found" / f"{name}.nii.gz")
    small = Volume(np.ones((4, 4, 4), np.uint8) * np.array([0, 1, 1, 0], np.uint8), Grid.from_parts((4, 4, 4)))
    write_volume(small, tmp_path / "found" / "02.nii.gz")
    status, content, said = evaluated(capsys, tmp_path / "found", tmp_path / "truth")
    assert (status, content["cases"]) == (1, 1)
    assert "02: the segmentation" in said


# --- the challenge's container


class FakeLocalizer:
    """Outlines the discs where the fat channel says so."""

    segments = True
    label_names = NAMES

    @classmethod
    def load(cls, path):
        return cls()

    def apply(self, channels, n_jobs=1):
        assert list(channels) == list(CHANNELS)
        return Localization(Landmarks({"L1/L2": (0, 0, 0)}), "ok"), Volume(discs(), channels["fat"].grid)


@pytest.fixture
def container(tmp_path, monkeypatch):
    monkeypatch.setattr("regforest.discs.DiscLocalizer", FakeLocalizer)
    write_folders(tmp_path / "data", "01", ".nii.gz")
    (tmp_path / "input").mkdir()
    for channel in CHANNELS:
        shutil.copy(tmp_path / "data" / "01" / f"01_{channel}.nii.gz", tmp_path / "input" / f"{channel}.nii.gz")
    (tmp_path / "m.rfm").write_bytes(b"model")
    return tmp_path


def test_the_container_reads_four_channels_and_writes_one_binary_mask_on_their_grid(container, capsys):
    arguments = ("ivdm3seg", container / "input", "-o", container / "output", "--model", container / "m.rfm")
    assert run(*arguments) == 0
    result = read_volume(container / "output" / "result.nii.gz")
    np.testing.assert_array_equal(result.voxels, discs() > 0)
    assert result.voxels.dtype == np.uint8
    assert result.grid.is_close(read_volume(container / "input" / "fat.nii.gz").grid)
    assert "ok: L1/L2" in capsys.readouterr().out
    shutil.copy(container / "output" / "result.nii.gz", container / "output" / "01.nii.gz")
    (container / "output" / "result.nii.gz").unlink()
    assert evaluated(capsys, container / "output", container / "data")[1]["dice"]["mean"] == 1


def test_the_container_names_what_is_missing(container, capsys, monkeypatch):
    arguments = ["ivdm3seg", container / "input", "-o", container / "output", "--model", container / "m.rfm"]
    assert run(*arguments[:-1], container / "none.rfm") == 2
    assert "none.rfm" in capsys.readouterr().err
    shutil.copy(container / "input" / "opp.nii.gz", container / "input" / "opp.nii")
    assert run(*arguments) == 3
    assert "opp.nii.gz and opp.nii, found both" in capsys.readouterr().err
    (container / "input" / "opp.nii").unlink()
    (container / "input" / "opp.nii.gz").unlink()
    assert run(*arguments) == 3
    assert "found none" in capsys.readouterr().err
    monkeypatch.setattr(FakeLocalizer, "segments", False)
    write_volume(read_volume(container / "input" / "fat.nii.gz"), container / "input" / "opp.nii.gz")
    assert run(*arguments) == 3
    assert "trained on points alone" in capsys.readouterr().err
    assert not (container / "output" / "result.nii.gz").exists()
