"""What goes wrong around a run: memory, disk, files, kills, another run."""

import csv
import dataclasses
import errno
import json
import os

import pytest

from experiments import runner
from regforest._memory import MemoryNeed, Stage
from regforest.io import folder_lock
from tests.experiments.mean_shape import Log, experiment, write_data


@pytest.fixture(scope="module")
def spines(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "spines")


@pytest.fixture(scope="module")
def unbroken(spines, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "out"
    assert run(Log(), spines, out) == 0
    return summary_of(out)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def run(log, data, out, *options):
    return runner.run(experiment(log, data), ["--out", str(out), "--jobs", "1", "--no-pictures", *options])


def summary_of(out):
    content = json.loads((out / "summary.json").read_text())
    return {key: value for key, value in content.items() if key != "seconds"}


def failures_of(out):
    with (out / "failures.csv").open(newline="") as stream:
        return [(row["case"], row["stage"]) for row in csv.DictReader(stream)]


def events_of(out, case):
    lines = map(json.loads, (out / "journal.jsonl").read_text().splitlines())
    return [line["event"] for line in lines if line["case"] == f"mean/{case}"]


@pytest.mark.parametrize("fault", [MemoryError("no room"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_case_that_ran_out_of_something_is_tried_again_at_the_end_with_less_memory(
    log, spines, out, unbroken, capsys, fault
):
    log.faults["p0a"] = [fault]
    assert run(log, spines, out) == 0
    assert summary_of(out) == unbroken
    assert failures_of(out) == []
    assert log.applied[:4] == ["p0a", "p0b", "p1a", "p0a"]  # after the others of its fold
    assert log.bounds_mb[0] == ("p0a", None)
    assert log.bounds_mb[3] == ("p0a", 120.0)
    assert events_of(out, "p0a") == ["begun", "failed", "begun", "finished"]
    assert "to be tried again with less memory" in capsys.readouterr().err


def test_a_case_that_fails_twice_is_named_and_the_rest_is_there(log, spines, out):
    log.faults["p0a"] = [MemoryError(), MemoryError(), MemoryError()]
    assert run(log, spines, out) == 1
    assert failures_of(out) == [("p0a", "apply")]
    assert log.applied.count("p0a") == 2
    assert json.loads((out / "summary.json").read_text())["cases"] == 5


def test_a_case_that_makes_no_sense_is_not_tried_again(log, spines, out):
    log.faults["p0a"] = [ValueError("nonsense"), ValueError("nonsense")]
    assert run(log, spines, out) == 1
    assert log.applied.count("p0a") == 1


def test_a_disk_that_was_full_costs_no_case(log, spines, out, unbroken, monkeypatch):
    sync, full = os.fsync, []

    def fail_once(handle):
        if log.applied == ["p0a"] and not full:
            full.append(True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fail_once)
    assert run(log, spines, out) == 0
    assert full
    assert summary_of(out) == unbroken
    assert log.applied.count("p0a") == 2


def test_what_a_killed_run_was_at_comes_last_and_with_least_memory(log, spines, out, unbroken):
    log.stop_after = 1
    assert run(log, spines, out) == 130
    assert events_of(out, "p0b") == ["begun"]
    log.stop_after = None
    assert run(log, spines, out, "--resume") == 0
    assert log.applied[1:3] == ["p1a", "p0b"]
    assert ("p0b", 120.0) in log.bounds_mb
    assert summary_of(out) == unbroken


def test_a_bound_for_memory_refuses_what_does_not_fit_and_passes_on_what_is_left(log, spines, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.site.resident_mb", lambda: 300.0)
    assert run(log, spines, tmp_path / "enough", "--max-memory", "700MB") == 0
    assert {bound for _, bound in log.bounds_mb} == {400.0}
    assert run(log, spines, tmp_path / "little", "--max-memory", "410MB") == 3
    with (tmp_path / "little" / "failures.csv").open() as stream:
        assert "classifying needs 120 MB, but 110 MB are left" in stream.read()


@pytest.mark.parametrize(("kind", "stage"), [("prepare", "fold all: preparing scans"), ("fit", "fold 1: growing")])
def test_learning_that_does_not_fit_is_refused_before_a_case_is_read(
    log, spines, tmp_path, monkeypatch, capsys, kind, stage
):
    monkeypatch.setattr("experiments.site.resident_mb", lambda: 300.0)
    asked = []

    def training_need(settings, sizes, n_jobs, ahead):
        asked.append((len(sizes), n_jobs, ahead))
        held_mb = 10.0 * len(sizes) + 20.0 * ahead
        return MemoryNeed({stage.partition(": ")[2]: Stage(held_mb, n_jobs * 50.0, 50.0)})

    made = experiment(log, spines, prepared=kind == "prepare")
    method = dataclasses.replace(made.methods["mean"], training_need=training_need)
    made = dataclasses.replace(made, methods={"mean": method})
    words = ["--out", str(tmp_path / "little"), "--no-pictures", "--jobs", "2"]
    assert runner.run(made, [*words, "--max-memory", "370MB"]) == 3
    assert f"{stage} needs" in capsys.readouterr().err
    assert not log.applied
    assert not log.fits
    assert not log.prepared
    words[1] = str(tmp_path / "enough")
    assert runner.run(made, [*words, "--max-memory", "700MB"]) == 0
    assert len(log.applied) == 6


def test_two_runs_on_one_folder_do_not_mix(log, spines, out, capsys):
    with folder_lock(out):
        assert run(log, spines, out) == 2
    assert "in use by process" in capsys.readouterr().err
    assert not list(out.iterdir())
    assert run(log, spines, out) == 0
    assert not (out / ".lock").exists()


def test_an_image_that_changed_since_is_refused(log, spines, out, tmp_path, capsys):
    data = write_data(tmp_path / "spines")
    log.stop_after = 2
    run(log, data, out)
    image = data / "p2a" / "image.nii.gz"
    content = bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)
    assert run(log, data, out, "--resume") == 2
    assert "data.fingerprint" in capsys.readouterr().err
