"""Whether the parts of a `DiscLocalizer` that came from a file fit together; nothing else looks at them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from regforest.discs.chain import StepModel
from regforest.discs.evidence import ShiftModel
from regforest.discs.forests import CoarseForest, FineForest, ForestLabels
from regforest.discs.neighbour_labels import NeighbourLabels, cell_counts
from regforest.discs.own_views import PROBES_MM
from regforest.discs.patches import Completion, Projection
from regforest.discs.search import CoarseModel, FineModel
from regforest.discs.segmentation import LabelModel
from regforest.discs.settings import DiscSettings
from regforest.errors import ModelError
from regforest.forest import Forest
from regforest.io.expected_arrays import Expected, check_arrays
from regforest.spatial import sort_levels

__all__ = ["check_label_names", "check_names", "check_parts"]

_MAX_CHANNELS = 16
_MAX_MASK_VOXELS = 300  # along each edge
_MM = 1e4
_PROJECTION = {"mean": Expected("f4", ("F",)), "components": Expected("f4", ("F", "K"))}
_RELATIONS = {"variance": Expected("f4", ("K",), 0)}
_SHOWN = {"shown": Expected("b1", ("F",), True, True)}
_PARTS: dict[str, dict[str, Expected]] = {
    "steps": {
        "mean_mm": Expected("f8", ("steps", 3), -_MM, _MM),
        "covariance_mm2": Expected("f8", ("steps", 3, 3), -_MM, _MM),
    },
    "coarse": {
        "rows": Expected("f4", ("T", "K")),
        "offsets_mm": Expected("f4", ("T", "structures", 3), -_MM, _MM, or_nan=True),
    },
    "fine": {"rows": Expected("f4", ("T", "K + 1")), "offsets_mm": Expected("f4", ("T", 3), -_MM, _MM)},
    "shift": {
        "appearance": Expected("f4", ("places", len(PROBES_MM), "K"), or_nan=True),
        "margin_up": Expected("f8", ("places",), 0),
        "margin_down": Expected("f8", ("places",), 0),
        "variance": Expected("f8", ("places",), 1e-9),
        "field_mean_mm": Expected("f8", ("structures",), -_MM, _MM),
        "field_sd_mm": Expected("f8", ("structures",), 1e-3, _MM),
        "field_extent_mm": Expected("f8", (2,), 0, _MM),
        "field_count": Expected("i8", (1,), 1, 10**9),
    },
    "label": {
        "prior": Expected("f4", ("structures", "z", "y", "x"), 0, 1),
        "combination": Expected("f8", (3,), -1e4, 1e4),
    },
    "voxels": {
        "rows": Expected("f4", ("T", "K + 4")),
        "inside": Expected("f4", ("T",), 0, 1),
        "group": Expected("i8", ("T",), 0, 10**9),
        "cell_start": Expected("i8", ("cells + 1",), 0, 10**12),
        "cells_zyx": Expected("i8", (3,), 1, 1000),
    },
}


def check_names(names: Any, channels: Any) -> None:
    """Raise `ModelError` unless structures are different levels in order, and channels different texts (lists)."""
    if not _texts(names) or list(sort_levels(set(names))) != names:
        raise ModelError(f"expected the names of different levels from cranial to caudal, found {names!r}")
    if not _texts(channels) or not len(set(channels)) == len(channels) <= _MAX_CHANNELS:
        raise ModelError(f"expected the names of different channels, found {channels!r}")


def check_label_names(label_names: Mapping[int, str], names: Sequence[str]) -> None:
    """Raise `ModelError` unless every structure has one value from 1 to 65535."""
    if sorted(label_names.values()) != sorted(names) or not all(1 <= value < 65536 for value in label_names):
        raise ModelError(f"expected one label value for each of {', '.join(names)}, found {label_names!r}")


def check_parts(parts: Mapping[str, Any], unit_steps_mm: Any, channels: int, settings: DiscSettings) -> None:
    """Check every array, number and name of the learned parts against the settings and each other.

    Parameters
    ----------
    parts : mapping of str to part
        Of a `DiscLocalizer`; ``label`` may be None.
    unit_steps_mm : ndarray, shape (steps,)
        Mean length of each step.
    channels : int
        Number of channels.
    settings : DiscSettings
        Checked already.

    Raises
    ------
    ModelError
        If something does not fit.
    """
    structures = len(parts["steps"].names)
    sizes = {"structures": structures, "places": structures + 2, "steps": structures - 1}
    _check_kinds(parts, settings.method == "forest")
    if structures > 1:
        check_arrays({"unit_steps": unit_steps_mm}, {"unit_steps": Expected("f8", ("steps",), 1, 1000)}, sizes)
        check_arrays(vars(parts["steps"]), _PARTS["steps"], sizes)
        if np.linalg.eigvalsh(parts["steps"].covariance_mm2).min() < -1e-3:
            raise ModelError("steps: expected covariances, found matrices with negative variances")
    coarse = settings.coarse_patch.columns(settings.coarse_spacing_mm, channels)
    fine = settings.fine_patch.columns(settings.coarse_spacing_mm, channels)
    if settings.method == "forest":
        _check_forest("coarse", parts["coarse"], coarse, coarse, 4 * structures)
        _check_forest("fine", parts["fine"], fine, fine + 1, 4)
    else:
        _check_patches("coarse", parts["coarse"], sizes | {"F": coarse})
        _check_patches("fine", parts["fine"], sizes | {"F": fine})
    _check_patches("shift", parts["shift"], sizes | {"F": fine})
    _check_number("temperature", parts["shift"].temperature, 1e-9, 1e9)
    if parts["label"] is not None:
        _check_label(
            parts["label"], settings, sizes, settings.label_patch.columns(settings.label_spacing_mm, channels)
        )


def _check_kinds(parts: Mapping[str, Any], by_forests: bool) -> None:
    """Check that every part is of the kind that the method has in its place."""
    searching = (CoarseForest, FineForest) if by_forests else (CoarseModel, FineModel)
    kinds = dict(zip(("steps", "coarse", "fine", "shift"), (StepModel, *searching, ShiftModel), strict=True))
    wrong = [name for name, kind in kinds.items() if not isinstance(parts[name], kind)]
    label = parts["label"]
    voxels = ForestLabels if by_forests else NeighbourLabels
    if label is not None and not (isinstance(label, LabelModel) and isinstance(label.voxels, voxels)):
        wrong.append("label")
    if wrong:
        raise ModelError(f"{', '.join(wrong)}: expected parts of another kind for this method")


def _check_forest(
    name: str, part: CoarseForest | FineForest | ForestLabels, patch: int, features: int, outputs: int
) -> None:
    """Check a forest, and what completes the features of patches for it."""
    forest, completion = part.forest, part.completion
    if not isinstance(forest, Forest) or (forest.n_features, forest.n_outputs) != (features, outputs):
        raise ModelError(f"{name}: expected a forest of {features} features and {outputs} outputs")
    if completion is not None:
        if not isinstance(completion, Completion):
            raise ModelError(f"{name}: expected what completes features, found {type(completion).__name__}")
        _check_projection(name, completion.projection, {"F": patch})
        check_arrays(vars(completion), _SHOWN, {"F": patch})


def _check_patches(name: str, part: Any, sizes: dict[str, int]) -> None:
    """Check a projection and the rows that were made with it."""
    _check_projection(name, part.projection, sizes)
    kept = part.projection.components.shape[1]
    check_arrays(vars(part), _PARTS[name], sizes | {"K": kept, "K + 1": kept + 1, "K + 4": kept + 4})


def _check_projection(name: str, projection: Any, sizes: Mapping[str, int]) -> None:
    """Check a projection; what relates the channels is missing as a whole in models of earlier versions."""
    if not isinstance(projection, Projection):
        raise ModelError(f"{name}: expected a projection, found none")
    check_arrays(vars(projection), _PROJECTION, sizes)
    if projection.variance is not None or projection.noise is not None:
        check_arrays(vars(projection), _RELATIONS, {"K": projection.components.shape[1]})
        _check_number("noise", projection.noise, 1e-9, 1e9)


def _check_label(label: LabelModel, settings: DiscSettings, sizes: dict[str, int], columns: int) -> None:
    """Check masks and threshold, and what judges the voxels."""
    _check_number("threshold", label.threshold, 1e-6, 1)
    check_arrays(vars(label), _PARTS["label"], sizes)
    if max(label.prior.shape[1:]) > _MAX_MASK_VOXELS:
        raise ModelError(f"label: masks of shape {label.prior.shape[1:]} are too large")
    if isinstance(label.voxels, ForestLabels):
        _check_forest("label", label.voxels, columns, columns + 4, 2)
    else:
        _check_neighbours(label.voxels, cell_counts(label.prior.shape[1:], settings), sizes | {"F": columns})


def _check_neighbours(voxels: NeighbourLabels, cells_zyx: Any, sizes: dict[str, int]) -> None:
    """Check that the cells are those of the masks, and that their rows follow each other."""
    _check_patches("voxels", voxels, sizes | {"cells + 1": int(np.prod(cells_zyx)) + 1})
    if (voxels.cells_zyx != cells_zyx).any():
        raise ModelError(f"label: cells {voxels.cells_zyx.tolist()} do not fit the masks, which need {cells_zyx}")
    start = voxels.cell_start
    if start[0] != 0 or start[-1] != len(voxels.rows) or any(b < a for a, b in pairwise(start.tolist())):
        raise ModelError("label: the rows of the cells do not follow each other")


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, float) or not low <= value <= high:
        raise ModelError(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")


def _texts(values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(isinstance(v, str) and v for v in values)
