"""What the model files of both vertebra methods hold, checked before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from regforest._limits import checked_seed
from regforest.errors import DataError, ModelError
from regforest.features import BoxFeatures
from regforest.vertebrae.chain_prior import ChainPrior
from regforest.vertebrae.chain_tables import build_tables

__all__ = ["check_reach", "stored_settings"]

T = TypeVar("T")

_MAX_PADDING = 400  # voxels around the image that boxes may look at: more would only take memory


def stored_settings(
    path: str | Path, stored: Mapping[str, Any], from_dict: Callable[[Mapping[str, Any]], T]
) -> tuple[T, int, ChainPrior]:
    """Return settings, seed and chain prior of a model file.

    Parameters
    ----------
    path : str or Path
        The file, for messages.
    stored : mapping
        ``"settings"``, ``"seed"`` and ``"prior"`` as they were written.
    from_dict : callable
        Makes the settings; raises `ValueError` where a value is outside of its limits.

    Raises
    ------
    ModelError
        If something is missing or unknown, of another kind, not finite or outside of its limits, or the steps of the
        prior have covariances that no spine can have.
    """
    try:
        prior = ChainPrior.from_dict(stored["prior"])
        build_tables(prior)
        return from_dict(stored["settings"]), checked_seed(stored["seed"]), prior
    except (AttributeError, KeyError, TypeError, ValueError, DataError) as error:
        raise ModelError(f"{path}: the settings are damaged or of another version: {error!r}") from error


def check_reach(boxes: BoxFeatures, spacing_mm: float) -> None:
    """Raise `ModelError` unless box features are read from one CT, and near enough at the working spacing."""
    try:
        reach = max(boxes.padding_zyx(spacing_mm))
    except DataError as error:
        raise ModelError(f"box features that cannot be read: {error}") from error
    if boxes.channels.max() > 0 or reach > _MAX_PADDING:
        raise ModelError(
            f"expected box features of one channel that reach at most {_MAX_PADDING} voxels, "
            f"found channel {boxes.channels.max()} and {reach} voxels"
        )
