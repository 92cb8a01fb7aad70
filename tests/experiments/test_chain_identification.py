from __future__ import annotations

import csv
import gzip
import itertools
import json
import re

import numpy as np
import pytest

from experiments import chain_identification as experiment
from experiments.chain_files import ChainScan
from experiments.chain_verdict import calibration_error, floor_naming, judge, summarise
from regforest.spatial import PAPER_LEVELS, Landmarks
from regforest.vertebrae.chain_context import RegionDetections
from regforest.vertebrae.chain_prior import ARCS, default_chain_prior
from regforest.vertebrae.identification import Identification

PRIOR = default_chain_prior()


def write_pair(folder, count, seed):
    """Write truth and detections of some scans, two to a patient, with sharp scores and some bodies missed."""
    rng = np.random.default_rng(seed)
    truth, detections = folder / f"truth{seed}.csv", folder / f"detections{seed}.csv"
    with truth.open("w", newline="") as t, detections.open("w", newline="") as d:
        bodies, marks = csv.writer(t), csv.writer(d)
        bodies.writerow(["scan", "patient", "level", "x", "y", "z"])
        regions = [f"score_{region}" for region in ("cervical", "thoracic", "lumbar")]
        marks.writerow(["scan", "patient", "x", "y", "z", *regions])
        for k in range(count):
            names = PAPER_LEVELS[PAPER_LEVELS.index("T8") + k % 3 : PAPER_LEVELS.index("L5") + 1]
            place = rng.normal(0, 100, 3)
            for i, name in enumerate(names):
                if i:
                    place = place + PRIOR.step_mean_mm[ARCS.index((names[i - 1], name))] + rng.normal(0, 1, 3)
                bodies.writerow([f"s{seed}_{k}", f"p{seed}_{k // 2}", name, *place])
                if rng.random() > 0.03:
                    scores = [0.97 if name[0] == region else 0.03 for region in "CTL"]
                    marks.writerow([f"s{seed}_{k}", f"p{seed}_{k // 2}", *(place + rng.normal(0, 1, 3)), *scores])
    return ["--truth", str(truth), "--detections", str(detections)]


