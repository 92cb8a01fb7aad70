"""Bounds for the memory of learning: kept by the numbers, and by a process that the system limits."""

import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from regforest.errors import TooLargeError
from regforest.vertebrae import VertebraLocalizer, VertebraSettings
from regforest.vertebrae.baseline_2012 import Baseline2012, BaselineSettings
from tests.vertebrae.toy_spine import toy_scan

QUICK = VertebraSettings.quick()
METHODS = {
    "pool": lambda: VertebraLocalizer(replace(QUICK, features=600, trees=20), seed=1),
    "boxes drawn at each node": lambda: VertebraLocalizer(replace(QUICK, features=0, features_per_node=6), seed=1),
    "2012": lambda: Baseline2012(BaselineSettings.quick(), seed=1),
}
SCANS = 8

LIMITED = """
import resource, sys
from pathlib import Path
from regforest.errors import TooLargeError
from tests.vertebrae.test_training_memory import METHODS
from tests.vertebrae.toy_spine import toy_scan

method, count = METHODS[sys.argv[1]](), 60
method.fit((toy_scan(i) for i in range(2)), n_jobs=2)  # compiled
scans = [toy_scan(i % 4) for i in range(4)]
need = method.training_need([scans[i % 4].size for i in range(count)], n_jobs=2)
status = Path("/proc/self/status").read_text()
own_mb = int(next(line for line in status.splitlines() if line.startswith("VmData")).split()[1]) / 1e3
for share, bound in ((1.05, need.least_mb), (0.3, None), (0.3, 0.3 * need.least_mb)):
    limit = int((own_mb + share * need.least_mb) * 1e6)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    try:
        method.fit((scans[i % 4] for i in range(count)), max_memory_mb=bound)
        print("done")
    except (MemoryError, TooLargeError) as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("jobs", [1, 2])
def test_learning_takes_no_more_than_its_bound_and_the_bound_is_worth_having(name, jobs):
    method = METHODS[name]()
    method.fit((toy_scan(i) for i in range(2)), n_jobs=jobs)  # compiled
    need = method.training_need([toy_scan(i).size for i in range(SCANS)], jobs)
    tracemalloc.start()
    try:
        method.fit((toy_scan(i) for i in range(SCANS)), n_jobs=jobs)
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak_mb < need.most_mb < 2.2 * peak_mb  # what kernels allocate by themselves is not traced


@pytest.mark.parametrize("name", METHODS)
def test_a_model_does_not_depend_on_the_bound(name, tmp_path):
    scans = [toy_scan(i) for i in range(3)]
    free, bounded = METHODS[name](), METHODS[name]()
    need = free.training_need([scan.size for scan in scans], 4)
    done = []
    free.fit(scans, n_jobs=2).save(tmp_path / "free.rfm")
    bounded.fit(
        scans, lambda *step: done.append(step), n_jobs=4, max_memory_mb=need.least_mb
    ).save(tmp_path / "bounded.rfm")  # fmt: skip
    assert (tmp_path / "free.rfm").read_bytes() == (tmp_path / "bounded.rfm").read_bytes()
    assert done


@pytest.mark.parametrize("name", METHODS)
def test_what_does_not_fit_is_refused_with_the_stage_before_a_tree_is_grown(name):
    scans, grown = [toy_scan(i) for i in range(3)], []
    needed_mb = METHODS[name]().training_need([scan.size for scan in scans]).least_mb
    with pytest.raises(TooLargeError, match=r"training: \w+ the .* needs \d+ MB, but \d+ MB are left .*sampling"):
        METHODS[name]().fit(scans, lambda *step: grown.append(step), max_memory_mb=0.7 * needed_mb)
    with pytest.raises(TooLargeError, match=r"^0: drawing voxels needs \d+ MB, but 1 MB"):
        METHODS[name]().fit(scans, max_memory_mb=1.0)
    assert not grown


def test_fewer_threads_grow_where_all_do_not_fit(monkeypatch):
    used = []

    def grow(*_, n_jobs, **__):
        used.append(n_jobs)
        raise ZeroDivisionError

    monkeypatch.setattr("regforest.vertebrae.training.grow_on_pool", grow)
    scans = [toy_scan(i) for i in range(3)]
    need = METHODS["pool"]().training_need([scan.size for scan in scans], 8)
    for bound_mb in (need.most_mb, need.least_mb):
        with pytest.raises(ZeroDivisionError):
            METHODS["pool"]().fit(scans, n_jobs=8, max_memory_mb=bound_mb)
    assert used[0] == 8
    assert 1 <= used[1] < 8


def test_more_scans_than_were_expected_need_more():
    sizes = [toy_scan(0).size] * 3
    few, many = (VertebraLocalizer(QUICK).training_need(sizes * n, ahead=n) for n in (1, 5))
    assert list(few) == list(many)
    assert all(few[stage].most_mb < many[stage].most_mb for stage in few)
    assert np.isfinite(many.most_mb)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process may write to")
@pytest.mark.parametrize("name", ["pool", "2012"])
def test_a_process_with_a_limit_learns_within_its_bound(name):
    done = subprocess.run([sys.executable, "-c", LIMITED, name], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["done", "MemoryError", "TooLargeError"], done.stderr
