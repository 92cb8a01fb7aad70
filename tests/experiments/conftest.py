"""Small phantoms, and a run on them that others are compared with."""

import pytest

from tests.experiments.small_run import run


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Six coarse CT phantoms in a labelled folder."""
    from regforest.datasets.phantoms.ct import write_ct_phantom

    folder = tmp_path_factory.mktemp("data") / "phantoms"
    write_ct_phantom(folder, 6, 0, layout="labelled-folder", matrix=64)
    return folder


@pytest.fixture(scope="session")
def alone(phantoms, tmp_path_factory):
    """A run in one thread of this process, in one go."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert run(phantoms, out, "--jobs", "1") == 0
    return out
