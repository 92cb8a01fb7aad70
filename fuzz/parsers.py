"""Every parser of the package that reads what others wrote, as a function of a file.

Only the modules named in `INSTRUMENTED` are watched for coverage: compiled kernels cannot be.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["INSTRUMENTED", "Parser", "parsers"]

INSTRUMENTED = (
    "regforest.io._lml", "regforest.io._fcsv", "regforest.io._verse", "regforest.io._slicer",
    "regforest.io._points", "regforest.io._records", "regforest.io._meta_image", "regforest.io._nrrd",
    "regforest.io._voxel_files", "regforest.io._itk", "regforest.io._nifti", "regforest.io.models",
    "regforest.io.expected_arrays", "regforest.io.landmark_files", "regforest.datasets.splits",
    "regforest.datasets.patients", "regforest.datasets.label_names", "zipfile", "json",
)  # fmt: skip


class Parser(NamedTuple):
    """A parser and the name of the file that it is given."""

    file_name: str
    parse: Callable[[Path], object]


def parsers() -> dict[str, Parser]:
    """Return all parsers by name; each raises a `RegForestError` or returns."""
    from regforest.datasets.label_names import read_labels_json
    from regforest.datasets.patients import read_patients
    from regforest.datasets.splits import read_id_list
    from regforest.io import read_landmarks, read_volume
    from regforest.io.models import read_model
    from regforest.spatial import Grid

    grid = Grid.from_parts((8, 9, 10), (1, 2, 3))

    def landmarks(path: Path) -> object:
        return read_landmarks(path, grid)

    return {
        "lml": Parser("scan.lml", landmarks),
        "verse": Parser("scan.json", landmarks),
        "landmarks": Parser("landmarks.json", landmarks),
        "slicer": Parser("scan.mrk.json", landmarks),
        "table": Parser("scan.csv", landmarks),
        "fcsv": Parser("scan.fcsv", landmarks),
        "splits": Parser("fold1.txt", read_id_list),
        "patients": Parser("patients.csv", read_patients),
        "labels": Parser("labels.json", read_labels_json),
        "model": Parser("model.rfm", lambda path: read_model(path, "test")),
        "model-description": Parser("model.json", _described_model),
        "forest": Parser("nodes", _forest),
        "meta-image": Parser("scan.mha", read_volume),
        "nrrd": Parser("scan.nrrd", read_volume),
        "nifti": Parser("scan.nii", read_volume),
    }


def _described_model(path: Path) -> object:
    """Read a model whose description is the given file, beside an array that fits the seeds."""
    from regforest.io.models import read_model

    model = path.with_name("described.rfm")
    with zipfile.ZipFile(model, "w") as archive:
        archive.write(path, "model.json")
        with archive.open("arrays/a.npy", "w") as stream:
            np.lib.format.write_array(stream, np.arange(6, dtype="<i4").reshape(2, 3), version=(1, 0))
    return read_model(model, "test")


def _forest(path: Path) -> object:
    """Take bytes for the nodes of a forest; one that is accepted has to predict, in bounds and to an end."""
    from regforest.forest import Forest

    nodes = np.frombuffer(path.read_bytes()[: 5 * 64], np.int8)
    count = len(nodes) // 5
    feature, left, right, leaf, threshold = nodes[: 5 * count].reshape(5, count)
    arrays = {
        "roots": np.array([0], np.int32), "feature": feature.astype(np.int32), "left": left.astype(np.int32),
        "right": right.astype(np.int32), "leaf": leaf.astype(np.int32), "threshold": threshold.astype(np.float32),
        "values": np.arange(6, dtype=np.float32).reshape(3, 2), "n_features": np.array(4),
    }  # fmt: skip
    forest = Forest.from_arrays(arrays)
    forest.predict(np.linspace(-9, 9, 12, dtype=np.float32).reshape(3, 4))
    return json.dumps([forest.depth, forest.used_features.tolist()])
