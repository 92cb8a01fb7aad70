import json

import numpy as np
import pytest

from regforest._memory import MemoryNeed
from regforest.cli import main
from regforest.cli._inputs import cases_of, images_of
from regforest.datasets.bids import open_bids
from regforest.io import read_bids_labels, read_landmarks, read_volume, write_volume
from regforest.spatial import Grid, Landmarks, Localization, Volume

GRID = Grid.from_parts((10, 12, 14), (2, 2, 3), (-10, 20, 300))
IMAGE = Volume(np.arange(1680).reshape(GRID.shape_zyx).astype(np.int16), GRID)
FOUND = Landmarks({"L1": GRID.index_to_lps((3, 4, 5)), "L2": GRID.index_to_lps((3, 5, 2))})


class FakeLocalizer:
    label_names = {1: "L1/L2"}  # noqa: RUF012

    @classmethod
    def load(cls, path):
        return cls()

    def localize(self, image, anchor=None, n_jobs=1, max_memory_mb=None):
        return Localization(FOUND, "ok", "", True, {-1: 0.0, 0: 1.0, 1: 0.0}, {"L1": 1.0})

    def memory_need(self, grid, voxel_bytes, n_jobs=1):
        return MemoryNeed()

    def apply(self, image, anchor=None, n_jobs=1, max_memory_mb=None):
        return self.localize(image), Volume(np.ones(GRID.shape_zyx, np.uint8), GRID)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("regforest.vertebrae.VertebraLocalizer", FakeLocalizer)
    monkeypatch.setattr("regforest.discs.DiscLocalizer", FakeLocalizer)
    folder = tmp_path / "study"
    for name in (
        "sub-1/anat/sub-1_T2w.nii.gz",
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-2/ses-b/ct/sub-2_ses-b_ct.nii.gz",
    ):
        write_volume(IMAGE, folder / name)
    (folder / "dataset_description.json").write_text('{"Name": "Study", "BIDSVersion": "1.10.0"}')
    (tmp_path / "model.rfm").write_text("model")
    return folder


def run(*arguments):
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return left.code


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_label_writes_a_derivative_for_the_ct_images(root):
    out = root / "derivatives" / "regforest"
    assert run("label", root, "-o", out, "--model", root.parent / "model.rfm") == 0
    stem = "sub-2/ses-b/ct/sub-2_ses-b_desc-ct_ctd"
    assert files(out) == [".bidsignore", ".journal.jsonl", "dataset_description.json",
                          f"{stem}.json", f"{stem}.lml", f"{stem}.mrk.json"]  # fmt: skip
    assert read_landmarks(out / f"{stem}.mrk.json").names == FOUND.names
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "regforest"
    assert description["SourceDatasets"] == [{"URL": "../.."}]
    assert all(case.annotation_file is None for case in open_bids(root).cases)


def test_discs_writes_segmentations_with_the_table_of_bids(root):
    out = root / "derivatives" / "regforest"
    arguments = ("discs", root, "-o", out, "--segment", "--model", root.parent / "model.rfm")
    assert run(*arguments) == 0
    stem = out / "sub-1" / "anat" / "sub-1_desc-T2w_dseg"
    assert read_bids_labels(f"{stem}.tsv") == {1: "L1/L2"}
    assert read_volume(f"{stem}.nii.gz").grid == read_volume(root / "sub-1/anat/sub-1_T2w.nii.gz").grid
    before = files(out)
    assert run(*arguments) == 2
    assert run(*arguments, "--resume") == 0
    assert files(out) == before


def test_which_images_a_bids_folder_stands_for(root):
    assert [case.files["image"].name for case in images_of([root])] == ["sub-2_ses-b_ct.nii.gz"]
    assert [case.files["image"].name for case in cases_of([root])] == ["sub-1_T2w.nii.gz"]
    single = root / "sub-1/anat/sub-1_T1w.nii.gz"
    assert [case.stem for case in images_of([single])] == ["sub-1_T1w"]


def test_a_bids_folder_without_fitting_images_or_with_doubles_is_refused(root, capsys):
    write_volume(IMAGE, root / "sub-1/anat/sub-1_T2w.nii")
    assert run("discs", root, "-o", root / "out", "--model", root.parent / "model.rfm") == 3
    assert "sub-1_T2w.nii and" in capsys.readouterr().err
    (root / "sub-2/ses-b/ct/sub-2_ses-b_ct.nii.gz").unlink()
    assert run("label", root, "-o", root / "out", "--model", root.parent / "model.rfm") == 3
    assert "images with the suffix CT or ct, found T1w, T2w" in capsys.readouterr().err
    assert not (root / "out").exists()


def test_inspect_shows_images_that_nobody_annotated(root, capsys):
    assert run("inspect", root, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert [row["patient"] for row in content["cases"]] == ["sub-1", "sub-1", "sub-2"]
    assert content["failed"] == {}
