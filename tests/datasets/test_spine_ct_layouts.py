"""The Annotated Spine CT Database in all its layouts, made of phantoms and of whole lists of scans."""

import numpy as np
import pytest

from regforest.datasets import detect_layout, folds_for, open_dataset, train_and_test_for
from regforest.datasets.phantoms.ct import write_ct_phantom
from regforest.datasets.splits import read_id_list
from regforest.io import write_volume
from regforest.spatial import Grid, Volume
from tests.datasets.spine_ct_layouts import LAYOUTS, laid_out, write_sheet
from tests.datasets.test_splits import SHIPPED


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantom") / "made"
    write_ct_phantom(root, 3, seed=0, matrix=64)
    return root


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """302 scans as in the release and the challenge: real ids, images of one voxel, one vertebra each."""
    root = tmp_path_factory.mktemp("release")
    first = Volume(np.zeros((1, 1, 1), np.int16), Grid.from_parts((1, 1, 1)))
    names = ("fold1_recovered", "fold2_recovered", "extra18_not_in_miccai2013", "csi2014_test60")
    for part, name in enumerate(names):
        for number, scan in enumerate(read_id_list(SHIPPED / f"{name}.txt")):
            patient = root / f"spine-{part + 1}" / f"patient{1000 * part + number // 2:04d}" / scan
            folder = root / "spine-test-data" if name.startswith("csi") else patient
            write_volume(first, folder / f"{scan}.nii")
            (folder / f"{scan}.lml").write_text("header\n10\tC1\t0\t0\t0\n")
    write_sheet(root / "UWSpineCT-meta-data.xlsx", ("Scans",), ("Scan ID", "Note"), (2495819, "implant"))
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_phantoms_are_the_same_in_every_layout(phantom, tmp_path, layout):
    root = laid_out(phantom, tmp_path / "Wirbelsäule, neue Kopie", layout)
    assert detect_layout(root) == "spine-ct"
    made, found = open_dataset(phantom), open_dataset(root)
    assert not found.faults
    for one, other in zip(made.cases, found.cases, strict=True):
        assert one.name == other.name
        if layout != "flat":
            assert one.patient == other.patient
        here, there = one.load(), other.load()
        assert here.notes == there.notes == ()
        assert list(here.landmarks) == list(there.landmarks)
        np.testing.assert_allclose(there.landmarks.points, here.landmarks.points, atol=1e-3)
        np.testing.assert_array_equal(there.image.voxels, here.image.voxels)


def test_the_whole_release_and_the_challenges_scans_are_found_side_by_side(release):
    dataset = open_dataset(release)
    assert (len(dataset.cases), dataset.faults) == (302, ())
    assert any("a patient of its own: 60" in note for note in dataset.notes)


def test_the_challenge_trains_on_242_and_tests_60(release):
    (train, test), notes = train_and_test_for(open_dataset(release).cases, SHIPPED, seed=0)
    assert (len(train), len(test)) == (242, 60)
    assert notes == ("trained on 242 scans, tested on 60 of the 60 of csi2014_test60.txt",)


def test_two_folds_hold_224_and_what_is_left_out_is_said(release):
    (first, second), notes = folds_for(open_dataset(release).cases, SHIPPED, seed=0)
    assert (len(first), len(second)) == (112, 112)
    assert any(note.startswith("78 scans are in neither fold and left out") for note in notes)


def test_the_sheet_in_the_folder_is_read(release):
    dataset = open_dataset(release)
    assert {case.name: dict(case.info) for case in dataset.cases if case.info} == {"2495819": {"Note": "implant"}}
    assert "UWSpineCT-meta-data.xlsx: facts about 1 of 302 scans" in dataset.notes
