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
    "regforest.datasets.patients", "regforest.datasets.label_names", "regforest.datasets.bids",
    "regforest.datasets.bids_files", "regforest.datasets._dicom_index", "regforest.io.label_tables",
    "regforest.io._journal", "regforest.io._lock", "regforest.cli._results", "experiments.chain_files",
    "experiments.outputs", "experiments.options", "csv", "zipfile", "json",
)  # fmt: skip


class Parser(NamedTuple):
    """A parser and the name of the file that it is given."""

    file_name: str
    parse: Callable[[Path], object]


def parsers() -> dict[str, Parser]:
    """Return all parsers by name; each raises a `RegForestError` or returns."""
    from regforest.datasets.bids import _participants
    from regforest.datasets.bids_files import bids_description
    from regforest.datasets.label_names import read_labels_json
    from regforest.datasets.patients import read_patients
    from regforest.datasets.splits import read_id_list
    from regforest.io import read_landmarks, read_volume
    from regforest.io.label_tables import read_bids_labels
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
        "nifti-labels": Parser("names.json", _nifti_labels),
        "bids-labels": Parser("dseg.tsv", read_bids_labels),
        "bids-description": Parser("dataset_description.json", lambda path: bids_description(path.parent)),
        "participants": Parser("participants.tsv", lambda path: _participants(path.parent)),
        "chains": Parser("chains.csv", _chains),
        "dicom-index": Parser("index.json", _dicom_index),
        "journal": Parser("journal.jsonl", _journal),
        "lock": Parser(".lock", _lock),
        "label-result": Parser("scan.json", _label_result),
        "run-manifest": Parser("manifest.json", _run_manifest),
        "run-case": Parser("scan.json", _run_case),
        "set-option": Parser("options.txt", _set_option),
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


def _nifti_labels(path: Path) -> object:
    """Read the names of labels from a NIfTI file whose extension is the given file."""
    import nibabel

    from regforest.io import read_label_names

    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", path.read_bytes()))
    labelled = path.with_name("labelled.nii")
    nibabel.save(image, labelled)
    return read_label_names(labelled)


def _chains(path: Path) -> object:
    """Read one table as both files of `chain_identification`."""
    from experiments.chain_files import read_scans

    return len(read_scans(path, path))


def _dicom_index(path: Path) -> object:
    """Read the store of the tags of a DICOM folder: an entry that is damaged makes it worthless, no more."""
    from regforest.datasets._dicom_index import _load

    return len(_load(path, path.parent))


def _journal(path: Path) -> object:
    from regforest.io import Journal

    return sorted(Journal(path).unfinished())


def _lock(path: Path) -> object:
    from regforest.io import folder_lock

    content = path.read_bytes()
    with folder_lock(path.parent):
        path.write_bytes(content)  # the lock of a killed run, which is removed with this one's
    return content


def _label_result(path: Path) -> object:
    """Read a result of ``label`` that ``--resume`` finds, with one entry of a journal that says the same."""
    from regforest.cli._inputs import Input
    from regforest.cli._results import ResultFolder

    for suffix in (".mrk.json", ".lml"):
        path.with_name(f"scan{suffix}").touch()
    folder = ResultFolder(path.parent, segment=False, made_with={"seed": 0})
    folder.journal.path.write_bytes(path.read_bytes())
    return sorted(folder.stored([Input("scan", {"image": path})]))


def _run_manifest(path: Path) -> object:
    from experiments.outputs import RunFolder

    return RunFolder(path.parent, "forest").state({"experiment": "glocker_2fold", "seed": 0}, resume=True)


def _run_case(path: Path) -> object:
    from experiments.outputs import RunFolder

    cases = path.parent / "cases"
    cases.mkdir(exist_ok=True)
    path.replace(cases / path.name)
    return RunFolder(path.parent, "forest").stored_case("forest", path.stem)


def _set_option(path: Path) -> object:
    """Read lines as ``--set KEY=VALUE``."""
    from experiments.options import with_overrides
    from regforest.vertebrae.settings import VertebraSettings

    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = dict(line.partition("=")[::2] for line in lines)
    settings, unknown = with_overrides(VertebraSettings(), pairs)
    return settings.trees, len(unknown)
