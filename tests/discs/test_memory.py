"""Bounds for the memory of learning discs: kept by the numbers, and by a process that the system limits."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from regforest.discs import DiscLocalizer, DiscSettings
from regforest.errors import TooLargeError
from tests.discs.synthetic import QUICK, make_scan

FULL = DiscSettings()
SETTINGS = {
    "data-driven": QUICK, "knn": dataclasses.replace(QUICK, method="knn"),
    "forest": dataclasses.replace(QUICK, method="forest"),
}  # fmt: skip

LIMITED = """
import resource, sys
from pathlib import Path
from regforest.discs import DiscLocalizer
from regforest.errors import TooLargeError
from tests.discs.synthetic import QUICK, make_scan

localizer = DiscLocalizer(QUICK)
record = localizer.prepare(make_scan(1, channels=2))
records = [record] * 60
localizer.fit(records[:2])  # loaded
needed_mb = localizer.fit_need(records).least_mb
beside_mb = needed_mb - sum(record.size_mb for record in records)  # the records are one, there already
status = Path("/proc/self/status").read_text()
own_mb = int(next(line for line in status.splitlines() if line.startswith("VmData")).split()[1]) / 1e3
for share, bound in ((1.05, needed_mb), (0.2, None), (0.2, 0.7 * needed_mb)):
    resource.setrlimit(resource.RLIMIT_DATA, (int((own_mb + share * beside_mb) * 1e6), resource.RLIM_INFINITY))
    try:
        localizer.fit(records, max_memory_mb=bound)
        print("done")
    except (MemoryError, TooLargeError) as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("settings", "channels", "masks"),
    [(QUICK, 1, True), (QUICK, 2, False), (FULL, 2, True), (FULL, 1, False)],
    ids=["quick", "quick points", "full", "full points"],
)
def test_preparing_takes_no_more_than_its_bound(settings: DiscSettings, channels: int, masks: bool) -> None:
    localizer = DiscLocalizer(settings)
    localizer.prepare(make_scan(1, channels=channels, masks=masks))  # compiled
    scan = make_scan(2, channels=channels, masks=masks)
    need = localizer.prepare_need(scan.size)
    tracemalloc.start()
    try:
        record = localizer.prepare(scan)
        peak_mb = scan.size.files_mb + tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak_mb < need.most_mb < 2 * peak_mb
    (stage,) = localizer.training_need([scan.size]).values()
    assert record.size_mb < stage.held_mb < 1.3 * record.size_mb


@pytest.mark.parametrize("method", SETTINGS)
def test_learning_takes_no_more_than_its_bound(method: str) -> None:
    localizer = DiscLocalizer(SETTINGS[method])
    records = [localizer.prepare(make_scan(i, channels=2)) for i in (1, 2, 3, 4, 5)]
    localizer.fit(records[:2])  # compiled
    need = localizer.fit_need(records)
    tracemalloc.start()
    try:
        localizer.fit(records)
        peak_mb = sum(record.size_mb for record in records) + tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak_mb < need.most_mb < 2 * peak_mb


@pytest.mark.parametrize("method", SETTINGS)
def test_a_model_does_not_depend_on_the_bound(method: str, tmp_path: Path) -> None:
    scans = [make_scan(i) for i in (1, 2, 3)]
    free, bounded = DiscLocalizer(SETTINGS[method]), DiscLocalizer(SETTINGS[method])
    need = free.training_need([scan.size for scan in scans])
    fit_mb = free.fit_need([free.prepare(scan) for scan in scans]).least_mb
    free.fit(scans).save(tmp_path / "free.rfm")
    files_mb = sum(scan.size.files_mb for scan in scans)
    bounded.fit(scans, n_jobs=3, max_memory_mb=max(need.least_mb + files_mb, fit_mb)).save(tmp_path / "bounded.rfm")
    assert (tmp_path / "free.rfm").read_bytes() == (tmp_path / "bounded.rfm").read_bytes()


def test_what_does_not_fit_is_refused_with_the_stage() -> None:
    localizer, scans = DiscLocalizer(QUICK), [make_scan(i) for i in (1, 2, 3)]
    with pytest.raises(TooLargeError, match=r"^case1: reading patches needs \d+ MB, but 2 MB are left .*fewer scans"):
        localizer.prepare(scans[0], max_memory_mb=2.0)
    with pytest.raises(TooLargeError, match=r"training: preparing scans needs \d+ MB"):
        localizer.fit(scans, max_memory_mb=5.0)
    records, steps = [localizer.prepare(scan) for scan in scans], list[tuple[int, int]]()
    with pytest.raises(TooLargeError, match=r"training: learning the \w+ step needs \d+ MB"):
        localizer.fit(records, lambda *step: steps.append(step), max_memory_mb=12.0)
    assert not steps


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process may write to")
def test_a_process_with_a_limit_learns_within_its_bound() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["done", "MemoryError", "TooLargeError"], done.stderr
