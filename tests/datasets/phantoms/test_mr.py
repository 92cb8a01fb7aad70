"""MR phantoms: real layouts, true labels, one seed one picture."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from regforest.datasets.disc_masks import DISC_NAMES
from regforest.datasets.ivdm3seg import open_ivdm3seg
from regforest.datasets.labelled_folder import open_labelled_folder
from regforest.datasets.phantoms import mr
from regforest.datasets.phantoms.mr import embedded_mr, mr_phantom_scan, write_mr_phantom
from regforest.errors import UsageError
from regforest.spatial import AnnotatedScan


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def dixon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dixon")
    write_mr_phantom(root, 4, 5, jobs=2)
    return root


@pytest.fixture(scope="module")
def scans(dixon: Path) -> list[AnnotatedScan]:
    return [case.load() for case in open_ivdm3seg(dixon).cases]


def test_files_are_those_of_the_real_data_set(dixon: Path) -> None:
    expected = {
        f"{n}/{n}_{what}.nii" for n in ("01", "02", "03", "04") for what in ("fat", "inn", "opp", "wat", "Labels")
    }
    assert set(digest(dixon)) == expected | {"patients.csv", "phantom.json"}
    image, mask = (nibabel.load(dixon / f"01/01_{what}.nii") for what in ("wat", "Labels"))
    assert image.shape == mask.shape == (36, 256, 256)
    np.testing.assert_allclose(image.header.get_zooms(), (2.0, 1.25, 1.25), atol=1e-5)
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 1}
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "I")
    turned = image.affine[:3, :3] / image.header.get_zooms()
    assert 0.001 < np.abs(turned - np.diag([-1, -1, -1])).max() < 0.15  # slightly oblique


def test_the_same_seed_gives_the_same_files_whatever_the_jobs(dixon: Path, tmp_path: Path) -> None:
    write_mr_phantom(tmp_path, 2, 5, jobs=1)  # the two stages of the first patient, which are 01 and 03 of four
    expected = digest(dixon)
    for what in ("fat", "inn", "opp", "wat", "Labels"):
        assert digest(tmp_path)[f"01/01_{what}.nii"] == expected[f"01/01_{what}.nii"]
        assert digest(tmp_path)[f"02/02_{what}.nii"] == expected[f"03/03_{what}.nii"]


def test_another_seed_gives_another_person(dixon: Path) -> None:
    first = json.loads((dixon / "phantom.json").read_text())["scans"]["01"]["discs"]
    second = mr_phantom_scan(6, 0)[1]
    assert abs(first["L3/L4"]["volume_cm3"] / second["L3/L4"]["volume_cm3"] - 1) > 0.01


def test_stages_are_of_one_patient_and_alike_but_not_the_same(dixon: Path) -> None:
    dataset = open_ivdm3seg(dixon)
    assert [case.patient for case in dataset.cases] == ["P01", "P02", "P01", "P02"]
    truth = json.loads((dixon / "phantom.json").read_text())["scans"]
    volumes = np.array([[truth[n]["discs"][d]["volume_cm3"] for d in DISC_NAMES] for n in ("01", "02", "03", "04")])
    growth = volumes[2:] / volumes[:2]
    assert (growth > 0.99).all()
    assert (growth < 1.2).all()
    assert growth.mean() > 1.01
    assert truth["01"]["stage"] == 1
    assert truth["03"]["stage"] == 2


def test_patients_can_be_recognised_without_the_table(dixon: Path, tmp_path: Path) -> None:
    for path in dixon.iterdir():
        if path.is_dir():
            (tmp_path / path.name).symlink_to(path)
    patients = [case.patient for case in open_ivdm3seg(tmp_path).cases]
    assert patients == ["01+03", "02+04", "01+03", "02+04"]


def test_labels_lie_where_the_truth_says(dixon: Path, scans: list[AnnotatedScan]) -> None:
    truth = json.loads((dixon / "phantom.json").read_text())["scans"]
    for scan in scans:
        discs = truth[scan.name]["discs"]
        assert list(scan.landmarks) == list(DISC_NAMES) == sorted(discs, key=DISC_NAMES.index)
        apart = [np.linalg.norm(scan.landmarks[name] - discs[name]["centre"]) for name in DISC_NAMES]
        assert np.mean(apart) < 0.6
        assert max(apart) < 1.5
        voxel_cm3 = np.prod(scan.labels.grid.spacing_mm) / 1000
        drawn = [scan.mask(name).sum() * voxel_cm3 for name in DISC_NAMES]
        true = [discs[name]["volume_cm3"] for name in DISC_NAMES]
        np.testing.assert_allclose(drawn, true, rtol=0.25)  # drawn by hand, each a little too large or too small
        assert sum(drawn) == pytest.approx(sum(true), rel=0.06)


def test_discs_come_one_below_the_other_at_usual_distances(scans: list[AnnotatedScan]) -> None:
    for scan in scans:
        steps = np.diff(scan.landmarks.points_lps_mm, axis=0)
        assert (steps[:, 2] < 0).all()
        assert (np.linalg.norm(steps, axis=1) > 24).all()
        assert (np.linalg.norm(steps, axis=1) < 46).all()


def _best_shift(scan: AnnotatedScan, channel: str, axis: int) -> float:
    """Shift in voxels of the mask that fits the image's edges best, by a parabola through three correlations.

    Works on gradients along one axis; knows nothing of how the phantom was painted.
    """
    mask = ndimage.gaussian_filter((scan.labels.voxels > 0).astype(float), 0.8)
    image = ndimage.gaussian_filter(scan.channels[channel].voxels.astype(float), 0.8)
    edge, slope = np.gradient(mask, axis=axis), np.gradient(image, axis=axis)
    left, middle, right = (float((np.roll(edge, shift, axis=axis) * slope).sum()) for shift in (-1, 0, 1))
    return 0.5 * (left - right) / (left - 2 * middle + right)


def test_labels_and_images_are_aligned_to_a_quarter_of_a_voxel(scans: list[AnnotatedScan]) -> None:
    # along head-foot, where every disc lies between two bodies
    for channel in ("wat", "opp", "fat"):
        shifts = [_best_shift(scan, channel, 0) for scan in scans]
        assert abs(np.mean(shifts)) < 0.25, (channel, shifts)


def test_the_alignment_check_sees_half_a_voxel(scans: list[AnnotatedScan]) -> None:
    scan = scans[0]
    voxels = ndimage.shift(scan.channels["wat"].voxels.astype(float), (0.5, 0, 0), order=1)
    moved = replace(scan, channels={"wat": replace(scan.channels["wat"], voxels=voxels)})
    assert _best_shift(moved, "wat", 0) - _best_shift(scan, "wat", 0) == pytest.approx(0.5, abs=0.12)


def test_channels_are_those_of_a_dixon_scan(scans: list[AnnotatedScan]) -> None:
    for scan in scans:
        disc = scan.labels.voxels > 0
        mean = {name: float(volume.voxels[disc].mean()) for name, volume in scan.channels.items()}
        assert mean["fat"] < 0.25 * mean["wat"]  # discs hold water
        fat, inn, opp, wat = (scan.channels[name].voxels.astype(float) for name in ("fat", "inn", "opp", "wat"))
        bright = (fat + wat > 200) & (scan.labels.voxels == 0)
        assert np.median(np.abs(fat + wat - inn)[bright]) < 3  # equal but for noise
        assert np.median(np.abs(np.abs(wat - fat) - opp)[bright]) < 8


def test_the_second_last_scan_of_sixteen_is_plain_and_the_last_has_a_slanted_mask(tmp_path: Path) -> None:
    scan, _ = mr_phantom_scan(0, 7, 1)
    for name, slanted in (("15", False), ("16", True)):
        mr._write_ivdm3seg(tmp_path, replace(scan, name=name))
        image, mask = (nibabel.load(tmp_path / name / f"{name}_{what}.nii").affine for what in ("wat", "Labels"))
        assert (np.abs(image - mask).max() > 1e-3) == slanted


@pytest.mark.parametrize(("contrast", "spacing"), [("t2", 4.4), ("t1", 4.0)])
def test_spin_echoes_have_thick_sagittal_slices(tmp_path: Path, contrast: str, spacing: float) -> None:
    seen: list[tuple[int, int]] = []
    write_mr_phantom(
        tmp_path, 1, 3, contrast=contrast, layout="labelled-folder", progress=lambda *done: seen.append(done)
    )
    assert seen == [(1, 1)]
    dataset = open_labelled_folder(tmp_path)
    (case,) = dataset.cases
    assert case.patient == "P01"
    assert not dataset.faults
    scan = case.load()
    assert list(scan.channels) == ["image"]
    assert list(scan.landmarks) == list(DISC_NAMES)
    assert scan.image.grid.spacing_mm[0] == pytest.approx(spacing, abs=1e-4)
    assert abs(_best_shift(scan, "image", 0)) < 0.5


def test_impossible_orders_are_refused_before_any_work(tmp_path: Path) -> None:
    for wrong in ({"contrast": "flair"}, {"layout": "bids"}, {"n": 0}):
        with pytest.raises(UsageError, match="expected"):
            write_mr_phantom(**{"out": tmp_path / "x", "n": 1, "seed": 0, **wrong})
    assert not (tmp_path / "x").exists()


def test_the_embedded_set_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGFOREST_CACHE", str(tmp_path))
    calls: list[int] = []
    monkeypatch.setattr(mr, "write_mr_phantom", lambda folder, n, *_, **__: calls.append(n))
    assert embedded_mr() == embedded_mr()
    assert calls == [16]
