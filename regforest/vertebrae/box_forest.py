"""A forest together with the box features that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regforest.errors import ModelError
from regforest.features import BoxFeatures
from regforest.forest import Forest
from regforest.io.models import part_of

__all__ = ["BoxForest"]

_SUM_TOLERANCE = 1e-3  # of single precision over some classes


@dataclass(frozen=True, eq=False)
class BoxForest:
    """A forest and its pool of box features.

    Attributes
    ----------
    forest : Forest
        Its features are those of `boxes`, in that order.
    boxes : BoxFeatures
        The pool, in millimetres.

    Raises
    ------
    ModelError
        If the forest was trained on another number of features.

    Examples
    --------
    >>> from regforest import ForestClassifier
    >>> boxes = BoxFeatures.random(2, seed=0, max_offset_mm=4, size_range_mm=(2, 4))
    >>> model = ForestClassifier(2, random_state=0).fit([[0.0, 1], [1, 0]], [0, 1])
    >>> BoxForest(model.forest_, boxes).forest.n_outputs
    2
    """

    forest: Forest
    boxes: BoxFeatures

    def __post_init__(self) -> None:
        if self.forest.n_features != len(self.boxes):
            raise ModelError(f"a forest of {self.forest.n_features} features and a pool of {len(self.boxes)}")

    def to_parts(self, name: str) -> dict[str, dict[str, NDArray[np.generic]]]:
        """Return what `join_parts` writes to a model file, under names that begin with `name`."""
        return {f"{name}_forest": self.forest.to_arrays(), f"{name}_boxes": self.boxes.to_arrays()}

    @classmethod
    def from_parts(cls, arrays: Mapping[str, NDArray[np.generic]], name: str, n_outputs: int) -> BoxForest:
        """Rebuild from the arrays of a model file; `ModelError` if they are missing or do not fit."""
        forest = Forest.from_arrays(part_of(arrays, f"{name}_forest"))
        pair = cls(forest, BoxFeatures.from_arrays(part_of(arrays, f"{name}_boxes")))
        if pair.forest.n_outputs != n_outputs:
            raise ModelError(f"expected a forest of {n_outputs} classes, found one of {pair.forest.n_outputs}")
        probability = forest.values
        if (probability < 0).any() or np.abs(probability.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
            raise ModelError("expected leaves with probabilities that sum to 1, found others")
        return pair
