import csv
import json
import shutil
from dataclasses import replace

import pytest

from experiments import runner
from regforest.datasets.labelled_folder import LabelledCase
from regforest.datasets.masks import centroids
from regforest.io import read_label_names, read_landmarks, read_volume, write_landmarks
from regforest.spatial import Landmarks
from tests.experiments.mean_shape import DISCS, VERTEBRAE, Log, experiment, write_data

REGION_KEYS = {
    "annotated", "predicted", "identified", "identification_rate", "median_mm", "mean_mm", "std_mm", "missed",
    "false_alarms",
}  # fmt: skip


@pytest.fixture(scope="session")
def vertebrae(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "spines")


@pytest.fixture(scope="session")
def discs(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "discs", discs=True)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def run(log, data, out, *options, pictures=False, **kinds):
    drawn = [] if pictures else ["--no-pictures"]
    return runner.run(experiment(log, data, **kinds), ["--out", str(out), "--jobs", "1", *drawn, *options])


def table(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def summary_of(out):
    content = json.loads((out / "summary.json").read_text())
    return {key: value for key, value in content.items() if key != "seconds"}


def snapshot(folder):
    return {p.relative_to(folder): (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def damaged_copy(data, tmp_path, case):
    copy = shutil.copytree(data, tmp_path / "damaged")
    image = copy / case / "image.nii.gz"
    image.write_bytes(image.read_bytes()[:200])
    return copy


def test_a_run_leaves_every_file_of_the_contract(log, vertebrae, out, capsys):
    assert run(log, vertebrae, out) == 0
    for name in ("summary.json", "per_case.csv", "per_vertebra.csv", "manifest.json", "failures.csv", "report.html"):
        assert (out / name).is_file()
    assert [row["case"] for row in table(out / "per_case.csv")] == ["p0a", "p0b", "p1a", "p1b", "p2a", "p2b"]
    assert len(table(out / "per_vertebra.csv")) == 6 * len(VERTEBRAE)
    assert (out / "failures.csv").read_text() == "case,stage,error\n"
    for case in ("p0a", "p2b"):
        image = read_volume(vertebrae / case / "image.nii.gz")
        from_lml = read_landmarks(out / "predictions" / f"{case}.lml", image.grid)
        from_slicer = read_landmarks(out / "predictions" / f"{case}.mrk.json")
        assert tuple(from_lml) == tuple(from_slicer) == VERTEBRAE
        assert abs(from_lml.points - from_slicer.points).max() < 0.01
    shown = capsys.readouterr().out
    for word in ("all", "cervical", "thoracic", "lumbar", "MICCAI 2013 *", "RF+HMM 2012 *", "not checked against it"):
        assert word in shown


def test_the_summary_has_the_keys_of_the_contract(log, vertebrae, out):
    run(log, vertebrae, out)
    summary = json.loads((out / "summary.json").read_text())
    assert {"experiment", "dataset", "cases", "seconds", "regions", "folds", "published"} <= set(summary)
    assert {"definition", "methods"} <= set(summary)
    assert (summary["experiment"], summary["cases"], summary["definition"]) == ("fake", 6, "closest-annotation")
    assert set(summary["regions"]) == {"all", "cervical", "thoracic", "lumbar", "sacral"}
    for region in summary["regions"].values():
        assert set(region) >= REGION_KEYS
    every = summary["regions"]["all"]
    assert (every["annotated"], every["identified"], every["identification_rate"]) == (24, 24, 1.0)
    low, high = every["mean_mm_interval"]
    assert low <= every["mean_mm"] <= high
    assert summary["regions"]["cervical"]["mean_mm"] is None
    assert [fold["name"] for fold in summary["folds"]] == ["1", "2"]
    assert {"name", "verified", "regions"} <= set(summary["published"][0])


def test_the_summary_of_structures_has_the_keys_of_the_contract(log, discs, out):
    assert run(log, discs, out, discs=True) == 0
    summary = json.loads((out / "summary.json").read_text())
    for part in (summary, *summary["structures"].values()):
        assert {"mean", "std", "median", "max"} <= set(part["localization_mm"])
        assert {"2mm", "4mm", "6mm"} <= set(part["found_within"])
        assert {"mean", "std", "min"} <= set(part["dice"])
        assert {"mean", "std"} <= set(part["surface_mm"]) & set(part["hausdorff_mm"])
        assert part["missed"] == 0
    assert list(summary["structures"]) == list(DISCS.values())
    rows = table(out / "per_structure.csv")
    assert len(rows) == 6 * len(DISCS)
    mean = sum(float(row["localization_mm"]) for row in rows) / len(rows)
    assert summary["localization_mm"]["mean"] == pytest.approx(mean, abs=1e-6)


def test_the_floor_is_judged_beside_the_segmentation(log, discs, out, capsys):
    run(log, discs, out, discs=True)
    summary = json.loads((out / "summary.json").read_text())
    rows = table(out / "per_structure.csv")
    by_hand = sum(float(row["floor_dice"]) for row in rows) / len(rows)  # every case has as many structures
    assert summary["floor"]["dice"]["mean"] == pytest.approx(by_hand, abs=1e-6)
    assert summary["floor"]["margin"]["dice"] == pytest.approx(summary["dice"]["mean"] - by_hand, abs=1e-6)
    gain = summary["floor"]["surface_mm"]["mean"] - summary["surface_mm"]["mean"]
    assert summary["floor"]["margin"]["surface_mm"] == pytest.approx(gain)
    assert "floor: mean mask at the found centre" in capsys.readouterr().out


def test_segmentations_lie_on_the_grid_of_the_input(log, discs, out):
    run(log, discs, out, discs=True)
    written = read_volume(out / "predictions" / "p1a.nii.gz")
    assert written.grid.is_close(read_volume(discs / "p1a" / "image.nii.gz").grid, tolerance_mm=1e-6)
    assert read_label_names(out / "predictions" / "p1a.nii.gz") == DISCS


def test_no_scan_of_a_tested_patient_is_trained_on(log, discs, out):
    run(log, discs, out, discs=True)
    assert len(log.fits) == 3
    for fold in json.loads((out / "manifest.json").read_text())["splits"]:
        assert {name[:2] for name in fold["train"]}.isdisjoint({name[:2] for name in fold["test"]})
        assert tuple(fold["train"]) in log.fits


def test_prepared_scans_are_made_once_and_shared_by_the_folds(log, discs, out, tmp_path):
    run(log, discs, out, discs=True, prepared=True)
    assert sorted(log.prepared) == ["p0a", "p0b", "p1a", "p1b", "p2a", "p2b"]
    unprepared = tmp_path / "unprepared"
    run(Log(), discs, unprepared, discs=True)
    assert summary_of(out) == summary_of(unprepared)


def test_a_second_run_prints_the_stored_result_and_computes_nothing(log, vertebrae, out, capsys):
    run(log, vertebrae, out)
    first, before, applied = capsys.readouterr().out, snapshot(out), len(log.applied)
    assert run(log, vertebrae, out) == 0
    second = capsys.readouterr().out
    assert first.split("results in")[0].strip() in second
    assert snapshot(out) == before
    assert len(log.applied) == applied


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--seed", "1"], "seed: 0 there, 1 now"),
        (["--definition", "closest-prediction"], "definition"),
        (["--set", "trees=9"], "settings.mean.trees: 3 there, 9 now"),
        (["--limit", "4"], "splits"),
    ],
)
def test_a_folder_of_other_settings_is_refused_and_left_alone(log, vertebrae, out, capsys, options, difference):
    run(log, vertebrae, out)
    before = snapshot(out)
    assert run(log, vertebrae, out, *options) == 2
    assert difference in capsys.readouterr().err
    assert snapshot(out) == before


def test_pictures_are_not_left_behind_when_the_same_run_is_asked_for_without(log, vertebrae, out):
    run(log, vertebrae, out, "--limit", "2", pictures=True)
    assert run(log, vertebrae, out, "--limit", "2") == 2


def test_a_folder_of_other_data_is_refused(log, vertebrae, out, tmp_path):
    run(log, vertebrae, out)
    moved = shutil.copytree(vertebrae, tmp_path / "spines")
    assert run(log, moved, out) == 0  # a copy is the same data
    (moved / "p0a" / "landmarks.json").write_text(
        (moved / "p0a" / "landmarks.json").read_text().replace("T11", "T10")
    )
    assert run(log, moved, out) == 2


def test_a_folder_of_something_else_is_refused_and_left_alone(log, vertebrae, out, capsys):
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    assert run(log, vertebrae, out) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["thesis.txt"]


def test_an_interrupted_run_needs_resume_and_ends_like_an_unbroken_one(log, vertebrae, out, tmp_path, capsys):
    log.stop_after = 4
    assert run(log, vertebrae, out) == 130
    assert "--resume" in capsys.readouterr().err
    before = snapshot(out)
    assert run(log, vertebrae, out) == 2
    assert "--resume" in capsys.readouterr().err
    assert snapshot(out) == before
    log.stop_after = None
    assert run(log, vertebrae, out, "--resume") == 0
    assert len(log.applied) == 6
    run(Log(), vertebrae, tmp_path / "unbroken")
    assert summary_of(out) == summary_of(tmp_path / "unbroken")


def test_a_case_file_that_was_cut_short_is_computed_again(log, vertebrae, out):
    log.stop_after = 4
    run(log, vertebrae, out)
    (out / "cases" / "p0a.json").write_text('{"case": "p0a", ')
    log.stop_after = None
    assert run(log, vertebrae, out, "--resume") == 0
    assert log.applied.count("p0a") == 2


def test_one_bad_case_is_named_and_the_others_are_reported(log, vertebrae, out, tmp_path, capsys):
    data = damaged_copy(vertebrae, tmp_path, "p1a")
    assert run(log, data, out) == 1
    [failure] = table(out / "failures.csv")
    assert (failure["case"], failure["stage"]) == ("p1a", "load")
    assert str(data / "p1a" / "image.nii.gz") in failure["error"]
    assert json.loads((out / "summary.json").read_text())["cases"] == 5
    assert [row["case"] for row in table(out / "per_case.csv")] == ["p0a", "p0b", "p1b", "p2a", "p2b"]
    assert "p1a" in capsys.readouterr().err


def test_failed_cases_are_tried_again_with_resume(log, vertebrae, out, tmp_path):
    data = damaged_copy(vertebrae, tmp_path, "p1a")
    run(log, data, out)
    assert run(log, data, out) == 0  # finished: the stored result
    assert run(log, data, out, "--resume") == 1
    assert len(table(out / "failures.csv")) == 1


def test_a_case_without_annotation_is_named(log, vertebrae, out, tmp_path):
    data = shutil.copytree(vertebrae, tmp_path / "spines")
    (data / "p2b" / "landmarks.json").unlink()
    assert run(log, data, out) == 1
    assert [row["case"] for row in table(out / "failures.csv")] == ["p2b"]


def test_a_fold_that_cannot_be_learned_fails_with_its_cases_only(log, vertebrae, out):
    log.fail_fit_on = "p0a"
    assert run(log, vertebrae, out) == 1
    failures = table(out / "failures.csv")
    assert [(f["case"], f["stage"]) for f in failures] == [("p1b", "fit"), ("p2a", "fit"), ("p2b", "fit")]
    assert failures[0]["error"] == "ValueError: cannot learn from this"
    assert json.loads((out / "summary.json").read_text())["cases"] == 3


def test_a_missing_folder_ends_with_3_before_any_work(log, vertebrae, out, tmp_path, capsys):
    assert run(log, vertebrae, out, "--data", str(tmp_path / "nowhere")) == 3
    assert "nowhere" in capsys.readouterr().err
    assert not out.exists()


def test_data_of_which_nothing_can_be_used_end_with_3(log, vertebrae, out, tmp_path, capsys):
    data = shutil.copytree(vertebrae, tmp_path / "spines")
    for image in data.glob("*/image.nii.gz"):
        image.write_bytes(b"nothing")
    assert run(log, data, out) == 3
    assert "failures.csv" in capsys.readouterr().err
    assert len({row["case"] for row in table(out / "failures.csv")}) == 6


def test_a_single_patient_cannot_be_left_out(log, out, tmp_path, capsys):
    data = write_data(tmp_path / "one", discs=True, patients=1)
    assert run(log, data, out, discs=True) == 3
    assert "two patients" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "tree=5"], "did you mean 'trees'?"),
        (["--set", "inner.radius=5"], "did you mean 'inner.radius_mm'?"),
        (["--set", "trees=many"], "expected int, got 'many'"),
        (["--method", "later"], "comes later"),
        (["--limit", "1"], "at least 2"),
        (["--channels", "fat"], "no scan has the channels fat"),
    ],
)
def test_wrong_usage_ends_with_2_before_any_work(log, vertebrae, out, capsys, options, message):
    assert run(log, vertebrae, out, *options) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-memory", "much"], "such as 2GB"),
        (["--method", "men"], "did you mean 'mean'?"),
        (["--set", "trees"], "KEY=VALUE"),
        (["--jobs", "0"], "from 1 up"),
        (["--definition", "nearest"], "invalid choice"),
    ],
)
def test_options_that_make_no_sense_end_with_2(log, vertebrae, out, capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        run(log, vertebrae, out, *options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("kind", [False, True])
def test_numbers_do_not_depend_on_the_number_of_jobs(log, vertebrae, discs, tmp_path, kind):
    data = discs if kind else vertebrae
    for jobs in "15":
        run(log, data, tmp_path / jobs, "--jobs", jobs, discs=kind)
    assert summary_of(tmp_path / "1") == summary_of(tmp_path / "5")
    for name in ("p0a", "p2b"):
        landmarks = (tmp_path / "1" / "predictions" / f"{name}.lml").read_bytes()
        assert landmarks == (tmp_path / "5" / "predictions" / f"{name}.lml").read_bytes()


def test_settings_are_overridden_and_recorded(log, vertebrae, out):
    assert run(log, vertebrae, out, "--set", "shift_mm=12", "--set", "range_mm=(3, 4.5)", "--set", "mode=none") == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["mean"] == {
        "trees": 3, "shift_mm": 12.0, "mode": "none", "range_mm": [3, 4.5], "inner": {"radius_mm": 4.0}
    }  # fmt: skip
    assert json.loads((out / "summary.json").read_text())["regions"]["all"]["mean_mm"] > 11


def test_the_manifest_says_what_the_result_was_made_from(log, vertebrae, out):
    run(log, vertebrae, out, "--seed", "7")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["seed"] == 7
    assert manifest["finished"] is True
    assert {"regforest", "numpy", "numba", "python"} <= set(manifest["versions"])
    assert "--seed" in manifest["command"]
    assert len(manifest["data"]["fingerprint"]) == 32
    assert {"data", "mean: fit", "mean: apply", "report"} <= set(manifest["stages"])
    assert all({"seconds", "peak_memory_mb"} <= set(stage) for stage in manifest["stages"].values())


def test_quick_takes_small_settings_and_few_cases(log, vertebrae, out):
    assert run(log, vertebrae, out, "--quick") == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["mean"]["trees"] == 1
    assert [len(fold["test"]) for fold in manifest["splits"]] == [2, 2]


def test_other_methods_get_their_own_predictions_and_columns(log, vertebrae, out, capsys):
    assert run(log, vertebrae, out, "--method", "mean,shifted") == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["method"] == "mean"
    assert list(summary["methods"]) == ["shifted"]
    assert summary["methods"]["shifted"]["regions"]["all"]["mean_mm"] > summary["regions"]["all"]["mean_mm"] + 20
    assert (out / "predictions" / "shifted" / "p0a.lml").is_file()
    assert "shifted" in capsys.readouterr().out


def test_every_method_has_its_folds_its_misses_and_its_spread_of_errors(log, vertebrae, out, capsys):
    assert run(log, vertebrae, out, "--method", "mean,shifted") == 0
    summary = json.loads((out / "summary.json").read_text())
    for part in (summary, summary["methods"]["shifted"]):
        every = part["regions"]["all"]
        assert [fold["name"] for fold in part["folds"]] == ["1", "2"]
        for key in ("annotated", "identified", "missed", "false_alarms"):
            assert sum(fold["regions"]["all"][key] for fold in part["folds"]) == every[key]
        histogram = part["error_histogram"]
        assert sum(histogram["counts"]) + histogram["beyond"] == every["annotated"] - every["missed"]
    assert sum(summary["error_histogram"]["counts"][:5]) == 24  # below 10 mm
    assert sum(summary["methods"]["shifted"]["error_histogram"]["counts"][:5]) == 0
    shown, page = capsys.readouterr().out, (out / "report.html").read_text()
    for place in (shown, page):
        assert "fold 1" in place
        assert "fold 2" in place
    assert "Misses and false alarms" in page
    assert page.count("<figcaption>Localization errors (mm)") == 2


def test_published_landmarks_are_judged_by_the_same_evaluator(log, vertebrae, out, tmp_path, capsys):
    published = tmp_path / "theirs"
    for case in ("p0a", "p0b"):
        grid = read_volume(vertebrae / case / "image.nii.gz").grid
        truth = read_landmarks(vertebrae / case / "landmarks.json")
        moved = Landmarks({name: truth[name] + [0, 3, 4] for name in truth if name != "L2"})
        write_landmarks(moved, published / f"{case}_centroids_conf.lml", grid)
    assert run(log, vertebrae, out, "--published", str(published)) == 0
    entry = json.loads((out / "summary.json").read_text())["published"][0]
    assert (entry["name"], entry["cases_without_file"]) == ("theirs", 4)
    every = entry["regions"]["all"]
    assert every["median_mm"] == pytest.approx(5.0, abs=0.01)
    assert (every["annotated"], every["predicted"], every["missed"]) == (24, 6, 18)
    assert every["identification_rate"] == 0.25
    assert "theirs" in capsys.readouterr().out


def their_files(vertebrae, folder, moved_mm):
    """Write published landmarks of some cases, the annotated ones moved upwards."""
    for case, up in moved_mm.items():
        grid = read_volume(vertebrae / case / "image.nii.gz").grid
        truth = read_landmarks(vertebrae / case / "landmarks.json")
        moved = Landmarks({name: truth[name] + [0, 0, up] for name in truth})
        write_landmarks(moved, folder / f"{case}_centroids_conf.lml", grid)
    return folder


def test_published_landmarks_are_compared_scan_by_scan_on_the_scans_that_have_a_file(
    log, vertebrae, out, tmp_path, capsys
):
    theirs = their_files(vertebrae, tmp_path / "theirs", {"p0a": 0, "p1a": 0, "p2b": 25})
    assert run(log, vertebrae, out, "--published", str(theirs), "--set", "shift_mm=30") == 0
    compared = json.loads((out / "summary.json").read_text())["published"][0]["comparison"]
    assert compared["cases"] == 3
    rate = compared["regions"]["all"]["identification_rate"]
    assert rate["pairs"] == 12
    assert rate["difference"] == pytest.approx(-8 / 12)
    low, high = rate["interval"]
    assert low <= rate["difference"] <= high
    assert compared["regions"]["all"]["mean_mm"]["difference"] > 15
    assert [row["case"] for row in compared["by_case"]][-1] == "p2b"
    shown = capsys.readouterr().out
    assert "theirs: 3 of 6 scans have no file and count as missed" in shown
    assert "Against theirs, 3 scans" in shown
    assert "id. rate -66.7" in shown
    assert "Most is lost against theirs in p0a (0 of 4, theirs 4)" in shown or "in p1a (0 of 4, theirs 4)" in shown
    assert "Against theirs: the scans where most is lost first" in (out / "report.html").read_text()
    rows = {row["case"]: row for row in table(out / "per_case.csv")}
    assert (rows["p0a"]["published_identified"], rows["p0b"]["published_identified"]) == ("4", "")
    assert float(rows["p2b"]["published_mean_mm"]) == pytest.approx(25, abs=0.01)


def test_published_landmarks_of_structures_are_compared_by_their_distance(log, discs, out, tmp_path):
    theirs = tmp_path / "theirs"
    case = read_volume(discs / "p0a" / "labels.nii.gz")
    points = centroids(case, DISCS).mapped(lambda mm: mm + [0, 0, 7])
    write_landmarks(points, theirs / "p0a_centroids_conf.lml", case.grid)
    assert run(log, discs, out, "--published", str(theirs), discs=True) == 0
    compared = json.loads((out / "summary.json").read_text())["published"][0]["comparison"]
    assert compared["cases"] == 1
    assert compared["localization_mm"]["pairs"] == len(DISCS)
    assert compared["localization_mm"]["difference"] < 0


def test_two_published_files_of_one_scan_are_refused(log, vertebrae, out, tmp_path, capsys):
    their_files(vertebrae, tmp_path / "theirs", {"p0a": 0})
    their_files(vertebrae, tmp_path / "theirs" / "again", {"p0a": 1})
    assert run(log, vertebrae, out, "--published", str(tmp_path / "theirs")) == 3
    assert "expected one file for each scan" in capsys.readouterr().err
    assert not out.exists()


def test_a_damaged_published_file_is_named_and_costs_the_run_nothing(log, vertebrae, out, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "p0a_centroids_conf.lml").write_text("header\n10\tC99\t1\t2\t3\n")
    assert run(log, vertebrae, out, "--published", str(tmp_path / "theirs")) == 1
    assert [(row["case"], row["stage"]) for row in table(out / "failures.csv")] == [("p0a", "published")]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["cases"] == 6
    assert summary["published"][0]["regions"]["all"]["missed"] == 24
    assert summary["published"][0]["comparison"]["cases"] == 0


def test_a_published_folder_without_fitting_files_ends_with_3(log, vertebrae, out, tmp_path):
    (tmp_path / "theirs").mkdir()
    assert run(log, vertebrae, out, "--published", str(tmp_path / "theirs")) == 3
    assert not out.exists()


def test_without_pictures_nothing_of_the_images_is_kept_or_shown(log, vertebrae, out, tmp_path):
    assert run(log, vertebrae, out) == 0
    page = (out / "report.html").read_text()
    assert "<img" not in page
    for trace in ("data:image", "class=volume", "id=niivue", "class=points"):
        assert trace not in page
    assert not (out / "pictures").exists()
    assert run(log, vertebrae, tmp_path / "with", pictures=True) == 0
    page = (tmp_path / "with" / "report.html").read_text()
    assert page.count("data:image/webp") == 2 * page.count("class=volume") == 12


def test_patients_can_be_given_in_a_table(log, discs, out, tmp_path):
    patients = tmp_path / "patients.csv"
    patients.write_text("case,patient\np0a,x\np0b,y\np1a,x\np1b,x\np2a,y\np2b,y\n")
    assert run(log, discs, out, "--patients", str(patients), discs=True) == 0
    splits = json.loads((out / "manifest.json").read_text())["splits"]
    assert {fold["name"]: fold["test"] for fold in splits} == {"x": ["p0a", "p1a", "p1b"], "y": ["p0b", "p2a", "p2b"]}


def test_what_was_noticed_about_a_scan_reaches_the_user(log, vertebrae, out, monkeypatch, capsys):
    plain = LabelledCase.load

    def load(case):
        scan = plain(case)
        return replace(scan, notes=("image and annotation disagree",)) if case.name == "p1a" else scan

    monkeypatch.setattr(LabelledCase, "load", load)
    assert run(log, vertebrae, out) == 0
    assert "p1a: image and annotation disagree" in capsys.readouterr().err
    assert json.loads((out / "summary.json").read_text())["notes"][-1] == "p1a: image and annotation disagree"
    assert "p1a: image and annotation disagree" in (out / "report.html").read_text()


def test_progress_is_silent_when_stderr_is_no_terminal(log, vertebrae, out, capsys):
    run(log, vertebrae, out)
    assert "%|" not in capsys.readouterr().err
