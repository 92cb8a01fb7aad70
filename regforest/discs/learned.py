"""Everything that `DiscLocalizer` learns, and its model file."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regforest._limits import checked_seed
from regforest.discs.chain import StepModel
from regforest.discs.channels import parts_of_shown
from regforest.discs.evidence import ShiftModel
from regforest.discs.forests import CoarseForest, FineForest, ForestLabels
from regforest.discs.hypotheses import unit_steps
from regforest.discs.model_checks import check_label_names, check_names, check_parts
from regforest.discs.nearest import PatchRows
from regforest.discs.neighbour_labels import NeighbourLabels
from regforest.discs.packing import pack, rounded, unpack
from regforest.discs.patches import Completion, Projection
from regforest.discs.search import CoarseModel, FineModel
from regforest.discs.segmentation import LabelModel
from regforest.discs.settings import DiscSettings
from regforest.discs.training import TrainingRecord
from regforest.errors import LevelError, ModelError
from regforest.forest import Forest
from regforest.io.models import read_model, write_model
from regforest.spatial import sort_levels

__all__ = ["LEARNING_STEPS", "LearnedDiscs"]

_KIND = "discs"
_PARTS = ("steps", "coarse", "fine", "shift", "label")
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        StepModel, CoarseModel, CoarseForest, FineModel, FineForest, ShiftModel, LabelModel, NeighbourLabels,
        ForestLabels, Projection, Completion, Forest,
    )
}  # fmt: skip

LEARNING_STEPS = 4
"""How often `LearnedDiscs.fit` calls its `step`."""


@dataclass(frozen=True, eq=False)
class LearnedDiscs:
    """What is learned of the training scans.

    Attributes
    ----------
    names : tuple of str
        Structures, cranial to caudal.
    channels : tuple of str
        Channels of the training scans, in order.
    label_names : mapping of int to str
        Value in label images -> structure.
    unit_steps : ndarray, shape (S - 1, 3)
        Mean steps of the chain in the structures' own views, relative to the nominal one.
    steps : StepModel
        Steps of the chain.
    coarse : CoarseModel or CoarseForest
        Votes over the whole volume.
    fine : FineModel or FineForest
        Votes in the structures' own views.
    shift : ShiftModel
        How the chain as found is told from those shifted by a level.
    label : LabelModel or None
        The segmentation; None if the training scans had no masks.
    """

    names: tuple[str, ...]
    channels: tuple[str, ...]
    label_names: Mapping[int, str]
    unit_steps: NDArray[np.float64]
    steps: StepModel
    coarse: CoarseModel | CoarseForest
    fine: FineModel | FineForest
    shift: ShiftModel
    label: LabelModel | None

    def __post_init__(self) -> None:
        """Lay the training patches out for the search: once, before several threads ask."""
        for part in (self.coarse, self.fine, self.label and self.label.voxels):
            if isinstance(part, PatchRows):
                _ = part.nearest

    @classmethod
    def fit(
        cls, records: Sequence[TrainingRecord], settings: DiscSettings, seed: int, step: Callable[[], None]
    ) -> LearnedDiscs:
        """Learn every part from prepared scans; `step` is called after each of those that take time."""
        names = tuple(sort_levels({name for record in records for name in record.structures}))
        forest = settings.method == "forest"
        coarse_kind: type[CoarseModel | CoarseForest] = CoarseForest if forest else CoarseModel
        fine_kind: type[FineModel | FineForest] = FineForest if forest else FineModel
        coarse = coarse_kind.fit(records, names, settings, seed)
        step()
        fine = fine_kind.fit(records, names, settings, seed)
        step()
        shift = ShiftModel.fit(records, names, settings, seed)
        step()
        with_masks = [record for record in records if record.masks.size]
        label = LabelModel.fit(with_masks, names, settings, seed) if with_masks else None
        step()
        return cls(
            names, records[0].channels, _label_names(records, names), unit_steps(records, names),
            StepModel.fit(names, [record.chain_mm for record in records]), coarse, fine, shift, label,
        )  # fmt: skip

    def for_channels(self, given: Container[str], settings: DiscSettings) -> LearnedDiscs:
        """Return what is known of scans that have some of the channels: itself if they have all."""
        shown = [name in given for name in self.channels]
        if all(shown):
            return self
        channels = tuple(name for name in self.channels if name in given)
        return replace(self, channels=channels, **parts_of_shown(self._parts(), shown, settings))

    def rounded(self) -> LearnedDiscs:
        """Return a copy whose training patches are kept to three digits."""
        parts: dict[str, Any] = {n: None if part is None else rounded(part) for n, part in self._parts().items()}
        return replace(self, **parts)

    def write(self, path: str | Path, settings: DiscSettings, seed: int) -> None:
        """Write a model file: arrays and JSON only."""
        own: dict[str, Any] = {
            "settings": settings.to_json(), "seed": seed, "names": list(self.names), "channels": list(self.channels),
            "label_names": {str(value): name for value, name in self.label_names.items()},
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {"unit_steps": self.unit_steps}
        for name, part in self._parts().items():
            own[name] = None if part is None else pack(name, part, arrays)
        write_model(path, _KIND, own, arrays)

    @classmethod
    def read(cls, path: str | Path) -> tuple[LearnedDiscs, DiscSettings, int]:
        """Read what `write` wrote, with settings and seed; raises `ModelError` where it cannot be used."""
        stored, arrays = read_model(path, _KIND)
        try:
            settings, seed = DiscSettings.from_json(stored["settings"]), checked_seed(stored["seed"])
            return cls._put_together(stored, arrays, settings), settings, seed
        except (KeyError, TypeError, ValueError, AttributeError, LevelError, ModelError) as error:
            raise ModelError(f"{path}: the model of discs is damaged: {error}") from error

    @classmethod
    def _put_together(
        cls, stored: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], settings: DiscSettings
    ) -> LearnedDiscs:
        """Rebuild from what a model file holds, once it is known to fit."""
        check_names(stored["names"], stored["channels"])
        names, channels = tuple(stored["names"]), tuple(stored["channels"])
        label_names = {int(value): name for value, name in stored["label_names"].items()}
        check_label_names(label_names, names)
        parts: dict[str, Any] = {
            name: None if name == "label" and stored[name] is None else unpack(name, stored[name], arrays, _KINDS)
            for name in _PARTS
        }
        if parts["steps"].names != names:
            raise ModelError(f"steps: expected those of {', '.join(names)}, found {parts['steps'].names!r}")
        check_parts(parts, arrays["unit_steps"], len(channels), settings)
        return cls(names, channels, label_names, arrays["unit_steps"], **parts)

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _PARTS}


def _label_names(records: Sequence[TrainingRecord], names: Sequence[str]) -> dict[int, str]:
    """Values of the training masks where they agree, else 1, 2, ... from cranial to caudal."""
    values: dict[str, set[int]] = {}
    for record in records:
        for name, value in record.label_values.items():
            values.setdefault(name, set()).add(value)
    agreed = {name: next(iter(v)) for name, v in values.items() if len(v) == 1}
    if len(agreed) == len(names) and len(set(agreed.values())) == len(names):
        return {agreed[name]: name for name in names}
    return {i + 1: name for i, name in enumerate(names)}
