"""Settings that hold for all tests."""

import os
from pathlib import Path

# several processes that compile at once can damage a common cache, so each test worker has its own; numba reads
# the variable when it is imported
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parents[1] / ".pytest_cache" / f"numba-{worker}")

import pytest
from hypothesis import settings

# the first call of a kernel compiles it, so a deadline would fail at random; fixed examples keep CI repeatable
settings.register_profile("regforest", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("regforest")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real scans to measure on; tests that ask for it are skipped where it is absent."""
    folder = os.environ.get("REGFOREST_REALDATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("REGFOREST_REALDATA does not name a folder of real scans")
    return Path(folder)
