"""The DICOM phantom: the real tree, true images, and the faults it promises."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from regforest.datasets.phantoms.lumbar_dicom import write_lumbar_phantom
from regforest.datasets.phantoms.mr import mr_phantom_scan
from regforest.errors import UsageError
from regforest.io.dicom import read_dicom


def headers(folder):
    return [dcmread(path) for path in sorted(folder.glob("*.ima"))]


@pytest.fixture
def series(lumbar_tree):
    """Folder of a series by patient and the beginning of its name."""

    def find(patient, name):
        (found,) = lumbar_tree.glob(f"01_MRI_Data/{patient}/L-SPINE*/{name}*")
        return found

    return find


def test_the_tree_is_that_of_the_real_data_set(lumbar_tree):
    root = lumbar_tree / "01_MRI_Data"
    assert [folder.name for folder in sorted(root.iterdir())] == ["0001", "0002"]
    names = [folder.name.rpartition("_")[0] for folder in sorted(root.glob("0001/*/*"))]
    kinds = ["LOCALIZER", "POSDISP_4_T2_TSE_TRA_320", *(f"T{t}_TSE_{p}_320" for t in (1, 2) for p in ("SAG", "TRA"))]
    assert names == kinds
    assert all(path.suffix == ".ima" for path in root.rglob("*") if path.is_file())


def test_the_same_seed_gives_the_same_files(lumbar_tree, tmp_path):
    write_lumbar_phantom(tmp_path, 1, 3)
    ours, theirs = (
        {path.relative_to(root): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.ima")}
        for root in (tmp_path, lumbar_tree)
    )
    assert ours.items() <= theirs.items()


@pytest.mark.parametrize("patient", ["0001", "0002"])
def test_the_sagittal_t2_is_the_phantom_on_its_own_grid(patient, series):
    volume = read_dicom(series(patient, "T2_TSE_SAG")).volume
    truth = mr_phantom_scan(3, int(patient) - 1, 0, "t2")[0].image
    back = volume.resampled(truth.grid).voxels
    np.testing.assert_allclose(back, truth.voxels, atol=0.5)


def test_axial_blocks_go_through_the_discs(lumbar_tree, series):
    discs = json.loads((lumbar_tree / "phantom.json").read_text())["scans"]["0001"]["discs"]
    normals = {tuple(np.round(np.cross(*np.reshape(list(map(float, header.ImageOrientationPatient)), (2, 3))), 4))
               for header in headers(series("0001", "T2_TSE_TRA"))}  # fmt: skip
    assert len(normals) == 3
    for header in headers(series("0001", "T2_TSE_TRA")):
        axes = np.reshape(list(map(float, header.ImageOrientationPatient)), (2, 3))
        away = [
            abs((np.array(discs[name]["centre"]) - list(map(float, header.ImagePositionPatient))) @ np.cross(*axes))
            for name in ("L3/L4", "L4/L5", "L5/S1")
        ]
        assert min(away) <= 1.5 * 4.4 + 1e-3


def test_the_faults_are_there(series):
    t1 = headers(series("0001", "T1_TSE_SAG"))
    assert {(header.Rows, header.Columns) for header in t1} == {(320, 320), (310, 320)}
    assert len({tuple(round(float(x), 3) for x in header.ImageOrientationPatient) for header in t1}) == 2
    identifiers = [header.SOPInstanceUID for header in headers(series("0001", "T2_TSE_SAG"))]
    assert len(identifiers) == 18
    assert len(set(identifiers)) == 17
    places = [float(header.ImagePositionPatient[0]) for header in headers(series("0001", "T2_TSE_SAG"))]
    assert places not in (sorted(places), sorted(places)[::-1])
    assert "ImagePositionPatient" not in headers(series("0001", "POSDISP"))[0]
    odd = headers(series("0002", "T2_TSE_SAG"))[0]
    assert odd.file_meta.TransferSyntaxUID == RLELossless
    assert odd.SOPClassUID.name == "Enhanced MR Image Storage"
    assert "SharedFunctionalGroupsSequence" not in odd
    assert odd.PatientPosition == "FFS"


def test_nobody_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least 1"):
        write_lumbar_phantom(tmp_path, 0, 0)
