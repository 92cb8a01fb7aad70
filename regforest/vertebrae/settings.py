"""What can be set in training and applying a `VertebraLocalizer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regforest._limits import check_limits
from regforest.forest import TreeSettings
from regforest.vertebrae.bodies import BodySettings
from regforest.vertebrae.candidates import CandidateSettings
from regforest.vertebrae.sampling import SamplingSettings

__all__ = ["VertebraSettings", "tree_settings"]

_LIMITS = {
    "spacing_mm": (0.5, 20), "features": (0, 100_000), "max_offset_mm": (1, 500), "box_size_mm": (0.5, 200),
    "trees": (1, 10_000), "max_depth": (1, 1000), "min_samples_leaf": (1, 10**6), "features_per_node": (1, 100_000),
    "false_per_mm3": (1e-12, 1), "min_probability": (0, 1),
}  # fmt: skip


@dataclass(frozen=True)
class VertebraSettings:
    """Everything that can be set in training and applying a `VertebraLocalizer`.

    Attributes
    ----------
    spacing_mm : float
        Spacing of the isotropic working grid.
    features : int
        Size of the pool of box features; 0 draws them anew at every node, from all that there could be, as the paper
        does. That takes many times as long to train.
    max_offset_mm : float
        How far from a point its boxes may lie.
    box_size_mm : tuple of float
        Smallest and largest edge of a box.
    trees, max_depth, min_samples_leaf : int
        The forest.
    features_per_node : int
        Candidate features at each node.
    false_per_mm3 : float
        Density of false candidates (ribs, processes) that the chain reckons with.
    min_probability : float
        Least probability of the chain as named, against shifts of it, for the answer to be called certain.
    sampling : SamplingSettings
        How training voxels are drawn.
    bodies : BodySettings
        The forest that finds the bodies.
    candidates : CandidateSettings
        How modes of each vertebra's map become candidates, if there is no forest of the bodies.
    """

    spacing_mm: float = 3.0
    features: int = 600
    max_offset_mm: float = 60.0
    box_size_mm: tuple[float, float] = (3.0, 36.0)
    trees: int = 40
    max_depth: int = 22
    min_samples_leaf: int = 4
    features_per_node: int = 60
    false_per_mm3: float = 1e-5
    min_probability: float = 0.9
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    bodies: BodySettings = field(default_factory=BodySettings)
    candidates: CandidateSettings = field(default_factory=CandidateSettings)

    def __post_init__(self) -> None:
        check_limits(self, _LIMITS)
        if self.box_size_mm[0] > self.box_size_mm[1]:
            raise ValueError(f"box_size_mm must be smallest and largest, got {self.box_size_mm!r}")

    @classmethod
    def quick(cls) -> VertebraSettings:
        """Return the smallest useful settings, for a smoke run."""
        sampling = SamplingSettings(per_vertebra=60, background_per_vertebra=50)
        bodies = BodySettings(trees=8, features=150, max_depth=14, background_per_vertebra=50)
        return cls(spacing_mm=4.0, features=200, trees=8, max_depth=14, sampling=sampling, bodies=bodies)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VertebraSettings:
        """Rebuild from what `dataclasses.asdict` made; what is missing or unknown raises `KeyError` or `TypeError`.

        Examples
        --------
        >>> from dataclasses import asdict
        >>> VertebraSettings.from_dict(asdict(VertebraSettings.quick())) == VertebraSettings.quick()
        True
        """
        given = dict(values)
        sampling, candidates = SamplingSettings(**given.pop("sampling")), CandidateSettings(**given.pop("candidates"))
        bodies = dict(given.pop("bodies"))
        for part in (given, bodies):
            part["box_size_mm"] = tuple(part["box_size_mm"])
        return cls(**given, sampling=sampling, bodies=BodySettings(**bodies), candidates=candidates)


def tree_settings(part: VertebraSettings | BodySettings) -> TreeSettings:
    """Say how the trees of the forest of the levels, or of that of the bodies, are grown.

    Examples
    --------
    >>> tree_settings(VertebraSettings(features=10, features_per_node=60)).max_features
    10
    """
    tried = min(part.features_per_node, part.features or part.features_per_node)
    return TreeSettings(tried, part.max_depth, min_samples_leaf=part.min_samples_leaf)