def test_folds_by_patient_leave_the_files_of_the_contract(tmp_path, capsys):
    out = tmp_path / "out"
    assert experiment.main([*write_pair(tmp_path, 30, 1), "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads(capsys.readouterr().out)
    assert {"bodies_right", "scans_right", "calibration_error", "alternative_holds_truth"} <= summary.keys()
    assert summary["scans"] == 30
    assert summary["bodies_right"] > 0.9
    assert set(summary["baseline"]) == {"bodies_right", "scans_right"}
    assert len((out / "per_case.csv").read_text().splitlines()) == 31


def test_a_held_pair_is_judged_by_the_fit_to_the_first(tmp_path):
    held = [f"--held-{a[2:]}" if a.startswith("--") else a for a in write_pair(tmp_path, 6, 2)]
    out = tmp_path / "out"
    assert experiment.main([*write_pair(tmp_path, 20, 1), *held, "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["scans"], summary["design"]) == (6, "held")


def test_files_that_cannot_be_used_end_with_3_and_their_name(tmp_path, capsys):
    arguments = write_pair(tmp_path, 12, 1)
    (tmp_path / "bad.csv").write_text("scan,patient\n1,2\n")
    assert experiment.main([*arguments[:2], "--detections", str(tmp_path / "bad.csv")]) == 3
    assert "bad.csv" in capsys.readouterr().err
    assert experiment.main([*arguments[:2], "--detections", str(tmp_path / "absent.csv")]) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"scan,patient,level,x,y,z\n1,2,L1\n",
        b"scan,patient,level,x,y,z\n1,2,L1,1,2," + b"3" * 200_000,
        gzip.compress(b"scan,patient,level,x,y,z\n" * 99, mtime=0)[:-20] + bytes(20),
    ],
    ids=["short row", "long field", "damaged gzip"],
)
def test_a_damaged_table_ends_with_3_and_its_name(tmp_path, capsys, content):
    path = tmp_path / ("bad.csv.gz" if content[:2] == b"\x1f\x8b" else "bad.csv")
    path.write_bytes(content)
    words = write_pair(tmp_path, 12, 1)
    assert experiment.main(["--truth", str(path), *words[2:]]) == 3
    assert "bad.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("L1,", "Q1,", "name of a level.*'Q1'"), ("L1,", "L2,", "once.*L2 again"), ("L1,", "L1,nan", "numbers in x, y")],
)
def test_a_bad_row_is_named_with_its_file_and_scan(tmp_path, capsys, old, new, said):
    pair = write_pair(tmp_path, 12, 0)
    truth = tmp_path / "truth0.csv"
    truth.write_text(truth.read_text().replace(old, new, 1))
    assert experiment.main([*pair, "--out", str(tmp_path / "out")]) == 3
    error = capsys.readouterr().err
    assert re.search(f"truth0.csv: expected .*{said}", error)
    assert "scan s0_" in error


def test_an_output_place_that_is_a_file_is_wrong_usage_before_any_work(tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert experiment.main([*write_pair(tmp_path, 12, 0), "--out", str(tmp_path / "out")]) == 2
    assert "is a file; choose another --out" in capsys.readouterr().err


def test_too_few_patients_for_the_folds_is_wrong_usage(tmp_path):
    assert experiment.main([*write_pair(tmp_path, 4, 1), "--out", str(tmp_path / "out")]) == 2


def test_half_a_held_pair_is_wrong_usage(tmp_path):
    with pytest.raises(SystemExit, match="2"):
        experiment.main([*write_pair(tmp_path, 12, 1), "--held-truth", "x.csv"])


def test_patients_stay_in_one_fold_and_folds_are_equal():
    nothing = RegionDetections(np.empty((0, 3)), np.empty((0, 3)))
    scans = [ChainScan(f"s{k}", f"p{k % 20}", Landmarks({"L1": (0, 0, 0)}), nothing) for k in range(60)]
    folds = experiment.fold_of_patient(scans)
    assert sorted(np.bincount(list(folds.values()))) == [4] * 5


def hand_made():
    truth = Landmarks({"L1": (0, 0, 0), "L2": (0, 0, -33), "L3": (0, 0, -66)})
    points = np.array([[0, 0, -34.0], [0, 2, 1], [90, 0, 0]])  # L2, L1, a false one; L3 was missed
    return ChainScan("s", "p", truth, RegionDetections(points, np.full((3, 3), 0.5)))


def test_the_verdict_on_a_hand_made_naming():
    named = Identification(("L3", "L1", None), np.array([0.6, 0.8, 0.9]), ((("L2", "L1", "L5"), 0.3),))
    verdict = judge(hand_made(), named)
    assert (verdict.bodies, verdict.detected, verdict.right) == (3, 2, 1)
    assert verdict.disturbed
    assert verdict.alternative
    assert verdict.confidence == ((0.6, False), (0.8, True))
    summary = summarise([verdict])
    assert (summary["bodies_right"], summary["scans_right"], summary["alternative_holds_truth"]) == (0.5, 0.0, 1.0)


def test_calibration_error_of_equal_bins_by_hand():
    pairs = [(0.9, k < 8) for k in range(10)] + [(0.5, True)] * 10  # 20 pairs: bins of two
    bins = [abs(0.5 - 1)] * 5 + [abs(0.9 - r) for r in (0, 1, 1, 1, 1)]  # sorted: the wrong ones come first
    assert calibration_error(pairs) == pytest.approx(np.mean(bins))
    assert calibration_error([]) is None


def test_the_floor_takes_the_offset_that_the_scores_like_best():
    names = ["T11", "T12", "L1", "L2"]
    points = np.array([[0, 0, -30.0 * k] for k in range(4)])
    scores = np.array([[0.97 if name[0] == region else 0.03 for region in "CTL"] for name in names])
    order = [2, 0, 3, 1]
    found = floor_naming(RegionDetections(points[order], scores[order]))
    assert found == tuple(names[k] for k in order)
    assert len(list(itertools.chain(found))) == 4
