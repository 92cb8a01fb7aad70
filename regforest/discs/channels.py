"""A scan that lacks some of the channels of training: what is known of the others tells what to expect of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest.discs.forests import CoarseForest, FineForest, ForestLabels
from regforest.discs.nearest import PatchRows
from regforest.discs.patches import MADE_EARLIER, columns_shown
from regforest.discs.settings import DiscSettings
from regforest.errors import DataError, ModelError
from regforest.spatial import Volume

__all__ = ["channel_notes", "channels_by_name", "parts_of_shown"]

_Reading = PatchRows | CoarseForest | FineForest | ForestLabels


def channels_by_name(channels: Volume | Mapping[str, Volume], learned: Sequence[str]) -> dict[str, Volume]:
    """Return the images of a scan by the names of the training channels; a lone image of a lone channel has its name.

    Raises
    ------
    DataError
        If none of them is a channel of training.
    """
    given = {"image": channels} if isinstance(channels, Volume) else dict(channels)
    if len(given) == len(learned) == 1:
        return dict(zip(learned, given.values(), strict=True))
    if not set(given) & set(learned):
        raise DataError(
            f"the model learned from the channels {', '.join(learned)}, got {', '.join(given) or 'none'}: "
            "name at least one of them (in a file name: image_<channel>.nii.gz)"
        )
    return given


def channel_notes(given: Sequence[str], learned: Sequence[str]) -> tuple[str, ...]:
    """Say which channels of training are missing and which of the images are not used.

    Examples
    --------
    >>> channel_notes(["wat"], ["fat", "wat"])
    ('missing channels: fat (estimated from wat)',)
    """
    shown, missing = ([name for name in learned if (name in given) == here] for here in (True, False))
    unknown = [name for name in given if name not in learned]
    notes = [f"missing channels: {', '.join(missing)} (estimated from {', '.join(shown)})"] if missing else []
    notes += [f"channels that the model did not learn, not used: {', '.join(unknown)}"] if unknown else []
    return tuple(notes)


def parts_of_shown(parts: Mapping[str, Any], shown: Sequence[bool], settings: DiscSettings) -> dict[str, Any]:
    """Return the learned parts as they work on scans that have some of the channels.

    Neighbours are searched by the expected projection; forests get the expected features.

    Parameters
    ----------
    parts : mapping of str to part
        ``coarse``, ``fine``, ``shift`` and ``label`` of a `DiscLocalizer`.
    shown : sequence of bool
        For each channel of training, whether the scans have it.
    settings : DiscSettings
        Of the model.

    Raises
    ------
    ModelError
        If an earlier version made the model.
    """
    coarse = columns_shown(settings.coarse_patch, settings.coarse_spacing_mm, shown)
    fine = columns_shown(settings.fine_patch, settings.coarse_spacing_mm, shown)
    voxels = columns_shown(settings.label_patch, settings.label_spacing_mm, shown)
    label = parts["label"]
    return {
        "coarse": _of_shown(parts["coarse"], coarse),
        "fine": _of_shown(parts["fine"], fine),
        "shift": replace(parts["shift"], projection=parts["shift"].projection.of_shown(fine)),
        "label": label and replace(label, voxels=_of_shown(label.voxels, voxels)),
    }


def _of_shown(part: _Reading, columns: NDArray[np.bool_]) -> _Reading:
    if isinstance(part, PatchRows):
        return part.of_shown(columns)
    if part.completion is None:
        raise ModelError(MADE_EARLIER)
    return replace(part, completion=replace(part.completion, shown=columns))
