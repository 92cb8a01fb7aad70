"""A real scheduler with workers as processes of this machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.experiments.small_run import arguments, run, summary_of

pytest.importorskip("distributed")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and its two workers."""
    address_file = tmp_path / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    python, place = [sys.executable, "-m"], ["--scheduler-file", str(address_file), "--no-dashboard"]
    dask = [*python, "distributed.cli.dask_scheduler", *place, "--port", "0"]
    worker = [*python, "distributed.cli.dask_worker", *place, "--no-nanny", "--nthreads", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, "env": environment}
    scheduler = subprocess.Popen(dask, **quiet)
    while not address_file.exists() or not address_file.read_text():
        assert scheduler.poll() is None
        time.sleep(0.1)
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
    yield json.loads(address_file.read_text())["address"], workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def command(data, out, *options):
    words = [sys.executable, "-m", "experiments.glocker_2fold", *arguments(data, out, *options)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_worker_killed_in_the_middle_changes_nothing(phantoms, alone, cluster, tmp_path):
    address, (victim, _) = cluster
    out = tmp_path / "out"
    killed = threading.Event()

    def kill_after_the_first_case():
        while not list(out.glob("cases/*.json")):
            time.sleep(0.02)
        victim.send_signal(signal.SIGKILL)
        killed.set()

    watcher = threading.Thread(target=kill_after_the_first_case, daemon=True)
    watcher.start()
    done = command(phantoms, out, "--scheduler", address)
    assert done.returncode == 0, done.stderr
    assert killed.is_set()
    assert summary_of(out) == summary_of(alone)


def test_local_processes_give_the_same_numbers_too(phantoms, alone, tmp_path):
    done = command(phantoms, tmp_path / "out", "--scheduler", "local:2", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert summary_of(tmp_path / "out") == summary_of(alone)


@pytest.mark.parametrize(
    ("address", "message"),
    [("local:none", "expected local:N"), ("tcp://127.0.0.1:9", "expected a Dask scheduler with workers")],
)
def test_an_address_that_leads_nowhere_is_wrong_usage(phantoms, tmp_path, monkeypatch, capsys, address, message):
    monkeypatch.setattr("experiments.cluster._CONNECT_SECONDS", 1)
    assert run(phantoms, tmp_path / "out", "--scheduler", address) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
