"""Data that several tests of data sets read."""

from pathlib import Path

import pytest

from regforest.datasets.phantoms.lumbar_dicom import write_lumbar_phantom


@pytest.fixture(scope="session")
def lumbar_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients in the layout of the Lumbar Spine MRI Dataset, with all planted faults; not to be changed."""
    root = tmp_path_factory.mktemp("lumbar")
    write_lumbar_phantom(root, 2, 3)
    return root
