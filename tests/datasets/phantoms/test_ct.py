"""CT phantoms: the shares of the real data set, one seed one data set, landmarks on the bodies."""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import SimpleITK as sitk

from regforest.datasets.labelled_folder import open_labelled_folder
from regforest.datasets.phantoms import ct
from regforest.datasets.phantoms.anatomy import step_statistics
from regforest.datasets.phantoms.ct import EMBEDDED_SCANS, embedded_ct, plan_tasks, write_ct_phantom
from regforest.datasets.phantoms.ct_case import describe, lay_out
from regforest.datasets.phantoms.ct_person import Person
from regforest.datasets.phantoms.ct_tissue import BONES, bone_table
from regforest.datasets.phantoms.ct_variety import varied_bone_table
from regforest.datasets.spine_ct import open_spine_ct
from regforest.errors import UsageError
from regforest.spatial import LEVELS

needs_compiled_kernels = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="imaging takes hours without them")


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def embedded_rows() -> list[dict[str, Any]]:
    """Rows of the embedded set's phantom.json, laid out but not imaged."""
    names = [str(i) for i in range(EMBEDDED_SCANS)]
    return [describe(task, lay_out(task)) for task in plan_tasks(Path(), EMBEDDED_SCANS, 0, "spine-ct", names, 128)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if numba.config.DISABLE_JIT:
        pytest.skip("imaging takes hours without compiled kernels")
    root = tmp_path_factory.mktemp("ct")
    write_ct_phantom(root, 5, 3, matrix=64, jobs=1)
    return root


def share(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([bool(row[key]) for row in rows]))


def test_the_embedded_set_has_enough_scans_and_patients(embedded_rows: list[dict[str, Any]]) -> None:
    assert len(embedded_rows) >= 40
    scans = collections.Counter(row["patient"] for row in embedded_rows)
    assert len(scans) >= 24
    assert max(scans.values()) >= 2  # longitudinal scans


def test_difficulties_occur_as_often_as_documented(embedded_rows: list[dict[str, Any]]) -> None:
    assert share(embedded_rows, "implants") == pytest.approx(0.25, abs=0.05)
    assert share(embedded_rows, "fractures") == pytest.approx(0.15, abs=0.05)
    assert np.mean([row["cobb_deg"] > 20 for row in embedded_rows]) == pytest.approx(0.25, abs=0.06)
    extra = [bool({"T13", "L6"} & set(row["levels"])) for row in embedded_rows]
    assert np.mean(extra) == pytest.approx(0.10, abs=0.05)
    assert 0.15 <= np.mean([row["contrast"] != "none" for row in embedded_rows]) <= 0.45


def test_fields_of_view_and_spacings_are_those_of_the_real_scans(embedded_rows: list[dict[str, Any]]) -> None:
    field = np.array([row["fov_mm"] for row in embedded_rows])
    narrow = field[:, 0] < 300
    assert np.mean(~narrow) == pytest.approx(0.10, abs=0.05)
    assert field[narrow, 0].min() >= 100
    assert field[narrow, 0].max() <= 236
    assert np.median(field[:, 0]) == pytest.approx(170, abs=12)
    assert np.median(field[:, 2]) == pytest.approx(258, abs=45)
    spacing = np.array([row["spacing_mm"][2] for row in embedded_rows])
    assert spacing.min() >= 0.6
    assert spacing.max() == 5.0
    values, counts = np.unique(spacing, return_counts=True)
    assert values[counts.argmax()] == 2.5


def test_views_show_the_levels_that_the_real_scans_show(embedded_rows: list[dict[str, Any]]) -> None:
    count = np.array([len(row["levels"]) for row in embedded_rows])
    assert np.median(count) == pytest.approx(11, abs=1)
    assert np.mean((count >= 5) & (count <= 15)) >= 0.7
    levels = collections.Counter(name[0] for row in embedded_rows for name in row["levels"])
    shares = {region: n / sum(levels.values()) for region, n in levels.items()}
    for region, expected in {"C": 0.23, "T": 0.47, "L": 0.22, "S": 0.08}.items():
        assert shares[region] == pytest.approx(expected, abs=0.04)


def test_levels_of_a_scan_follow_each_other_without_gaps(embedded_rows: list[dict[str, Any]]) -> None:
    for row in embedded_rows:
        usual = [name for name in LEVELS if name not in ("T13", "L6") or name == row["variant"]]
        start = usual.index(row["levels"][0])
        assert row["levels"] == usual[start : start + len(row["levels"])]


def test_scans_of_one_patient_share_the_anatomy_and_keep_their_implants() -> None:
    names = [str(i) for i in range(EMBEDDED_SCANS)]
    shots = collections.defaultdict(list)
    for task in plan_tasks(Path(), EMBEDDED_SCANS, 0, "spine-ct", names, 128):
        shots[task.patient].append(lay_out(task))
    for scans in shots.values():
        for earlier, later in itertools.pairwise(scans):
            np.testing.assert_array_equal(earlier.person.centres, later.person.centres)
            assert not earlier.implants or later.implants == earlier.implants
            assert not np.array_equal(earlier.scan.turn, later.scan.turn)


def test_annotated_steps_are_close_to_the_table() -> None:
    names = [str(i) for i in range(200)]
    lengths = collections.defaultdict(list)
    for task in plan_tasks(Path(), 200, 5, "spine-ct", names, 64):
        landmarks = lay_out(task).landmarks
        for upper, lower in itertools.pairwise(landmarks.names):
            lengths[upper, lower].append(np.linalg.norm(landmarks[lower] - landmarks[upper]))
    table = step_statistics("A")
    checked = 0
    for pair, seen in lengths.items():
        if pair in table and len(seen) >= 25:
            checked += 1
            expected = np.linalg.norm(table[pair].mean_mm)
            assert np.mean(seen) == pytest.approx(expected, rel=0.08), pair
    assert checked >= 20


def test_landmarks_lie_on_the_bodies_whatever_the_origin(small: Path) -> None:
    """Read with ITK and by hand: a body is brighter than the canal behind it and the tissue in front of it."""
    on_body, behind = [], []
    for row in json.loads((small / "phantom.json").read_text())["scans"]:
        stem = small / row["patient"] / row["scan"] / row["scan"]
        image = sitk.ReadImage(f"{stem}.mhd")
        assert np.abs(image.GetOrigin()).max() > 1  # the header's offset must not matter
        voxels, spacing = sitk.GetArrayFromImage(image), np.array(image.GetSpacing())
        for line in Path(f"{stem}.lml").read_text().splitlines()[1:]:
            _, name, *place = line.split("\t")
            x, y, z = np.rint(np.array(place, float) / spacing).astype(int)
            assert max(abs(np.array([x, y, z]) * 2 + 1 - image.GetSize()) - image.GetSize()) < 0
            canal = voxels[z, y + round(9 / spacing[1]) : y + round(32 / spacing[1]), x]
            if name[0] in "TL" and name not in row["fractures"] + row["implants"] and len(canal):
                on_body.append(voxels[z, y - 1 : y + 2, x - 1 : x + 2].mean())
                behind.append(canal.min())
        assert row["levels"] == [line.split("\t")[1] for line in Path(f"{stem}.lml").read_text().splitlines()[1:]]
    assert len(on_body) >= 20
    assert np.mean(np.array(on_body) > np.array(behind) + 15) > 0.9
    assert 60 < np.median(on_body) < 320
    assert np.percentile(on_body, 10) > 30
    assert np.median(behind) < 60


def test_the_reader_of_the_layout_finds_scans_and_patients(small: Path) -> None:
    rows = json.loads((small / "phantom.json").read_text())["scans"]
    data = open_spine_ct(small)
    assert not data.faults
    assert {(case.name, case.patient) for case in data.cases} == {(row["scan"], row["patient"]) for row in rows}
    scan = data.cases[0].load()
    assert list(scan.landmarks) == next(row["levels"] for row in rows if row["scan"] == scan.name)


def test_the_number_of_jobs_does_not_change_a_byte(small: Path, tmp_path: Path) -> None:
    write_ct_phantom(tmp_path, 5, 3, matrix=64, jobs=2)
    assert digests(tmp_path) == digests(small)


def test_another_seed_makes_other_scans(small: Path, tmp_path: Path) -> None:
    write_ct_phantom(tmp_path, 1, 4, matrix=32)
    assert set(digests(tmp_path).values()).isdisjoint(digests(small).values())


@needs_compiled_kernels
def test_given_ids_are_used_in_the_labelled_folder_too(tmp_path: Path) -> None:
    done = []
    write_ct_phantom(
        tmp_path,
        2,
        1,
        layout="labelled-folder",
        ids=["4404", "17", "5"],
        matrix=32,
        progress=lambda *n: done.append(n),
    )
    data = open_labelled_folder(tmp_path)
    assert {case.name for case in data.cases} == {"4404", "17"}
    assert done == [(1, 2), (2, 2)]
    scan = data.cases[0].load()
    assert scan.image.grid.contains(scan.landmarks.points_lps_mm).all()


def test_values_are_those_of_ct(small: Path) -> None:
    files = list(small.rglob("*.mhd"))
    assert files
    for file in files:
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
        inside = voxels[voxels != -3024]
        assert inside.min() >= -1024
        assert 300 < inside.max() <= 3071


def test_the_embedded_set_is_made_once_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGFOREST_CACHE", str(tmp_path))
    calls = []
    monkeypatch.setattr(ct, "write_ct_phantom", lambda folder, *args, **kwargs: calls.append((args, kwargs)))
    assert embedded_ct(2) == embedded_ct()
    assert len(calls) == 1
    assert calls[0][0] == (EMBEDDED_SCANS, 0)


def test_wrong_layouts_and_too_few_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="labelled-folder"):
        write_ct_phantom(tmp_path, 1, 0, layout="dicom")
    with pytest.raises(UsageError, match="3 different scan ids"):
        write_ct_phantom(tmp_path, 3, 0, ids=["1", "2", "2"])
    with pytest.raises(UsageError, match="digits only"):
        write_ct_phantom(tmp_path, 2, 0, ids=["1", "case2"])
    with pytest.raises(UsageError, match="at least one scan"):
        write_ct_phantom(tmp_path, 0, 0)


