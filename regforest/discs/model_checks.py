"""Whether the parts of a `DiscLocalizer` that came from a file fit together; nothing else looks at them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from regforest.discs.patches import Projection
from regforest.discs.segmentation import LabelModel, cell_counts
from regforest.discs.settings import DiscSettings
from regforest.discs.training import PROBES_MM
from regforest.errors import ModelError
from regforest.io.expected_arrays import Expected, check_arrays
from regforest.spatial import sort_levels

__all__ = ["check_label_names", "check_names", "check_parts"]

_MAX_CHANNELS = 16
_MAX_MASK_VOXELS = 300  # along each edge
_MM = 1e4
_PROJECTION = {"mean": Expected("f4", ("F",)), "components": Expected("f4", ("F", "K"))}
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
        "probes": Expected("f4", ("R", "structures", len(PROBES_MM), "K of fine"), or_nan=True),
        "margin_up": Expected("f8", ("structures",), 0),
        "margin_down": Expected("f8", ("structures",), 0),
        "variance": Expected("f8", ("structures",), 1e-9),
        "field_mean_mm": Expected("f8", ("structures",), -_MM, _MM),
        "field_sd_mm": Expected("f8", ("structures",), 1e-3, _MM),
        "field_extent_mm": Expected("f8", (2,), 0, _MM),
        "field_count": Expected("i8", (1,), 1, 10**9),
    },
    "label": {
        "rows": Expected("f4", ("T", "K + 4")),
        "inside": Expected("f4", ("T",), 0, 1),
        "group": Expected("i8", ("T",), 0, 10**9),
        "cell_start": Expected("i8", ("cells + 1",), 0, 10**12),
        "cells_zyx": Expected("i8", (3,), 1, 1000),
        "prior": Expected("f4", ("structures", "z", "y", "x"), 0, 1),
        "combination": Expected("f8", (3,), -1e4, 1e4),
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
    sizes = {"structures": structures, "steps": structures - 1}
    if structures > 1:
        check_arrays({"unit_steps": unit_steps_mm}, {"unit_steps": Expected("f8", ("steps",), 1, 1000)}, sizes)
        check_arrays(vars(parts["steps"]), _PARTS["steps"], sizes)
        if np.linalg.eigvalsh(parts["steps"].covariance_mm2).min() < -1e-3:
            raise ModelError("steps: expected covariances, found matrices with negative variances")
    coarse, label = settings.coarse_spacing_mm, settings.label_spacing_mm
    for name, spacing in (("coarse", coarse), ("fine", coarse), ("label", label)):
        if parts[name] is not None:
            columns = getattr(settings, f"{name}_patch").columns(spacing, channels)
            _check_patches(name, parts[name], sizes | {"F": columns})
    kept = parts["fine"].projection.components.shape[1]
    check_arrays(vars(parts["shift"]), _PARTS["shift"], sizes | {"K of fine": kept})
    _check_number("temperature", parts["shift"].temperature, 1e-9, 1e9)
    if parts["label"] is not None:
        _check_label(parts["label"], settings)


def _check_patches(name: str, part: Any, sizes: dict[str, int]) -> None:
    """Check a projection and the rows that were made with it."""
    if not isinstance(part.projection, Projection):
        raise ModelError(f"{name}: expected a projection, found none")
    check_arrays(vars(part.projection), _PROJECTION, sizes)
    kept = part.projection.components.shape[1]
    lengths = {"K": kept, "K + 1": kept + 1, "K + 4": kept + 4}
    if isinstance(part, LabelModel) and isinstance(part.cells_zyx, np.ndarray):
        lengths["cells + 1"] = int(np.prod(part.cells_zyx)) + 1
    check_arrays(vars(part), _PARTS[name], sizes | lengths)


def _check_label(label: LabelModel, settings: DiscSettings) -> None:
    """Check that the cells are those of the masks, and that their rows follow each other."""
    _check_number("threshold", label.threshold, 1e-6, 1)
    if max(label.prior.shape[1:]) > _MAX_MASK_VOXELS or (label.cells_zyx != cell_counts(label.prior, settings)).any():
        raise ModelError(f"label: cells {label.cells_zyx.tolist()} do not fit masks of shape {label.prior.shape[1:]}")
    start = label.cell_start
    if start[0] != 0 or start[-1] != len(label.rows) or any(b < a for a, b in pairwise(start.tolist())):
        raise ModelError("label: the rows of the cells do not follow each other")


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, float) or not low <= value <= high:
        raise ModelError(f"{name}: expected a number from {low:g} to {high:g}, found {value!r}")


def _texts(values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(isinstance(v, str) and v for v in values)
