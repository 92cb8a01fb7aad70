"""Settings that hold for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# the first call of a kernel compiles it, so a deadline would fail at random; fixed examples keep CI repeatable
settings.register_profile("regforest", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("regforest")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real scans to measure on; tests that ask for it are skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "realdata"
    folder = Path(os.environ.get("REGFOREST_REALDATA", default))
    if not folder.is_dir():
        pytest.skip("set REGFOREST_REALDATA to a folder of real scans")
    return folder