def test_varied_patients_are_denser_and_bent_further_and_the_plan_stays() -> None:
    names = [str(i) for i in range(24)]
    usual, varied = (
        [lay_out(task) for task in plan_tasks(Path(), 24, 3, "spine-ct", names, 64, varied=v)] for v in (False, True)
    )
    density, bend = ([[f(shot.person) for shot in shots] for shots in (usual, varied)] for f in (_density, _kyphosis))
    assert np.mean(density[1]) > 1.15 * np.mean(density[0])
    assert np.mean(bend[1]) > np.mean(bend[0]) + 3
    assert [shot.person.traits.variant for shot in usual] == [shot.person.traits.variant for shot in varied]


def test_varied_endplates_and_necks_differ_more() -> None:
    shot = lay_out(plan_tasks(Path(), 1, 3, "spine-ct", ["1"], 64)[0])
    rows = {
        draw: np.array([draw(np.random.default_rng(i), shot.person) for i in range(40)])
        for draw in (bone_table, varied_bone_table)
    }
    endplate, neck = BONES.index("body"), BONES.index("neck")
    assert np.std(rows[varied_bone_table][:, endplate, 0]) > 1.3 * np.std(rows[bone_table][:, endplate, 0])
    assert np.std(rows[varied_bone_table][:, neck, 1]) > 10
    assert np.ptp(rows[bone_table][:, neck, 1]) < 1e-9


def _density(person: Person) -> float:
    return person.trabecular_hu


def _kyphosis(person: Person) -> float:
    return person.traits.kyphosis_deg
