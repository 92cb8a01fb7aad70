"""Bounds for memory: kept by the numbers, and by a process that the system limits."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from regforest.errors import TooLargeError
from regforest.io import read_volume, write_volume
from regforest.spatial import Grid, Volume
from regforest.vertebrae import VertebraLocalizer, VertebraSettings
from tests.vertebrae.toy_spine import toy_scan

LIMITED = """
import resource, sys
from pathlib import Path
from regforest.errors import TooLargeError
from regforest.io import read_volume
from regforest.vertebrae import VertebraLocalizer

model, small, large = sys.argv[1:]
localizer = VertebraLocalizer.load(model)
localizer.localize(read_volume(small), max_memory_mb=50)  # compiled
image = read_volume(large)
need = localizer.memory_need(image.grid, image.voxels.dtype.itemsize)
status = Path("/proc/self/status").read_text()
own_mb = int(next(line for line in status.splitlines() if line.startswith("VmData")).split()[1]) / 1e3
for share, bound in ((1.05, need.least_mb), (0.6, None), (0.6, 0.6 * need.least_mb)):
    limit = int((own_mb + share * need.least_mb) * 1e6)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
    try:
        localizer.localize(image, max_memory_mb=bound)
        print("done")
    except (MemoryError, TooLargeError) as error:
        print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def localizer():
    return VertebraLocalizer(VertebraSettings.quick(), seed=1).fit(toy_scan(i) for i in range(3))


def noise(shape, spacing_mm):
    voxels = np.random.default_rng(0).integers(-900, 900, shape).astype(np.int16)
    return Volume(voxels, Grid.from_parts(shape, (spacing_mm,) * 3))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
def test_no_stage_takes_more_than_its_bound(localizer, tmp_path, suffix):
    write_volume(noise((90, 100, 100), 1.6), tmp_path / f"a{suffix}")
    localizer.localize(noise((20, 20, 20), 4.0))  # compiled
    tracemalloc.start()
    try:
        volume = read_volume(tmp_path / f"a{suffix}")
        need = localizer.memory_need(volume.grid, 2)
        assert tracemalloc.get_traced_memory()[1] / 1e6 < need["reading"].most_mb
        for bound_mb in (None, need.least_mb):
            tracemalloc.reset_peak()
            localizer.localize(volume, max_memory_mb=bound_mb)
            peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
            assert peak_mb < (need.most_mb if bound_mb is None else bound_mb)
            assert peak_mb > need.least_mb / 3  # a bound worth having
    finally:
        tracemalloc.stop()


def test_a_bound_that_is_too_low_is_refused_with_the_stage(localizer):
    with pytest.raises(TooLargeError, match=r"(classifying|naming) needs \d+ MB, but 3 MB are left"):
        localizer.localize(noise((60, 60, 60), 4.0), max_memory_mb=3.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process may write to")
def test_a_process_with_a_limit_labels_a_large_volume_within_its_bound(localizer, tmp_path):
    localizer.save(tmp_path / "m.rfm")
    write_volume(noise((20, 20, 20), 4.0), tmp_path / "small.nii")
    large = Volume(np.full((160, 150, 150), -1000, np.int16), Grid.from_parts((160, 150, 150), (4.0, 4.0, 4.0)))
    large.voxels[70:90, 60:80, 60:80] = noise((20, 20, 20), 4.0).voxels
    write_volume(large, tmp_path / "large.nii")
    words = [sys.executable, "-c", LIMITED, *(str(tmp_path / name) for name in ("m.rfm", "small.nii", "large.nii"))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["done", "MemoryError", "TooLargeError"], done.stderr
